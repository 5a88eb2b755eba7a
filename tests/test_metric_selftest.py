"""The metric self-test: degradations do what they say, and metrics' responses are judged as they are."""

import importlib
import pkgutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import laplace

from synthworth import fidelity
from synthworth.errors import StudyError
from synthworth.images import decode, fit_image
from synthworth.metric_selftest import degradations
from synthworth.metric_selftest.degradations import (
    COMPOSITIONS,
    KINDS,
    MODES,
    NOISE,
    PIXELS,
    degrade_pixels,
    replaced_rows,
)
from synthworth.metric_selftest.expectations import EXPECTATIONS
from synthworth.metric_selftest.figure import figure_selftest
from synthworth.metric_selftest.responses import RESPONSE_COLUMNS, VALUE_COLUMNS, _halves, judge, selftest

XRAYS = Path(__file__).parents[2] / "shared/data/cxr4"
METRICS = ["fid", "kid", "prdc", "vendi"]


def pictures(n=40, size=32, seed=0):
    """Smooth random grey images."""
    rng = np.random.default_rng(seed)
    fields = np.stack([cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), 2) for _ in range(n)])
    return np.clip(128 + 150 * fields, 0, 255).astype(np.uint8)[..., None]


def simple_features(images):
    """Coarse grey levels, and how much fine detail each part of an image has: what the degradations change."""
    grey = images[..., 0].astype(float)
    coarse = np.stack([cv2.resize(x, (6, 6), interpolation=cv2.INTER_AREA).ravel() / 50 for x in grey])
    detail = np.stack([cv2.resize(np.abs(laplace(x)), (3, 3), interpolation=cv2.INTER_AREA).ravel() for x in grey])
    return np.concatenate([coarse, np.log(detail + 1)], axis=1)


@pytest.fixture(scope="module")
def xrays():
    """Images, classes and patients of two classes of real X-rays at 64 pixels."""
    if not XRAYS.is_dir():
        pytest.skip("the X-rays are not here")
    rows = pd.read_csv(XRAYS / "manifest.csv").groupby("label").head(80)
    rows = rows[rows["label"].isin(["healthy", "bacterial"])]
    images = np.stack([fit_image(decode(XRAYS / name), 64, "crop", 1) for name in rows["image"]])
    return images, rows["label"].to_numpy(), rows["patient"].to_numpy()


@pytest.fixture(scope="module")
def values(xrays):
    return selftest(*xrays, METRICS, {"simple": simple_features}, seed=0, images_per_half=40)


@pytest.mark.parametrize("kind", PIXELS)
def test_severity_0_changes_no_pixel_and_the_shape_stays(kind):
    images = pictures(12)
    np.testing.assert_array_equal(degrade_pixels(images, kind, 0, 0), images)
    for severity in (0.3, 1):
        spoilt = degrade_pixels(images, kind, severity, 0)
        assert spoilt.shape == images.shape
        assert spoilt.dtype == np.uint8
        np.testing.assert_array_equal(spoilt, degrade_pixels(images, kind, severity, 0))
        assert (spoilt != images).any()
    assert (images == pictures(12)).all()


@pytest.mark.parametrize("kind", COMPOSITIONS)
def test_severity_0_replaces_no_image(kind):
    np.testing.assert_array_equal(replaced_rows(12, kind, 0, 0, others=5), np.arange(12))
    for severity in (0.3, 1):
        rows = replaced_rows(12, kind, severity, 0, others=5)
        np.testing.assert_array_equal(rows, replaced_rows(12, kind, severity, 0, others=5))
        assert (rows != np.arange(12)).any()


def test_blur_takes_detail_and_noise_adds_as_much_as_it_says():
    images = pictures(6, 64)
    detail = [
        np.abs(np.diff(degrade_pixels(images, "blur", s, 0).astype(int), axis=2)).mean() for s in (0, 0.25, 0.5, 1)
    ]
    assert detail == sorted(detail, reverse=True)
    flat = np.full((3, 64, 64, 3), 128, np.uint8)
    for severity in (0.25, 0.5):
        noisy = degrade_pixels(flat, "noise", severity, 0).astype(float) - 128
        assert noisy.std() == pytest.approx(severity * NOISE, rel=0.02)
        assert (noisy == noisy[..., :1]).all()
    assert (degrade_pixels(flat, "noise", 1, 0)[0] != degrade_pixels(flat, "noise", 1, 0)[1]).any()
    assert (degrade_pixels(flat, "noise", 1, 0) != degrade_pixels(flat, "noise", 1, 1)).any()


@pytest.mark.parametrize("kind", COMPOSITIONS)
def test_the_share_that_is_replaced_grows_and_holds_the_smaller_ones(kind):
    before = np.array([], int)
    for severity in (0.1, 0.25, 0.5, 1):
        rows = replaced_rows(40, kind, severity, 3, others=15)
        replaced = np.flatnonzero(rows != np.arange(40))
        assert set(before) <= set(replaced)
        # The repeated ones are, in the end, replaced by themselves, or by each other.
        assert len(replaced) == 40 * severity or (kind == "mode_drop" and severity == 1)
        before = replaced
    if kind == "mode_drop":
        assert len(set(rows)) == MODES
        assert max(np.bincount(rows)) - min(np.bincount(rows)[np.bincount(rows) > 0]) <= 1
    else:
        assert set(rows) == set(range(40, 55))
        assert np.bincount(rows)[40:].max() - np.bincount(rows)[40:].min() <= 1


def test_copies_of_a_reference_as_large_are_the_reference():
    assert sorted(replaced_rows(8, "copies", 1, 0, others=8)) == list(range(8, 16))


@pytest.mark.parametrize(
    ("kind", "n", "problem"),
    [
        ("class_mix", 3, "no images of another class"),
        ("copies", 3, "no reference images"),
        ("mode_drop", 0, "no images"),
    ],
)
def test_there_must_be_something_to_degrade_with(kind, n, problem):
    with pytest.raises(StudyError, match=problem):
        replaced_rows(n, kind, 0.5, 0)


def test_unknown_kinds_and_severities_are_refused():
    for arguments in [("fog", 0.5), ("blur", 1.5), ("mode_drop", 0.5)]:
        with pytest.raises(ValueError, match="none of|lies in"):
            degrade_pixels(pictures(3), *arguments, 0)
    for arguments in [("fog", 0.5), ("mode_drop", -0.1), ("blur", 0.5)]:
        with pytest.raises(ValueError, match="none of|lies in"):
            replaced_rows(3, *arguments, 0, others=3)


def test_halves_share_no_patient_and_are_equal():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 30, 90).astype(str)
    classes = np.repeat(["a", "b", "c"], [50, 30, 10])
    first = _halves(classes, patients, ["a", "b", "c"], 12, seed=0, repetition=0)
    reference, candidates = (np.concatenate([half[side] for half in first.values()]) for side in (0, 1))
    assert not set(patients[reference]) & set(patients[candidates])
    for name, (own, other) in first.items():
        assert len(own) == len(other) <= 12
        assert set(classes[own]) == set(classes[other]) == {name}
    assert len(first["a"][0]) == 12
    second = _halves(classes, patients, ["a", "b", "c"], 12, seed=0, repetition=1)
    assert not np.array_equal(first["a"][0], second["a"][0])


def test_metrics_respond_on_real_xrays(values):
    """All that should go a way goes that way, on blur, noise, mode drop and class mix-up."""
    found = judge(values)
    assert tuple(values.columns) == VALUE_COLUMNS
    assert tuple(found.columns) == RESPONSE_COLUMNS
    meant = found[(found["expected"] != "neither") & (found["degradation"] != "copies")]
    # FID and KID 4 each, precision and density 3, recall 1, coverage 4, Vendi 1.
    assert len(meant) == 20
    assert list(meant.loc[meant["responds"] != "yes", ["metric", "degradation"]].itertuples(index=False)) == []
    assert (np.sign(meant["shift"]) == np.where(meant["expected"] == "up", 1, -1)).all()
    others = found[found["expected"] == "neither"]
    assert set(others["responds"]) == {"not meant to"}
    assert (others["reason"] != "").all()


def test_fid_against_the_training_images_rewards_copies_and_vendi_does_not_see_them(values):
    copies = judge(values).set_index(["metric", "degradation"]).xs("copies", level=1)
    assert copies.loc["fid", "responds"] == "yes"
    assert copies.loc["fid", "at_worst"] == pytest.approx(0, abs=1e-6)
    assert copies.loc["vendi", "responds"] == "not meant to"


def test_both_ms_ssims_see_dropped_modes_on_real_xrays(xrays):
    images, classes, patients = (part[::4] for part in xrays)
    metrics = ["ms_ssim", "prompt_ms_ssim"]
    found = selftest(images, classes, patients, metrics, {}, seed=0, severities=(0.5, 1), images_per_half=8)
    judged = judge(found).set_index(["metric", "degradation"])["responds"]
    for metric in metrics:
        assert judged[metric, "mode_drop"] == "yes"
        assert set(judged[metric].drop("mode_drop")) == {"not meant to"}
        assert len(judged[metric]) == len(KINDS)


def test_ms_ssim_sees_dropped_modes():
    images = pictures(32, 48)
    classes, patients = np.full(32, "a"), np.arange(32)
    values = selftest(images, classes, patients, ["ms_ssim"], {}, seed=0, severities=(0.5, 1), images_per_half=10)
    assert set(values["extractor"]) == {""}
    assert set(values["degradation"]) == set(KINDS) - {"class_mix"}
    assert set(values["severity"]) == {0, 0.5, 1}
    assert judge(values).set_index("degradation").loc["mode_drop", "responds"] == "yes"


def test_the_floor_is_one_and_each_value_has_its_images(values, xrays):
    floor = values[values["severity"] == 0]
    ranges = floor.groupby(["metric", "class", "repetition"])["value"].agg(["min", "max", "count"])
    assert (ranges["min"] == ranges["max"]).all()
    assert (ranges["count"] == len(KINDS)).all()
    assert (values["n_synthetic"] == values["n_reference"]).all()
    assert values["n_synthetic"].between(30, 40).all()
    assert not values.duplicated(["metric", "extractor", "degradation", "severity", "class", "repetition"]).any()
    again = selftest(*xrays, ["fid"], {"simple": simple_features}, seed=0, severities=(1,), images_per_half=40)
    both = again.merge(values, on=list(VALUE_COLUMNS[:6]))
    assert len(both) == len(again)
    np.testing.assert_array_equal(both["value_x"], both["value_y"])


def test_images_are_extracted_once_and_once_per_severity_of_blur_and_noise():
    calls = []

    def extract(images):
        calls.append(len(images))
        return simple_features(images)

    images = pictures(24)
    selftest(images, np.repeat(["a", "b"], 12), np.arange(24), ["fid"], {"x": extract}, seed=0, severities=(0, 0.5, 1))
    assert calls == [24] * 5


def test_where_a_metric_is_not_defined_the_table_says_why():
    images = pictures(16)
    values = selftest(images, np.repeat(["a", "b"], 8), np.arange(16), ["prdc"], {"x": simple_features}, seed=0)
    assert values["value"].isna().all()
    assert values["problem"].str.contains("6").all()
    found = judge(values)
    assert set(found["responds"]) == {"not defined"}
    assert found["reason"].str.contains("image").all()
    assert figure_selftest(values).axes


def curve(metric, rise, scatter=1.0, kind="blur"):
    """Values at severities 0, 0.5 and 1 of two classes with different floors, and three halves."""
    return pd.DataFrame(
        [
            {"metric": metric, "extractor": np.nan, "degradation": kind, "severity": severity, "class": name}
            | {"repetition": repetition, "n_synthetic": 9, "n_reference": 9, "problem": ""}
            | {"value": base + scatter * (repetition - 1) + rise[place]}
            for name, base in (("a", 10), ("b", 50))
            for repetition in range(3)
            for place, severity in enumerate((0, 0.5, 1))
        ]
    )


@pytest.mark.parametrize(
    ("metric", "rise", "responds", "shift", "monotonicity", "seen_from"),
    [
        ("fid", (0, 3, 6), "yes", 6, 1, 0.5),
        ("fid", (0, 1, 6), "yes", 6, 1, 1),
        ("fid", (0, 0.2, 1.9), "no", 1.9, 1, None),
        ("fid", (0, 9, 3), "no", 3, 1 / 3, 0.5),
        ("fid", (0, -3, -6), "wrong way", -6, -1, None),
        ("fid", (0, 0, 0), "no", 0, 0, None),
        # What lies within the floor's scatter is no step back.
        ("fid", (0, -0.3, 6), "yes", 6, 1, 1),
        ("precision", (0, 0.3, -6), "yes", -6, -1, 1),
        ("fid", (0, 9, 1), "no", 1, 1 / 3, None),
        ("precision", (0, -3, -6), "yes", -6, -1, 0.5),
        ("recall", (0, -3, -6), "not meant to", -6, -1, None),
        ("new_metric", (0, 3, 6), "not meant to", 6, 1, None),
    ],
)
def test_responses_are_judged_by_way_and_size(metric, rise, responds, shift, monotonicity, seen_from):
    (found,) = judge(curve(metric, rise)).to_dict("records")
    assert found["responds"] == responds
    # The scatter is that within classes, not between their floors.
    assert (found["floor"], found["floor_sd"]) == (30, pytest.approx(1))
    assert (found["shift"], found["monotonicity"]) == (pytest.approx(shift), pytest.approx(monotonicity))
    assert (None if pd.isna(found["seen_from"]) else found["seen_from"]) == seen_from
    assert ("declared" in found["reason"]) == (metric == "new_metric")


def test_any_change_is_one_from_a_floor_without_scatter():
    (found,) = judge(curve("fid", (0, 1, 2), scatter=0)).to_dict("records")
    assert (found["responds"], found["shift"]) == ("yes", np.inf)
    (found,) = judge(curve("fid", (0, 0, 0), scatter=0)).to_dict("records")
    assert (found["responds"], found["shift"]) == ("no", 0)


def test_every_metric_of_the_study_has_its_expectations():
    modules = (
        importlib.import_module(f"synthworth.fidelity.{x.name}") for x in pkgutil.iter_modules(fidelity.__path__)
    )
    names = {name for module in modules if hasattr(module, "READS") for name in module.NAMES}
    assert names == set(EXPECTATIONS)
    assert all(set(kinds) == set(KINDS) for kinds in EXPECTATIONS.values())
    neither = [one for kinds in EXPECTATIONS.values() for one in kinds.values() if one.direction == 0]
    assert neither
    assert all(one.reason for one in neither)


@pytest.mark.parametrize(
    ("classes", "patients", "repetitions", "problem"),
    [
        (["a"] * 6, [0] * 6, 3, "class a: images of one patient only"),
        ([], [], 3, "there are no images"),
        (["a"] * 6, range(6), 1, "repetitions: 2 or more"),
    ],
)
def test_says_what_is_wrong(classes, patients, repetitions, problem):
    images = pictures(max(1, len(classes)))[: len(classes)]
    with pytest.raises(StudyError, match=problem):
        selftest(images, classes, patients, ["vendi"], {"x": simple_features}, seed=0, repetitions=repetitions)


def test_figure_has_a_panel_per_metric_and_degradation(values):
    figure = figure_selftest(values, note="Study demo.")
    panels = np.reshape(figure.axes, (7, 5))
    assert [axes.get_title() for axes in panels[0]] == [
        "Blur",
        "Noise",
        "Mode drop",
        "Class mix-up",
        "Copies of reference",
    ]
    assert panels[0, 0].get_ylabel() == "FID\n(simple)"
    texts = [[axes.texts[0].get_text() for axes in row] for row in panels]
    assert texts[0][:4] == ["responds"] * 4
    assert texts[0][4] == "rewards copies"
    assert texts[3][0] == "not meant to"
    mean = panels[0, 0].lines[-1].get_ydata()
    expected = values[(values["metric"] == "fid") & (values["degradation"] == "blur")].groupby("severity")["value"]
    np.testing.assert_allclose(mean, expected.mean())
    assert panels[-1, 1].get_xticklabels()[-1].get_text() == f"{degradations.NOISE:g}"
    note = figure.get_supxlabel().replace("\n", " ")
    assert "Study demo." in note
    told = "recall (blur, noise, class mix-up): asks how far the images spread, not how real they are"
    assert told in note
    assert "precision (mode drop), density (mode drop): asks whether each image is plausible" in note


def test_the_page_gives_every_reason_for_which_a_metric_does_not_respond():
    page = " ".join((Path(__file__).parents[1] / "docs/fidelity.md").read_text().split())
    for metric, kinds in EXPECTATIONS.items():
        for one in kinds.values():
            assert one.direction or f"`{metric}`" in page
            assert one.direction or one.reason in page


def test_figure_without_values_says_so():
    figure = figure_selftest(pd.DataFrame(columns=list(VALUE_COLUMNS)))
    assert [text.get_text() for text in figure.axes[0].texts] == ["No scores."]
