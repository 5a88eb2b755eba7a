"""Classifiers of findings: losses with masks, the findings of an arm's images, training, what is said of a split."""

import numpy as np
import pandas as pd
import pytest
import torch
from test_classifier_augmentation import PAPER
from test_classifier_data import drawn, write_split, write_synthetic
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from synthworth.classifiers.arm_images import arm_images
from synthworth.classifiers.data import ImageDataset, real_images
from synthworth.classifiers.evaluation import evaluate_classifier
from synthworth.classifiers.models import load_classifier
from synthworth.classifiers.objectives import Objective
from synthworth.classifiers.recognition import recognise_images
from synthworth.classifiers.training import _accuracy, train_classifier
from synthworth.errors import StudyError
from synthworth.shards import write_shard

FINDINGS = ["left", "right"]
CLASSES = ["no_finding", "left", "right", "left_right"]
# Of each class, in their order.
SHOWN = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
NAN = float("nan")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn((6, 3), generator=generator)).requires_grad_()
    findings = torch.tensor([[1, 0, NAN], [0, 0, 1], [NAN, NAN, NAN], [1, 1, 1], [0, NAN, 1], [NAN, 0, 0]])
    return logits, torch.tensor([0, 1, 2, 0, 1, 1]), findings


def test_the_loss_is_the_mean_binary_cross_entropy_of_what_is_not_masked(batch):
    logits, labels, findings = batch
    known = ~findings.isnan()
    loss = Objective()(logits, labels, None, findings)
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(logits[known], findings[known]))
    loss.backward()
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()
    # What is masked may be anything.
    other = torch.where(known, logits.detach(), torch.tensor(50.0))
    torch.testing.assert_close(Objective()(other, labels, None, findings), loss.detach())
    nothing = Objective()(logits, labels, None, torch.full((6, 3), NAN))
    assert nothing.item() == 0


def test_the_focal_loss_of_findings_is_its_sigmoid_form(batch):
    logits, labels, findings = batch
    known = ~findings.isnan()
    p = logits.detach().double().sigmoid()[known]
    truth = findings[known].double()
    true_p = torch.where(truth == 1, p, 1 - p)
    loss = Objective("focal", 1.5)(logits, labels, None, findings)
    torch.testing.assert_close(loss.double(), (-((1 - true_p) ** 1.5) * true_p.log()).mean())
    loss.backward()
    assert (logits.grad[~known] == 0).all()


def test_weights_are_those_of_an_image_s_class(batch):
    logits, labels, findings = batch
    weights = torch.tensor([0.5, 2.0, 7.0])
    known = ~findings.isnan()
    losses = binary_cross_entropy_with_logits(logits, findings.nan_to_num(), reduction="none")
    expected = (losses * weights[labels][:, None])[known].mean()
    torch.testing.assert_close(Objective()(logits, labels, weights, findings), expected)


def test_the_mixed_loss_is_linear_in_the_findings(batch):
    logits, labels, findings = batch
    findings = findings.nan_to_num()
    partner, share = torch.tensor([3, 4, 5, 0, 1, 2]), 0.3
    mixed = share * findings + (1 - share) * findings[partner]
    own, other = (Objective()(logits, labels, None, part) for part in (findings, findings[partner]))
    expected = binary_cross_entropy_with_logits(logits, mixed)
    torch.testing.assert_close(share * own + (1 - share) * other, expected)


def test_accuracy_is_the_mean_over_findings_of_right_decisions():
    logits = torch.tensor([[1.0, -1.0], [-2.0, 3.0], [0.5, 0.1]])
    findings = torch.tensor([[1, 1], [1, NAN], [NAN, 1]])
    assert _accuracy(logits, torch.zeros(3, dtype=int), findings) == pytest.approx((1 / 2 + 1 / 2) / 2)
    findings[1] = torch.tensor([0, 1])
    assert _accuracy(logits, torch.zeros(3, dtype=int), findings) == pytest.approx((1 + 2 / 3) / 2)


def write_findings(folder, classes, fields):
    """A split whose index has the findings as `fields`."""
    images, index = write_split(folder, classes)
    frame = pd.read_csv(index)
    frame["patient"] = frame.index.astype(str)
    frame.assign(**dict(zip(FINDINGS, zip(*fields, strict=True), strict=True))).to_csv(index, index=False)
    return images, index


@pytest.fixture
def arm_inputs(tmp_path):
    # One image of the class `left` surely has `right` too, so of its synthetic ones nobody knows.
    fields = [("0", "0"), ("1", "0"), ("1", "1"), ("", "1"), ("1", "1"), ("", "0"), ("1", "")]
    classes = ["no_finding", "left", "left", "right", "left_right", "left", "left_right"]
    shards = [write_synthetic(tmp_path / f"{name}.parquet", name, range(3)) for name in CLASSES]
    return (*write_findings(tmp_path, classes, fields), drawn(shards))


def test_real_images_carry_their_findings_and_batches_too(arm_inputs):
    table, _ = real_images(*arm_inputs[:2], CLASSES, FINDINGS)
    expected = [[0, 0], [1, 0], [1, 1], [NAN, 1], [1, 1], [NAN, 0], [1, NAN]]
    np.testing.assert_array_equal(table.findings, np.array(expected, np.float32))
    _, target, findings = ImageDataset(table, lambda image, _epoch, _row: image)[(1, 3)]
    assert target == 2
    np.testing.assert_array_equal(findings, [NAN, 1])
    assert real_images(*arm_inputs[:2], CLASSES)[0].findings is None


def test_synthetic_images_carry_what_their_class_agrees_on(arm_inputs):
    images, index, shards = arm_inputs
    arm = arm_images(images, index, CLASSES, findings=FINDINGS, **shards, per_class=2)
    agreed = np.array([[0, 0], [1, NAN], [NAN, 1], [1, 1]], np.float32)
    added = arm.table.rows(np.arange(arm.real, len(arm.table)))
    assert len(added) == 8
    np.testing.assert_array_equal(added.findings, agreed[added.targets])
    shuffled = arm_images(images, index, CLASSES, findings=FINDINGS, **shards, per_class=2, shuffle_seed=3)
    moved = shuffled.table.rows(np.arange(arm.real, len(arm.table)))
    assert moved.targets.tolist() != added.targets.tolist()
    # A lot gives an image the class and the findings of one and the same other.
    np.testing.assert_array_equal(moved.findings, agreed[moved.targets])
    plain = arm_images(images, index, CLASSES, **shards, per_class=2, shuffle_seed=3)
    assert plain.table.targets.tolist() == shuffled.table.targets.tolist()
    assert plain.table.findings is None


def test_rows_that_are_drawn_again_keep_their_findings(arm_inputs):
    images, index, shards = arm_inputs
    for options in (
        {"balance": "oversample"},
        {"repeat_training_images": True, "per_class": 3},
        {**shards, "per_class": 3, "balance": "to_majority"},
        {**shards, "per_class": 2, "regime": "pretrain_then_finetune", "balance": "oversample"},
    ):
        table = arm_images(images, index, CLASSES, findings=FINDINGS, run_seed=1, **options).table
        assert len(table) == len(table.findings) > 7
        real = np.flatnonzero(table.source == 0)
        np.testing.assert_array_equal(table.findings[real], table.findings[table.offsets[real]])


def write_halves(folder, name, count, uncertain=0.0, size=32):
    """Noise with either half, both or none bright: two findings that are easily learnt."""
    generator = np.random.default_rng(count)
    targets = np.arange(count) % 4
    images = generator.integers(0, 120, (count, size, size, 1), dtype=np.uint8)
    for image, (left, right) in zip(images, SHOWN[targets], strict=True):
        image[:, : size // 2] += np.uint8(100 * left)
        image[:, size // 2 :] += np.uint8(100 * right)
    np.save(folder / f"{name}.npy", images)
    fields = np.where(generator.random((count, 2)) < uncertain, "", SHOWN[targets].astype(int).astype(str))
    frame = pd.DataFrame({"image": [f"{i}.png" for i in range(count)], "patient": [f"p{i}" for i in range(count)]})
    frame = frame.assign(label="", width=size, height=size, **{"class": np.array(CLASSES)[targets]})
    frame.assign(**{finding: fields[:, place] for place, finding in enumerate(FINDINGS)}).to_csv(
        folder / f"{name}.csv", index=False
    )
    return folder / f"{name}.npy", folder / f"{name}.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that has learnt the halves from labels of which a fifth is masked."""
    folder = tmp_path_factory.mktemp("trained")
    train, select = write_halves(folder, "train", 64, 0.2), write_halves(folder, "select", 24, 0.2)
    gentle = {**PAPER, "shift_limit": 0.0, "scale_limit": 0.0, "rotate_limit": 1, "one_of_probability": 0.0}
    train_classifier(
        train_images=train[0],
        train_index=train[1],
        select_images=select[0],
        select_index=select[1],
        classes=CLASSES,
        findings=FINDINGS,
        output=folder / "run",
        architecture="test_resnet",
        epochs=8,
        augmentation=gentle,
        run_seed=1,
        learning_rate=3e-3,
        dropout=0.1,
        arm={"balance": "oversample"},
        objective={"mixing": "none"},
        weigh_classes=True,
    )
    return folder


def test_a_network_of_findings_learns_each_and_says_so(trained):
    history = pd.read_csv(trained / "run/history.csv")
    assert history["select_accuracy"].max() > 0.95
    model, facts = load_classifier(trained / "run")
    assert (facts["classes"], facts["findings"]) == (CLASSES, FINDINGS)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    test = write_halves(trained, "test", 40, 0.1)
    evaluate_classifier(trained / "run", *test, CLASSES, trained / "p.csv", FINDINGS)
    rows, index = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (trained / "p.csv", test[1]))
    assert list(rows.columns) == ["image", "patient", "class", "p_left", "p_right", "y_left", "y_right"]
    for place, finding in enumerate(FINDINGS):
        assert rows[f"y_{finding}"].tolist() == index[finding].tolist()
        said = rows[f"p_{finding}"].astype(float) > 0.5
        truth = SHOWN[index["class"].map(CLASSES.index), place] == 1
        assert (said == truth).mean() > 0.9
    # Neither adds up to 1 over findings.
    assert (rows["p_left"].astype(float) + rows["p_right"].astype(float)).max() > 1.5


def test_the_epoch_is_chosen_by_the_masked_loss_of_the_selection_images(trained):
    history = pd.read_csv(trained / "run/history.csv")
    model, facts = load_classifier(trained / "run")
    assert facts["epoch"] == history["select_loss"].idxmin() + 1
    evaluate_classifier(
        trained / "run", trained / "select.npy", trained / "select.csv", CLASSES, trained / "s.csv", FINDINGS
    )
    rows = pd.read_csv(trained / "s.csv")
    losses = [
        -np.log(p if y == 1 else 1 - p)
        for finding in FINDINGS
        for p, y in zip(rows[f"p_{finding}"], rows[f"y_{finding}"], strict=True)
        if not np.isnan(y)
    ]
    assert history["select_loss"].min() == pytest.approx(np.mean(losses), rel=1e-3)


def test_a_classifier_of_other_findings_is_refused(trained):
    with pytest.raises(StudyError, match="it knows left, right; the study has none"):
        evaluate_classifier(trained / "run", trained / "select.npy", trained / "select.csv", CLASSES, trained / "x.csv")


def test_synthetic_images_are_recognised_by_finding(trained):
    shards = [trained / f"{name}.parquet" for name in CLASSES]
    for place, shard in enumerate(shards):
        facts = {"label": CLASSES[place], "prompt": "", "generator": "gan", "scope": "all", "step": 1, "seed": 0}
        images = np.load(trained / "train.npy")[place::4][:6]
        write_shard(shard, [images], pd.DataFrame({"index": range(6)}).assign(**facts))
    recognise_images(
        # The same run twice says what it says once.
        [trained / "run"] * 2,
        trained / "select.npy",
        trained / "select.csv",
        **drawn(shards, 32),
        recognised=trained / "recognition.csv",
        confused=trained / "confusion.csv",
        classes=CLASSES,
        generators=[["gan", 6]],
        confidence=0.95,
        findings=FINDINGS,
        train_index=trained / "train.csv",
    )
    found = pd.read_csv(trained / "recognition.csv").set_index(["source", "class"])
    assert found.loc["gan", "n"].tolist() == [12, 12]
    assert found.loc["gan", "recall"].min() > 0.9
    assert found.loc["gan", "auroc"].min() > 0.95
    seen = pd.read_csv(trained / "confusion.csv").set_index(["source", "class", "finding"])["share"]["gan"]
    assert seen["left", "left"] > 0.9 > 0.1 > seen["left", "right"]
    assert seen["no_finding"].max() < 0.2


def test_without_findings_the_loss_is_cross_entropy(batch):
    logits, labels, _ = batch
    assert torch.equal(Objective()(logits, labels), cross_entropy(logits, labels))
