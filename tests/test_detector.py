"""The shortcut alarm: nothing found where there is nothing, artefacts found, and no leak between folds or classes."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import ledoit_wolf

from synthworth.detector import (
    COLUMNS,
    FeatureSet,
    _direction,
    _folds,
    alarm,
    detect,
    detect_between_halves,
    detect_synthetic,
    is_null,
)
from synthworth.errors import StudyError


def images(n, d=60, seed=0, shift=0.0, classes=("a", "b")):
    """n independent images of each class, whose features have a falling spectrum; `shift` is in one of them."""
    names = np.repeat(classes, n)
    features = np.random.default_rng(seed).normal(size=(len(names), d)) / np.sqrt(1 + np.arange(d) / 5)
    features[:, 3] += shift
    return FeatureSet(features + 5 * (names == "b")[:, None], names)


def overall(frame):
    return frame.set_index("class").loc["all"]


def patients(n, images_each, d=40, seed=0):
    """n patients of one class whose images are nearly alike."""
    rng = np.random.default_rng(seed)
    features = np.repeat(rng.normal(size=(n, d)), images_each, axis=0)
    groups = np.repeat([f"p{seed}-{i}" for i in range(n)], images_each)
    return FeatureSet(features + 0.1 * rng.normal(size=features.shape), np.full(len(groups), "a"), groups)


def test_finds_nothing_where_there_is_nothing_and_its_intervals_hold_a_half():
    found = [overall(detect(images(20, seed=2 * i), images(20, seed=2 * i + 1), seed=i)) for i in range(80)]
    assert np.mean([row["auroc"] for row in found]) == pytest.approx(0.5, abs=0.035)
    assert np.mean([row["low"] <= 0.5 <= row["high"] for row in found]) >= 0.88
    assert not any(alarm_of(row) for row in found)


def alarm_of(row):
    return row["low"] > 0.75


def test_finds_an_artefact_the_better_the_larger_it_is():
    found = [overall(detect(images(60), images(60, seed=1, shift=shift), seed=0)) for shift in (0, 0.8, 2, 4, 8)]
    aurocs = [row["auroc"] for row in found]
    assert aurocs == sorted(aurocs)
    assert aurocs[0] < 0.6
    assert aurocs[-1] > 0.97
    assert found[-1]["low"] > 0.9 > found[2]["low"] > 0.5


def test_an_artefact_is_found_in_more_features_than_images():
    found = overall(detect(images(20, d=2000), images(20, d=2000, seed=1, shift=12), seed=0))
    assert found["low"] > 0.5


@pytest.mark.parametrize("d", [8, 60])
def test_direction_is_the_discriminant_with_ledoit_and_wolfs_covariance(d):
    real, made = images(12, d), images(15, d, seed=1, shift=1)
    # Other shares of the classes on each side.
    real = FeatureSet(real.features[:18], real.classes[:18])
    x, y = np.concatenate([real.features, made.features]), np.repeat([False, True], [18, 30])
    classes = np.concatenate([real.classes, made.classes])
    scaled = x / x.std(axis=0)
    centred = np.empty_like(x)
    differences = []
    for name in "ab":
        means = [scaled[(classes == name) & (y == side)].mean(axis=0) for side in (False, True)]
        differences.append(means[1] - means[0])
        for side in (False, True):
            cell = (classes == name) & (y == side)
            centred[cell] = scaled[cell] - means[side]
    covariance = ledoit_wolf(centred, assume_centered=True)[0]
    expected = np.linalg.solve(covariance, np.mean(differences, axis=0)) / x.std(axis=0)
    found = _direction(x, y, classes)
    np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), rtol=1e-7, atol=1e-9)


def test_images_of_a_patient_lie_in_one_fold():
    real = patients(13, 4)
    fold = _folds(real, ["a"], 5, np.random.default_rng(0))
    of_patient = {group: set(fold[real.groups == group]) for group in real.groups}
    assert all(len(folds) == 1 for folds in of_patient.values())
    sizes = np.bincount([folds.pop() for folds in of_patient.values()])
    assert sizes.max() - sizes.min() <= 1


def test_what_marks_patients_is_not_taken_for_an_artefact():
    """Both sides are patients alike; a detector that knew a patient from another fold would tell them apart."""
    kept, torn = [], []
    for i in range(8):
        real, made = patients(15, 5, seed=2 * i), patients(15, 5, seed=2 * i + 1)
        kept.append(overall(detect(real, made, seed=i)))
        torn.append(overall(detect(*(FeatureSet(side.features, side.classes) for side in (real, made)), seed=i)))
    assert np.mean([row["auroc"] for row in kept]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([row["auroc"] for row in torn]) > 0.9
    # 15 patients are 15, however many images they have.
    assert min(row["high"] - row["low"] for row in kept) > 0.25
    assert overall(detect(real, made, seed=0))["n_real_groups"] == 15


def test_other_shares_of_classes_are_no_artefact():
    real, made = images(60), images(60, seed=1)
    real = FeatureSet(real.features[:70], real.classes[:70])
    made = FeatureSet(made.features[50:], made.classes[50:])
    found = overall(detect(real, made, seed=0))
    assert found["low"] < 0.5 < found["high"]
    assert (found["n_real"], found["n_synthetic"]) == (70, 70)


def test_an_artefact_of_one_class_shows_in_its_row():
    real, made = images(60), images(60, seed=1)
    made.features[made.classes == "b", :4] += 6
    found = detect(real, made, seed=0).set_index("class")
    assert list(found.index) == ["a", "b", "all"]
    assert found.loc["a", "auroc"] < 0.75 < 0.95 < found.loc["b", "auroc"]
    assert found.loc["all", "auroc"] == pytest.approx(found.loc[["a", "b"], "auroc"].mean())


def test_folds_are_as_many_as_the_smallest_class_allows():
    made = images(20, seed=1)
    made = FeatureSet(made.features[:23], made.classes[:23])
    found = detect(images(100), made, seed=0)
    assert set(found["folds"]) == {3}
    assert tuple(found.columns) == COLUMNS
    assert np.isfinite(found[["auroc", "low", "high"]].to_numpy()).all()


def test_a_patient_of_two_classes_and_classes_that_only_real_images_have():
    real = images(10, classes=("a", "b", "c"))
    groups = np.concatenate([np.arange(10), np.arange(10), np.arange(20, 30)])
    found = detect(FeatureSet(real.features, real.classes, groups), images(10, seed=1), seed=0)
    assert list(found["class"]) == ["a", "b", "all"]
    assert overall(found)["n_real_groups"] == 10


def test_features_that_say_nothing_give_a_half():
    real, made = images(10), images(10, seed=1)
    for features in (np.ones((20, 5)), np.zeros((20, 5))):
        found = overall(detect(FeatureSet(features, real.classes), FeatureSet(features, made.classes), seed=0))
        assert found["auroc"] == 0.5
    # A feature that is the origin itself leaves no spread within the sides.
    found = detect(FeatureSet(np.zeros((20, 2)), real.classes), FeatureSet(np.ones((20, 2)), made.classes), seed=0)
    assert overall(found)["auroc"] == 1


def test_the_seed_alone_decides():
    real, made = images(20), images(20, seed=1)
    assert detect(real, made, seed=3).equals(detect(real, made, seed=3))
    assert not detect(real, made, seed=3).equals(detect(real, made, seed=4))


def test_halves_of_real_patients_are_not_told_apart():
    real = patients(40, 3)
    found = detect_between_halves(real, seed=0, repetitions=8)
    whole = found[found["class"] == "all"]
    assert list(whole["repetition"]) == list(range(8))
    assert whole["auroc"].mean() == pytest.approx(0.5, abs=0.12)
    assert ((whole["low"] <= 0.5) & (whole["high"] >= 0.5)).mean() >= 0.75
    assert set(whole["n_real_groups"]) == set(whole["n_synthetic_groups"]) == {20}
    assert len(set(whole["auroc"])) > 1


def test_the_null_is_checked_at_each_size_of_generators_images(tmp_path):
    paths = {name: tmp_path / f"{name}.npz" for name in ("small", "large", "made")}
    for seed, (name, path) in enumerate(paths.items()):
        found = patients(12, 2) if name != "made" else images(8, d=40, seed=seed, classes=("a",))
        groups = {} if name == "made" else {"patients": found.groups.astype(str)}
        np.savez(path, features=found.features + seed, labels=found.classes, **groups)
    chosen = {"a": {"scope": "all", "step": 4}}
    (tmp_path / "selected.json").write_text(json.dumps({"checkpoints": chosen, "rule": ""}))
    generators = [("one", 32, {"all/4": 0}), ("two", 64, {"all/4": 0}), ("three", 32, {"all/4": 0})]
    references = [paths["small"], paths["large"], paths["small"]]
    output = tmp_path / "detection.csv"
    detect_synthetic(references, [tmp_path / "selected.json"] * 3, [paths["made"]], output, generators, 0, 0.95)
    found = pd.read_csv(output)
    nulls = ["real images (32 px)", "real images (64 px)"]
    assert found["generator"].unique().tolist() == [*nulls, "one", "two", "three"]
    assert is_null(found["generator"]).tolist() == found["generator"].isin(nulls).tolist()
    # Halves of whole images, the fewest of any halving.
    halves = found[is_null(found["generator"]) & (found["class"] != "all")]
    assert (halves["n_real"] % 1 == 0).all()
    assert (halves["n_real"] + halves["n_synthetic"] <= 24).all()


def test_alarm_needs_the_lower_limit_above_the_threshold():
    found = detect(images(60), images(60, seed=1, shift=8), seed=0)
    text = alarm(found, "ddpm", threshold=0.75)
    assert text.startswith("ddpm: its images can be told from held-out real ones (AUROC ")
    assert "artefact" in text
    assert alarm(found, "ddpm", threshold=overall(found)["low"]) == ""
    assert alarm(detect(images(60), images(60, seed=1), seed=0), "ddpm") == ""


@pytest.mark.parametrize(
    ("real", "synthetic", "problem"),
    [
        (images(5), FeatureSet(np.zeros((0, 60)), np.array([], str)), "synthetic set: no images"),
        (images(5), images(1), r"class a: 1 image\(s\) in the synthetic set, 2 or more"),
        (images(5, classes=("a",)), images(5), r"class b: 0 image\(s\) in the real set"),
        (patients(1, 5), images(5, d=40, classes=("a",)), r"class a: 1 patient\(s\) in the real set"),
        (images(5), images(5, d=61), "60 real and 61 synthetic features"),
        (images(5, shift=np.nan), images(5), "real set: 10 of 10 images have features that are not finite"),
        (FeatureSet(np.zeros((4, 3)), np.array(["a"] * 5)), images(5, d=4), r"real set: features \(4, 3\)"),
    ],
)
def test_says_what_is_wrong(real, synthetic, problem):
    with pytest.raises(StudyError, match=problem):
        detect(real, synthetic, seed=0)


def test_too_few_patients_for_halves():
    with pytest.raises(StudyError, match=r"class a: 3 patient\(s\), 4 are needed"):
        detect_between_halves(patients(3, 5), seed=0)
