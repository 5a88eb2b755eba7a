import math

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from test_classifier_augmentation import PAPER

from synthworth.classifiers import training
from synthworth.classifiers.batches import BatchOrder, Stage
from synthworth.classifiers.data import ImageDataset, real_images
from synthworth.classifiers.models import create_classifier, load_classifier
from synthworth.classifiers.objectives import Objective, class_weights
from synthworth.classifiers.prediction import BATCH_SIZE
from synthworth.classifiers.training import fit, learning_rates, train_classifier
from synthworth.errors import StudyError
from synthworth.seeds import seed
from synthworth.shards import render_shard, write_shard

CLASSES = ["left", "right"]
LOSSES = ["train_loss", "select_loss", "select_accuracy"]


def write_split(folder, name, count, size=32):
    """Noise with a bright half: as easy as a task can be."""
    generator = np.random.default_rng(len(name) + count)
    targets = np.arange(count) % 2
    images = generator.integers(0, 120, (count, size, size, 1), dtype=np.uint8)
    for image, target in zip(images, targets, strict=True):
        image[:, target * size // 2 : (target + 1) * size // 2] += 100
    np.save(folder / f"{name}.npy", images)
    frame = pd.DataFrame({"image": [f"{i}.png" for i in range(count)], "patient": "p"})
    frame.assign(**{"class": np.array(CLASSES)[targets]}).to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.npy", folder / f"{name}.csv"


@pytest.fixture
def splits(tmp_path):
    train, select = write_split(tmp_path, "train", 33), write_split(tmp_path, "select", 10)
    return {
        "train_images": train[0],
        "train_index": train[1],
        "select_images": select[0],
        "select_index": select[1],
    }


RECIPE = {
    "classes": CLASSES,
    "architecture": "test_efficientnet",
    "epochs": 2,
    "augmentation": PAPER,
    "run_seed": 1,
    "learning_rate": 1e-3,
}

FIT = {
    "stages": [Stage(np.arange(33), 3)],
    "steps": None,
    "objective": Objective(),
    "batch_size": 8,
    "learning_rate": 1e-3,
    "betas": (0.9, 0.999),
    "schedule": "per_epoch",
    "mixed_precision": "no",
    "compile": False,
    "run_seed": 1,
    "workers": 0,
    "device": torch.device("cpu"),
}


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_it_learns_what_is_easy(splits, tmp_path, architecture):
    gentle = {**PAPER, "shift_limit": 0.0, "scale_limit": 0.1}
    recipe = {**RECIPE, "architecture": architecture, "augmentation": gentle, "epochs": 12, "learning_rate": 3e-3}
    train_classifier(**splits, **recipe, dropout=0.1, output=tmp_path / "run")
    history = pd.read_csv(tmp_path / "run/history.csv")
    assert history["select_accuracy"].max() == 1
    assert history["select_loss"].min() < 0.35


def test_a_run_is_its_seed_whatever_the_workers(splits, tmp_path):
    torch.manual_seed(99)
    for name, changes in {"a": {}, "b": {"workers": 1}, "c": {"workers": 2}, "d": {"run_seed": 2}}.items():
        train_classifier(**splits, **{**RECIPE, **changes}, output=tmp_path / name)
    a, b, c, d = (weights(tmp_path / name) for name in "abcd")
    assert equal(a, b)
    assert equal(a, c)
    assert not equal(a, d)
    assert (tmp_path / "a/history.csv").read_text() == (tmp_path / "c/history.csv").read_text()


def test_the_folder_holds_the_epoch_of_least_selection_loss(splits, tmp_path, monkeypatch):
    # The network of epoch e answers with its own loss from a table; only the choice is at stake.
    losses = iter([0.9, 0.5, 0.7, 0.5])
    states = []

    def predict(model, table, _device):
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        margin = -math.log(math.expm1(next(losses)))
        return torch.nn.functional.one_hot(torch.tensor(table.targets), 2) * margin

    monkeypatch.setattr(training, "predict", predict)
    train_classifier(**splits, **{**RECIPE, "epochs": 4}, dropout=0.25, output=tmp_path / "run")
    history = pd.read_csv(tmp_path / "run/history.csv")
    assert list(history.columns) == ["epoch", "steps", *LOSSES, "learning_rate"]
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(history["select_loss"], [0.9, 0.5, 0.7, 0.5], atol=1e-6)
    assert history["select_accuracy"].tolist() == [0, 1, 0, 1]
    model, facts = load_classifier(tmp_path / "run")
    assert facts == {"classes": CLASSES, "size": 32, "dropout": 0.25, "epoch": 2}
    assert equal(model.state_dict(), states[1])
    assert not equal(states[1], states[3])


def test_selection_loss_and_accuracy_are_those_of_the_selection_images(splits):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    selection, _ = real_images(splits["select_images"], splits["select_index"], CLASSES)
    model = create_classifier("test_efficientnet", 2)
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image)
    state, history, epoch = fit(model, dataset, selection, **{**FIT, "stages": [Stage(np.arange(33), 1)]})
    model.load_state_dict(state)
    logits = training.predict(model, selection, torch.device("cpu"))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(selection.targets)).item()
    assert epoch == 1
    assert history["select_loss"].item() == pytest.approx(expected, rel=1e-5)
    assert history["select_accuracy"].item() == pytest.approx(np.mean(logits.argmax(1).numpy() == selection.targets))


def test_a_fit_depends_on_its_seed_and_shows_each_epoch_anew(splits):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    selection, _ = real_images(splits["select_images"], splits["select_index"], CLASSES)
    first, second = (create_classifier("test_efficientnet", 2, dropout=0.5) for _ in range(2))
    second.load_state_dict(first.state_dict())
    states, seen = [], []

    def transform(image, epoch, row):
        seen.append((epoch, row))
        return image

    for model in (first, second):
        states.append(fit(model, ImageDataset(training_table, transform), selection, **FIT)[0])
    assert equal(*states)
    orders = [[row for number, row in seen[: 3 * 33] if number == epoch] for epoch in (1, 2, 3)]
    assert all(sorted(order) == list(range(33)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize(
    ("mixed_precision", "kind"), [("no", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_steps_are_in_training_mode_and_in_the_precision_asked_for(splits, mixed_precision, kind):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    selection, _ = real_images(splits["select_images"], splits["select_index"], CLASSES)
    model = create_classifier("test_efficientnet", 2)
    passes = []
    model.register_forward_hook(lambda module, _inputs, logits: passes.append((module.training, logits.dtype)))
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image)
    fit(model, dataset, selection, **{**FIT, "stages": [Stage(np.arange(33), 2)], "mixed_precision": mixed_precision})
    looks = math.ceil(len(selection) / BATCH_SIZE["cpu"])
    assert passes == ([(True, kind)] * 4 + [(False, kind)] * looks) * 2


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16"])
def test_mixed_precision_trains_and_is_saved_in_float32(splits, tmp_path, mixed_precision):
    train_classifier(**splits, **RECIPE, mixed_precision=mixed_precision, output=tmp_path / "run")
    train_classifier(**splits, **RECIPE, output=tmp_path / "full")
    mixed, full = weights(tmp_path / "run"), weights(tmp_path / "full")
    assert not equal(mixed, full)
    assert {tensor.dtype for tensor in mixed.values() if tensor.is_floating_point()} == {torch.float32}
    losses = [pd.read_csv(tmp_path / name / "history.csv")["select_loss"] for name in ("run", "full")]
    np.testing.assert_allclose(*losses, atol=0.1)


@pytest.mark.parametrize(
    ("schedule", "period", "steps"), [("per_epoch", 6, 6), ("per_batch", 5, 23)], ids=["per_epoch", "per_batch"]
)
def test_the_cosine(schedule, period, steps):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    cosine = learning_rates(optimizer, epochs=6, schedule=schedule)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()
    expected = [1e-4 * (1 + math.cos(math.pi * step / period)) / 2 for step in range(steps)]
    np.testing.assert_allclose(rates, expected, atol=1e-12)


@pytest.mark.parametrize("schedule", ["per_epoch", "per_batch"])
def test_the_schedule_is_stepped_as_its_name_says(splits, tmp_path, schedule):
    train_classifier(**splits, **{**RECIPE, "epochs": 3}, schedule=schedule, output=tmp_path / "run")
    rates = pd.read_csv(tmp_path / "run/history.csv")["learning_rate"]
    # 33 images are 4 batches a pass, so its last step is the 4th, 8th and 12th; the period of `per_batch` is 2 steps.
    steps = {"per_epoch": [0, 1 / 3, 2 / 3], "per_batch": [3 / 2, 7 / 2, 11 / 2]}[schedule]
    np.testing.assert_allclose(rates, [1e-3 * (1 + math.cos(math.pi * step)) / 2 for step in steps], atol=1e-12)


def batches(order, epoch):
    order.epoch = epoch
    found = list(order)
    assert len(order) == len(found)
    return found


@pytest.mark.parametrize("steps", [None, 4])
def test_every_image_is_seen_once_an_epoch_in_a_new_order(steps):
    order = BatchOrder([Stage(np.arange(33), 3)], 8, run_seed=1, steps=steps)
    for epoch in (1, 2, 3):
        found = batches(order, epoch)
        assert [len(batch) for batch in found] == [8, 8, 8, 9]
        # The order that runs had before there were stages and budgets.
        expected = np.random.default_rng(seed(1, "order", epoch)).permutation(33)
        assert [item for batch in found for item in batch] == [(epoch, row) for row in expected]
    assert [len(batch) for batch in batches(BatchOrder([Stage(np.arange(10), 1)], 8, 1), 1)] == [8, 2]
    assert [len(batch) for batch in batches(BatchOrder([Stage(np.arange(1), 1)], 8, 1), 1)] == [1]


def test_a_budget_of_steps_goes_on_over_the_end_of_a_pass():
    rows = np.arange(100, 120)
    order = BatchOrder([Stage(rows, 5)], 8, run_seed=1, steps=4)
    stream = [item for epoch in range(1, 6) for batch in batches(order, epoch) for item in batch]
    # 20 steps of passes of 8, 8 and 4 images: six passes and 16 images of the seventh.
    assert len(stream) == 6 * 20 + 16
    for turn in range(1, 8):
        assert [number for number, _ in stream[20 * (turn - 1) : 20 * turn]] == [turn] * min(
            20, len(stream) - 20 * (turn - 1)
        )
        own = [row for number, row in stream if number == turn]
        assert sorted(own) == sorted(set(own))
        assert set(own) <= set(rows.tolist())
    assert [row for _, row in stream[:20]] != [row for _, row in stream[20:40]]
    # An epoch says itself what it holds, whichever came before it.
    assert batches(BatchOrder([Stage(rows, 5)], 8, 1, 4), 3) == batches(order, 3)
    long = BatchOrder([Stage(np.arange(40), 2)], 8, run_seed=1, steps=2)
    assert [row for epoch in (1, 2) for batch in batches(long, epoch) for _, row in batch] == np.random.default_rng(
        seed(1, "order", 1)
    ).permutation(40)[:32].tolist()


@pytest.mark.parametrize(("steps", "sizes"), [(None, [3, 3, 1, 1, 1]), (2, [2] * 5)], ids=["epochs", "steps"])
def test_a_stage_comes_after_the_other(steps, sizes):
    first, second = Stage(np.arange(8, 32), 2), Stage(np.arange(8), 3)
    order = BatchOrder([first, second], 8, run_seed=1, steps=steps)
    for epoch, size in enumerate(sizes, start=1):
        found = batches(order, epoch)
        assert len(found) == size
        assert order.stage is (first if epoch <= 2 else second)
        assert {row < 8 for batch in found for _, row in batch} == {epoch > 2}
        assert steps or {number for batch in found for number, _ in batch} == {epoch}
    seen = [item for epoch in range(1, 6) for batch in batches(order, epoch) for item in batch]
    assert len(seen) == len(set(seen))


@pytest.fixture
def shards(tmp_path):
    """Twelve synthetic images of each class, all of them black, as shards and as arrays."""
    paths, rendered = [], []
    for name in CLASSES:
        rows = pd.DataFrame({"index": range(12)}).assign(
            label=name, prompt="", generator="g", scope=name, step=1, seed=0
        )
        paths.append(tmp_path / f"{name}.parquet")
        write_shard(paths[-1], [np.zeros((12, 32, 32, 1), np.uint8)], rows)
        rendered.append(tmp_path / f"{name}.npy")
        render_shard(paths[-1], rendered[-1], 32)
    return {"shards": paths, "rendered": rendered}


@pytest.mark.parametrize(
    ("arm", "epochs", "steps"),
    [
        ({}, [4, 8, 12], [4, 8, 12]),
        ({"per_class": 12}, [7, 14, 21], [4, 8, 12]),
        ({"per_class": 12, "regime": "replace"}, [3, 6, 9], [4, 8, 12]),
        ({"per_class": 12, "regime": "pretrain_then_finetune"}, [3, 6, 10], [4, 8, 12]),
        ({"real_share": 0.5}, [2, 4, 6], [4, 8, 12]),
        ({"repeat_training_images": True, "per_class": 12}, [7, 14, 21], [4, 8, 12]),
    ],
    ids=["baseline", "mix", "replace", "pretrain", "hold_back", "copies"],
)
def test_the_steps_of_an_arm_hang_on_the_budget(splits, shards, tmp_path, arm, epochs, steps):
    frame = pd.read_csv(splits["train_index"])
    frame.assign(patient=[f"p{i}" for i in range(len(frame))]).to_csv(splits["train_index"], index=False)
    recipe = {**RECIPE, "epochs": 3, "architecture": "test_resnet", "arm": arm, "pretrain_share": 0.7}
    for budget, made in (("epochs", epochs), ("steps", steps)):
        output = tmp_path / budget
        train_classifier(**splits, **recipe, **(shards if "per_class" in arm else {}), budget=budget, output=output)
        history = pd.read_csv(output / "history.csv")
        assert history["steps"].tolist() == made
        if arm.get("regime") == "pretrain_then_finetune":
            assert load_classifier(output)[1]["epoch"] == 3


def test_a_baseline_is_the_same_under_both_budgets(splits, tmp_path):
    for budget in ("epochs", "steps"):
        train_classifier(**splits, **RECIPE, budget=budget, output=tmp_path / budget)
    assert equal(weights(tmp_path / "epochs"), weights(tmp_path / "steps"))


def test_only_an_epoch_of_the_last_stage_is_chosen(splits, monkeypatch):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    selection, _ = real_images(splits["select_images"], splits["select_index"], CLASSES)
    margins = iter([9.0, 8.0, 1.0, 3.0])
    labels = torch.nn.functional.one_hot(torch.tensor(selection.targets), 2)
    monkeypatch.setattr(training, "predict", lambda *_: labels * next(margins))
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image)
    stages = [Stage(np.arange(20, 33), 2), Stage(np.arange(20), 2)]
    _, history, epoch = fit(create_classifier("test_resnet", 2), dataset, selection, **{**FIT, "stages": stages})
    assert history["select_loss"].idxmin() == 0
    assert epoch == 4


@pytest.mark.parametrize(
    "change",
    [
        {"objective": {"loss": "focal"}},
        {"objective": {"mixing": "mixup"}},
        {"objective": {"mixing": "cutmix"}},
        {"weigh_classes": True},
    ],
    ids=["focal", "mixup", "cutmix", "class_weights"],
)
def test_an_objective_changes_the_run_and_keeps_to_its_seed(splits, tmp_path, change):
    recipe = {**RECIPE, "architecture": "test_resnet", "epochs": 1}
    # Two workers do not change what is drawn for a batch.
    for name, changes in {"plain": {}, "one": change, "two": change | {"workers": 2}}.items():
        train_classifier(**splits, **recipe, **changes, output=tmp_path / name)
    plain, one, two = (weights(tmp_path / name) for name in ("plain", "one", "two"))
    assert not equal(plain, one)
    assert equal(one, two)


def test_focal_loss_and_class_weights():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [40.0, 0.0, 0.0], [0.1, 0.2, 0.3]], requires_grad=True)
    labels = torch.tensor([0, 2, 0, 1])
    p = logits.softmax(dim=1)[torch.arange(4), labels].double()
    weighted = torch.tensor([0.5, 1.0, 2.0])
    torch.testing.assert_close(Objective()(logits, labels).double(), -p.log().mean())
    focal = Objective("focal", 2.0)
    torch.testing.assert_close(focal(logits, labels).double(), -((1 - p) ** 2 * p.log()).mean())
    expected = -((1 - p) ** 2 * p.log() * weighted[labels]).mean()
    torch.testing.assert_close(focal(logits, labels, weighted).double(), expected)
    torch.testing.assert_close(Objective()(logits, labels, weighted).double(), -(p.log() * weighted[labels]).mean())
    torch.testing.assert_close(Objective("focal", 0.0)(logits, labels), Objective()(logits, labels))
    # Of an image that is beyond doubt, the slope of (1 - p) ** 0.5 has no bounds.
    Objective("focal", 0.5)(logits, labels).backward()
    assert logits.grad.isfinite().all()


def test_weights_are_inverse_to_the_counts_and_one_on_average():
    targets = np.repeat([0, 1, 3], [6, 3, 1])
    found = class_weights(targets, 4)
    assert found.dtype == np.float32
    assert found[2] == 0
    np.testing.assert_allclose(found[[0, 1, 3]] * [6, 3, 1], 10 / 3, rtol=1e-6)
    assert found[targets].mean() == pytest.approx(1)


def test_images_are_mixed_with_their_partners():
    images = torch.arange(5.0)[:, None, None, None].expand(5, 3, 16, 12).clone()
    shares = []
    for step in range(40):
        mixed, partner, share = Objective(mixing="mixup").mix(images, step)
        assert sorted(partner.tolist()) == list(range(5))
        torch.testing.assert_close(mixed, share * images + (1 - share) * images[partner])
        shares.append(share)
        again = Objective(mixing="mixup").mix(images, step)
        assert torch.equal(again[0], mixed)
        pasted, partner, share = Objective(mixing="cutmix").mix(images, step)
        own = pasted == images
        assert torch.equal(pasted[~own], images[partner][~own])
        other = partner != torch.arange(5)
        if other.any():
            # As large as the box that was pasted: the same one in all images.
            assert own[other].float().mean().item() == pytest.approx(share, abs=1e-6)
            assert (own[other] == own[other][0]).all()
    # Beta(1, 1) is uniform.
    assert 0.35 < np.mean(shares) < 0.65
    assert min(shares) < 0.15 < 0.85 < max(shares)
    narrow = [Objective(mixing="mixup", mixing_alpha=50.0).mix(images, step)[2] for step in range(20)]
    assert max(abs(share - 0.5) for share in narrow) < 0.2
    untouched, partner, share = Objective().mix(images, 1)
    assert untouched is images
    assert (partner, share) == (None, 1.0)


def test_the_loss_of_a_mixture_is_that_of_soft_targets(splits):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    table = training_table.rows(np.arange(8))
    objective = Objective(mixing="mixup")
    model = create_classifier("test_resnet", 2)
    seen = []
    model.register_forward_hook(lambda module, _, logits: seen.append(logits.detach()) if module.training else None)
    dataset = ImageDataset(table, lambda image, _epoch, _row: image)
    stage = Stage(np.arange(8), 1)
    _, history, _ = fit(model, dataset, table, **{**FIT, "stages": [stage], "objective": objective})
    rows = np.random.default_rng(seed(1, "order", 1)).permutation(8)
    _, partner, share = objective.mix(torch.zeros(8, 3, 32, 32), seed(1, "mixing", 1))
    one_hot = torch.nn.functional.one_hot(torch.tensor(table.targets[rows]), 2)
    soft = share * one_hot + (1 - share) * one_hot[partner]
    expected = torch.nn.functional.cross_entropy(seen[0], soft).item()
    assert history["train_loss"].item() == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_names_the_step(splits, tmp_path, monkeypatch):
    calls = iter(range(100))
    loss = Objective.__call__
    # Four steps an epoch: call 5 is the second step of the second epoch.
    monkeypatch.setattr(Objective, "__call__", lambda *args: loss(*args) * (1 if next(calls) != 5 else math.nan))
    with pytest.raises(StudyError, match=r"epoch 2, step 2 of 4: .* not finite: lower the .* learning rate"):
        train_classifier(**splits, **RECIPE, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    monkeypatch.setattr(training, "cross_entropy", lambda *_: torch.tensor(math.inf))
    with pytest.raises(StudyError, match="epoch 1: the loss on the selection images is not finite"):
        train_classifier(**splits, **RECIPE, output=tmp_path / "run")


def test_even_batches_are_all_of_one_size_and_leave_out_other_images_in_each_pass():
    order = BatchOrder([Stage(np.arange(33), 6)], 8, run_seed=1, even=True)
    seen = [batches(order, epoch) for epoch in range(1, 7)]
    assert {len(batch) for passed in seen for batch in passed} == {8}
    assert [len(passed) for passed in seen] == [len(order)] * 6 == [4] * 6
    shown = [{row for batch in passed for _, row in batch} for passed in seen]
    assert all(len(rows) == 32 for rows in shown)
    assert len(set.intersection(*shown)) < 32
    # As many steps as are asked for, whatever a pass has; fewer images than a batch stay one.
    assert [len(b) for b in batches(BatchOrder([Stage(np.arange(20), 2)], 8, 1, steps=3, even=True), 2)] == [8] * 3
    assert [len(b) for b in batches(BatchOrder([Stage(np.arange(5), 1)], 8, 1, even=True), 1)] == [5]


def test_a_gpu_compiles_the_steps_alone_and_a_cpu_never_does(splits, monkeypatch):
    training_table, _ = real_images(splits["train_images"], splits["train_index"], CLASSES)
    selection, _ = real_images(splits["select_images"], splits["select_index"], CLASSES)
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image)
    asked, passes = [], []

    def compile(model, **settings):
        asked.append(settings)

        def compiled(images):
            passes.append((model.training, len(images)))
            return model(images)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    fit(create_classifier("test_efficientnet", 2), dataset, selection, **{**FIT, "compile": True})
    assert asked == []

    monkeypatch.setattr(training, "compiles", lambda wanted, _device: wanted)
    fit(create_classifier("test_efficientnet", 2), dataset, selection, **{**FIT, "compile": True})
    assert asked == [{"mode": "reduce-overhead", "dynamic": False}]
    assert passes == [(True, 8)] * 12
