"""The verdict on simulated studies, as `benchmarks/verdict_calibration.py` counts it, in small."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthworth.statistics.comparisons import compare_arms

HOUSE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark and its simulation, as modules."""
    folder = str(HOUSE / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import simulated_studies
        import verdict_calibration
    finally:
        sys.path.remove(folder)
    return verdict_calibration, simulated_studies


@pytest.fixture(scope="module")
def pages(benchmark):
    """What makes the page out of the benchmark's numbers: a module that the benchmark has imported."""
    import calibration_pages

    return calibration_pages


@pytest.fixture(scope="module")
def numbers():
    """The numbers of the page."""
    frame = pd.read_csv(HOUSE / "docs/verdict_calibration.csv")
    return frame.set_index(["design", "effect", "metric", "quantity"]).sort_index()


@pytest.mark.parametrize("case", ["skill differs between trainings", "luck differs between generators"])
def test_equal_arms_rarely_help_and_intervals_hold_the_truth(benchmark, pages, case):
    calibration, simulation = benchmark
    studies = 70
    design = simulation.Design(noise=simulation.Noise(skill=0.4))
    if case == "luck differs between generators":
        # Two independent replicates of an arm, not ten.
        design = simulation.Design(5, 2, arms=tuple(simulation.ARMS[::2]), noise=simulation.Noise(generator_skill=0.6))
    frame = calibration.calibrate(design, studies, seed=1).set_index("quantity")
    assert frame.loc[calibration.HELPS, "value"] <= stats.binom.ppf(0.99, studies, pages.HELPS_AT_MOST) / studies
    # Arms share a baseline and test patients, so the spread between studies is the measure of chance.
    row = frame.loc[calibration.COVERED]
    chance = 2.6 * (row["high"] - row["value"]) / 1.96
    assert 0.93 - chance <= row["value"] <= 0.97 + chance
    assert frame.loc[calibration.TOGETHER, "value"] >= 0.93 - 2.6 * np.sqrt(0.05 * 0.95 / studies)


def test_the_crossed_bootstrap_is_wide_where_seeds_are_several_and_narrow_where_they_are_few(benchmark):
    calibration, simulation = benchmark
    generator = np.random.default_rng(4)
    arms = tuple(simulation.ARMS[:3])
    ratio = {}
    for case, design in {
        "five trainings of a classifier": simulation.Design(arms=arms, noise=simulation.Noise(arm=0, generator=0)),
        "two of an unequal generator": simulation.Design(5, 2, arms=arms, noise=simulation.Noise(generator_skill=0.6)),
    }.items():
        widths = []
        for _ in range(12):
            study = simulation.simulate(design, generator).predictions()
            own = compare_arms(study, "baseline", replicates=1)
            crossed = calibration.crossed_bootstrap(study, generator)
            assert list(crossed["arm"]) == list(own.loc[own["classifier"] == "all", "arm"])
            reach = (own["high"] - own["low"])[own["classifier"] == "all"].mean()
            widths.append([(crossed["high"] - crossed["low"]).mean(), reach])
        ratio[case] = np.divide(*np.mean(widths, axis=0))
    # It counts the disagreement of trainings about patients three times, and sees half of the spread of two.
    assert ratio["five trainings of a classifier"] > 1.2
    assert ratio["two of an unequal generator"] < 0.85


def test_resampled_balanced_accuracies_are_those_of_the_resampled_images(benchmark):
    calibration, _ = benchmark
    generator = np.random.default_rng(5)
    truth, correct = generator.integers(0, 3, 30), generator.integers(0, 2, (4, 30)).astype(float)
    weights = generator.multinomial(30, np.full(30, 1 / 30), size=2).astype(float)
    found = calibration.balanced_accuracies(weights, correct, truth)
    for row, counts in zip(found, weights.astype(int), strict=True):
        drawn = np.repeat(np.arange(30), counts)
        for value, right in zip(row, correct, strict=True):
            recalls = [right[drawn][truth[drawn] == label].mean() for label in range(3)]
            assert value == pytest.approx(np.mean(recalls))


def test_the_t_test_on_bootstraps_finds_what_is_not_there(benchmark):
    calibration, simulation = benchmark
    generator = np.random.default_rng(2)
    studies = [simulation.simulate(simulation.Design(seeds=1), generator).predictions() for _ in range(10)]
    tests = [calibration.bootstrap_t_test(study, generator) for study in studies]
    assert np.mean([(frame["p"] < 0.05).mean() for frame in tests]) > 0.8
    # Of equal scores it makes little: what misleads is the number of replicates, not the sign.
    assert abs(np.mean([frame["effect"].mean() for frame in tests])) < 0.03


def test_simulated_arms_have_the_true_effect_that_was_asked_for(benchmark):
    _, simulation = benchmark
    generator = np.random.default_rng(3)
    noise = simulation.Noise(skill=0.3, generator_skill=0.3)
    design = simulation.Design(seeds=1, generator_seeds=2, arms=(("gan", 100),), noise=noise)
    effects = []
    for _ in range(400):
        study = simulation.simulate(design, generator).predictions(0.1, "gan+100")
        right = study.probabilities.argmax(axis=2) == study.truth
        recall = np.mean([right[:, study.truth == label].mean(axis=1) for label in range(5)], axis=0)
        effects.append(recall[1:].mean() - recall[0])
    assert np.mean(effects) == pytest.approx(0.1, abs=3.5 * np.std(effects) / np.sqrt(400))


def test_the_tables_of_the_page_are_those_of_its_numbers(benchmark):
    calibration, _ = benchmark
    frame = pd.read_csv(HOUSE / "docs/verdict_calibration.csv")
    page = (HOUSE / "docs/verdict.md").read_text(encoding="utf-8")
    for table in calibration.calibration_tables(frame):
        assert table in page


def test_the_words_of_the_page_have_its_numbers(benchmark, pages, numbers):
    calibration, _ = benchmark
    words = " ".join((HOUSE / "docs/verdict.md").read_text(encoding="utf-8").split())

    def number(design, quantity, effect=0):
        return numbers.loc[(design, effect, pages.PRIMARY, quantity)]

    def percent(*row, decimals=0):
        return f"{100 * number(*row)['value']:.{decimals}f}"

    equal, seeds = calibration.EQUAL, calibration.SEEDS
    growth = [f"{number(equal, pages.ERROR, effect)['value']:.2f}" for effect in (10, 15)]
    assert f"at 10 points is {growth[0]} times that without an effect, at 15 points {growth[1]} times" in words
    found = [percent(equal, pages.POWER, effect) for effect in (10, 15)]
    assert f" {found[0]} % of studies find 10 points and {found[1]} % find 15, " in words
    detectable = number(equal, pages.DETECTABLE)["value"]
    assert f" the {detectable:.1f} points that studies without an effect report" in words
    naive = sorted(int(percent(design, pages.NAIVE_STUDY)) for design in calibration.DESIGNS)
    assert f"a better arm among equal ones in {naive[0]} to {naive[-1]} % of studies" in words
    kept = sorted(
        percent(design, pages.HELPS, decimals=1) for design in set(calibration.DESIGNS) - {calibration.UNEQUAL}
    )
    unequal, naive = (
        percent(*row, decimals=1) for row in [(calibration.UNEQUAL, pages.HELPS), (equal, pages.NAIVE_STUDY)]
    )
    assert f"that say helps: {kept[0]} to {kept[-1]} percent, {unequal} where unequal" in words
    assert f" trained once, {naive} by the t-test" in words
    for way, covered, width in [
        ("as here", pages.COVERED, pages.WIDTH),
        ("bootstrap of patients and seeds, percentiles", pages.CROSSED, pages.CROSSED_WIDTH),
    ]:
        row = number(seeds, covered)
        value, low, high = (f"{100 * row[name]:.1f}" for name in ("value", "low", "high"))
        size = f"{number(seeds, width)['value']:.1f} points | {row['studies']:,.0f}"
        assert f"| {way} | {value} % ({low} to {high}) | {size} |" in words


def test_the_promises_of_the_page_are_kept_by_its_numbers(benchmark, pages, numbers):
    calibration, _ = benchmark
    page = (HOUSE / "docs/verdict.md").read_text(encoding="utf-8")
    assert f'"Helps" is by design wrong in at most {100 * pages.HELPS_AT_MOST:g} % of studies' in page
    frame = numbers
    assert set(frame.index.unique("design")) == set(calibration.DESIGNS)
    for name in set(calibration.DESIGNS) - {calibration.UNEQUAL}:
        own = frame.loc[name, 0, calibration.PRIMARY]
        assert own.loc[calibration.HELPS, "studies"] >= 1000
        # The studies are of one seed, so that chance decides nothing here. Their interval leaves the rate half as
        # much again at most.
        assert own.loc[calibration.HELPS, "value"] <= pages.HELPS_AT_MOST
        assert own.loc[calibration.HELPS, "high"] < 1.5 * pages.HELPS_AT_MOST
        assert 0.93 < own.loc[calibration.COVERED, "value"] < 0.97
    for metric in ("accuracy", "macro_f1", "macro_auroc"):
        own = frame.loc[calibration.EQUAL, 0, metric]
        # In fewer studies.
        assert own.loc[calibration.COVERED, "low"] < 0.97
        assert own.loc[calibration.COVERED, "high"] > 0.93
    assert frame.loc[(calibration.EQUAL, 0, calibration.PRIMARY, calibration.NAIVE_STUDY), "low"] > 0.8
    # One training of a generator breaks all of these, as the page says.
    once = frame.loc[calibration.UNEQUAL, 0, calibration.PRIMARY]
    assert once.loc[calibration.HELPS, "low"] > pages.HELPS_AT_MOST
    assert once.loc[[calibration.HELPS, calibration.HARMS], "low"].sum() > pages.LEVEL
    assert once.loc[calibration.COVERED, "high"] < 1 - pages.LEVEL
