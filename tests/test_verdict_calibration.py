"""The verdict on simulated studies, as `benchmarks/verdict_calibration.py` counts it, in small."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark and its simulation, as modules."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import simulated_studies
        import verdict_calibration
    finally:
        sys.path.remove(folder)
    return verdict_calibration, simulated_studies


@pytest.mark.parametrize("case", ["skill differs between trainings", "luck differs between generators"])
def test_equal_arms_rarely_help_and_intervals_hold_the_truth(benchmark, case):
    calibration, simulation = benchmark
    studies = 70
    design = simulation.Design(noise=simulation.Noise(skill=0.4))
    if case == "luck differs between generators":
        # Two independent replicates of an arm, not ten.
        design = simulation.Design(5, 2, arms=tuple(simulation.ARMS[::2]), noise=simulation.Noise(generator_skill=0.6))
    frame = calibration.calibrate(design, studies, seed=1, naive=False).set_index("quantity")
    assert frame.loc[calibration.HELPS, "value"] <= stats.binom.ppf(0.99, studies, 0.05) / studies
    # Arms share a baseline and test patients, so the spread between studies is the measure of chance.
    row = frame.loc[calibration.COVERED]
    chance = 2.6 * (row["high"] - row["value"]) / 1.96
    assert 0.93 - chance <= row["value"] <= 0.97 + chance
    assert frame.loc[calibration.TOGETHER, "value"] >= 0.93 - 2.6 * np.sqrt(0.05 * 0.95 / studies)


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
