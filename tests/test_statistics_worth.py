"""Effects in real images: known learning curves, intervals, and what lies beyond the curve."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthworth.errors import StudyError
from synthworth.statistics.outputs import write_worth
from synthworth.statistics.predictions import LEVELS, Predictions
from synthworth.statistics.worth import COLUMNS, fieller, worth_in_real_images

REAL = {"baseline": 800, "hold_back@0.25": 200, "hold_back@0.5": 400}


def study(generator, slope=0.1, effect=0.03, images=400, seeds=4):
    """Accuracy 0.8 with all 800 real images and `slope` less for each unit of log(images); an arm with an effect."""
    truth = np.arange(images) % 2
    hard = generator.normal(size=images)
    accuracy = {arm: 0.8 + slope * np.log(count / 800) for arm, count in REAL.items()} | {"gan+9": 0.8 + effect}
    names, correct = [], []
    for arm, level in accuracy.items():
        for seed in range(seeds):
            score = hard + 0.5 * generator.normal(size=images)
            correct.append(score / np.sqrt(1.25) < stats.norm.ppf(level))
            names.append(("a", arm, arm.partition("+")[0], 9 if arm == "gan+9" else 0, 1, 1, 1, seed))
    runs = pd.DataFrame(names, columns=["classifier", "arm", "generator", "dose", *LEVELS])
    probabilities = np.eye(2)[np.where(correct, truth, 1 - truth)]
    return Predictions(runs, ("x", "y"), truth, np.arange(images), probabilities)


@pytest.mark.parametrize(("effect", "images"), [(0.04, 800 * (1 - np.exp(-0.4))), (-0.04, -800 * (1 - np.exp(-0.4)))])
def test_effects_are_worth_the_last_real_images_that_bring_as_much(effect, images):
    generator = np.random.default_rng(1)
    covered, found, studies = 0, [], 60
    for _ in range(studies):
        row = worth_in_real_images(study(generator, effect=effect), "baseline", REAL, "accuracy").iloc[0]
        found.append(row["images"])
        low = -np.inf if np.isnan(row["low"]) else row["low"]
        high = np.inf if np.isnan(row["high"]) else row["high"]
        covered += low <= images <= high
    assert np.nanmedian(found) == pytest.approx(images, rel=0.2)
    assert stats.binom.ppf(0.005, studies, 0.95) <= covered


def test_the_curve_of_a_large_study_is_known_well():
    frame = worth_in_real_images(study(np.random.default_rng(2), images=20_000), "baseline", REAL, "accuracy")
    row = frame.iloc[0]
    assert list(frame.columns) == COLUMNS
    assert row["slope"] == pytest.approx(0.1, abs=4 * row["slope_standard_error"])
    assert row["images"] == pytest.approx(800 * (1 - np.exp(-row["effect"] / row["slope"])))
    assert row["low"] < 800 * (1 - np.exp(-0.3)) < row["high"]
    assert row["high"] - row["low"] < 150
    assert row["reason"] == ""
    assert (row["n_real"], row["n_held_back"]) == (800, 600)


ALL = ["images", "low", "high"]


@pytest.mark.parametrize(
    ("slope", "effect", "images", "empty", "reason"),
    [
        (0.03, 0.08, 6_000, ALL, "images: more than all 600 held back; low: more than all 600 held back"),
        (0.03, -0.08, 6_000, ALL, "images: fewer than -600; low: fewer than -600"),
        (-0.05, 0.03, 6_000, ALL, "the metric does not rise with real images"),
        (0.02, 0.0, 100, ALL[1:], "low: the learning curve may be flat; high: the learning curve may be flat"),
    ],
)
def test_beyond_the_curve_there_is_no_number_but_a_reason(slope, effect, images, empty, reason):
    predictions = study(np.random.default_rng(8), slope, effect, images)
    row = worth_in_real_images(predictions, "baseline", REAL, "accuracy").iloc[0]
    assert row["reason"].startswith(reason)
    assert row[empty].isna().all()
    assert row[ALL].isna().sum() == len(empty)


def test_without_known_chance_or_arms_there_is_nothing_to_count():
    generator = np.random.default_rng(4)
    row = worth_in_real_images(study(generator, seeds=1), "baseline", REAL, "accuracy").iloc[0]
    assert row[["images", "low", "high"]].isna().all()
    assert row["reason"] == "chance is not known"
    with pytest.raises(StudyError, match="nothing to count"):
        worth_in_real_images(study(generator), "baseline", {"baseline": 800})


def test_the_interval_of_a_ratio_is_fiellers():
    # The ends are where numerator - ratio x denominator is just as far from 0 as its chance allows.
    low, high = fieller(2.0, 4.0, (0.3, 0.5), 0.1, 1.96)
    for ratio in (low, high):
        error = np.sqrt(0.3 - 2 * ratio * 0.1 + ratio**2 * 0.5)
        assert abs(2 - 4 * ratio) == pytest.approx(1.96 * error)
    assert low < 0.5 < high
    assert fieller(2.0, 1.0, (0.3, 0.5), 0.1, 1.96) == (-np.inf, np.inf)


def test_worth_is_written_from_files(tmp_path):
    predictions = study(np.random.default_rng(5), images=60, seeds=2)
    paths = []
    for number, values in enumerate(predictions.probabilities):
        frame = pd.DataFrame(
            {"image": [f"{place:03}" for place in range(60)], "p_x": values[:, 0], "p_y": values[:, 1]}
        )
        frame["patient"], frame["class"] = frame["image"], np.array(["x", "y"])[predictions.truth]
        paths.append(tmp_path / f"{number}.csv")
        frame.to_csv(paths[-1], index=False)
    # Of two folds, with 9 and 11 patients of a class to train on.
    indices = [tmp_path / f"fold-{fold}.csv" for fold in (1, 2)]
    for path, count in zip(indices, (9, 11), strict=True):
        rows = {"image": range(2 * count), "patient": range(2 * count), "class": ["x", "y"] * count}
        pd.DataFrame(rows).assign(width=8, height=8).to_csv(path, index=False)
    shares = [{"arm": arm, "real_share": count / 800} for arm, count in REAL.items()]
    write_worth(
        paths,
        indices,
        tmp_path / "worth.csv",
        names=predictions.runs.to_dict("records"),
        baseline="baseline",
        shares=shares,
        hold_back_seed=3,
        metric="accuracy",
    )
    counts = {"baseline": 20, "hold_back@0.25": 5, "hold_back@0.5": 10}
    expected = worth_in_real_images(predictions, "baseline", counts, "accuracy")
    written = pd.read_csv(tmp_path / "worth.csv").fillna({"reason": ""})
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)
