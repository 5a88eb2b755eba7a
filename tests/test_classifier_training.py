import math

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from test_classifier_augmentation import PAPER

from synthworth.classifiers import training
from synthworth.classifiers.data import ImageDataset, real_images
from synthworth.classifiers.models import create_classifier, load_classifier
from synthworth.classifiers.training import BatchOrder, fit, learning_rates, train_classifier
from synthworth.errors import StudyError

CLASSES = ["left", "right"]


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
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "betas": (0.9, 0.999),
    "schedule": "per_epoch",
    "mixed_precision": "no",
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
    assert list(history.columns) == ["epoch", "train_loss", "select_loss", "select_accuracy", "learning_rate"]
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
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image.astype(np.float32) / 255)
    state, history, epoch = fit(model, dataset, selection, **{**FIT, "epochs": 1})
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
        return image.astype(np.float32) / 255

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
    dataset = ImageDataset(training_table, lambda image, _epoch, _row: image.astype(np.float32) / 255)
    fit(model, dataset, selection, **{**FIT, "epochs": 2, "mixed_precision": mixed_precision})
    assert passes == ([(True, kind)] * 4 + [(False, kind)] * 2) * 2


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


def test_every_image_is_seen_once_an_epoch_in_a_new_order():
    order = BatchOrder(33, 8, run_seed=1)
    epochs = []
    for epoch in (1, 2):
        order.epoch = epoch
        batches = list(order)
        assert [len(batch) for batch in batches] == [8, 8, 8, 9]
        assert len(order) == len(batches)
        assert {number for batch in batches for number, _ in batch} == {epoch}
        epochs.append([row for batch in batches for _, row in batch])
        assert sorted(epochs[-1]) == list(range(33))
    assert epochs[0] != epochs[1]
    assert [len(batch) for batch in BatchOrder(10, 8, 1)] == [8, 2]
    assert [len(batch) for batch in BatchOrder(1, 8, 1)] == [1]


def test_a_loss_that_is_not_finite_names_the_step(splits, tmp_path, monkeypatch):
    calls = iter(range(100))
    normal = training.cross_entropy
    # Four steps and one selection loss an epoch: call 6 is the second step of the second epoch.
    monkeypatch.setattr(training, "cross_entropy", lambda *args: normal(*args) * (1 if next(calls) != 6 else math.nan))
    with pytest.raises(StudyError, match=r"epoch 2, step 2 of 4: .* not finite: lower the .* learning rate"):
        train_classifier(**splits, **RECIPE, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    calls = iter(range(100))
    monkeypatch.setattr(training, "cross_entropy", lambda *args: normal(*args) * (1 if next(calls) != 4 else math.inf))
    with pytest.raises(StudyError, match="epoch 1: the loss on the selection images is not finite"):
        train_classifier(**splits, **RECIPE, output=tmp_path / "run")
