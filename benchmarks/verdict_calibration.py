"""How often the verdict is right: simulated studies whose truth is known, judged as a study is, and in two other ways.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/verdict_calibration.py
    [--studies 1000] [--fewer 150] [--csv docs/verdict_calibration.csv] [--figure docs/verdict_calibration.png]

Studies have the paper's 217 test images of five classes, its 27 arms and five seeds (`simulated_studies`): with equal
generators, with one classifier and with five, and with two seeds; and with generators whose trainings differ in skill,
trained once, so that their luck passes for an effect, and trained twice. Where no arm has an effect, the share of
studies that say `helps` (at most 2.5 %) and the share of intervals that hold the truth (93 to 97 %) are counted, by
balanced accuracy in all studies and by the other metrics in fewer. In as many the first arm has an effect of its own
among 26 without: how often it is found, how often its interval holds the effect, how its standard error grows.

Beside it, in fewer studies without an effect, the bootstrap that resamples patients and seeds together, with intervals
of its percentiles; and the t-test of Khosravi et al. 2024 (Synthetically enhanced): independent samples of 1,000
bootstrap replicates each of an arm's and the baseline's score of one run, Bonferroni over arms.

The CSV has a row per number: design, effect (points), metric, quantity, value, low and high (95 %, over studies),
studies.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from calibration_pages import (
    COLUMNS,
    COVERED,
    CROSSED,
    CROSSED_WIDTH,
    DETECTABLE,
    ERROR,
    HARMS,
    HELPS,
    LEVEL,
    NAIVE_ARM,
    NAIVE_STUDY,
    POWER,
    PRIMARY,
    TOGETHER,
    WIDTH,
    calibration_figure,
    calibration_tables,
)
from scipy import stats
from simulated_studies import Design, Noise, Study, simulate

from synthworth.figure_style import DOTS_PER_INCH
from synthworth.files import replacing
from synthworth.statistics.comparisons import compare_arms
from synthworth.statistics.grid import build_grid
from synthworth.statistics.influence import METRICS
from synthworth.statistics.predictions import Predictions

EQUAL, UNEQUAL = "equal generators, trained once", "unequal generators, trained once"
TWICE, CLASSIFIERS = "unequal generators, trained twice", "equal generators, five classifiers"
SEEDS = "equal generators, two seeds"
DESIGNS = {
    EQUAL: Design(),
    CLASSIFIERS: Design(classifiers=5),
    SEEDS: Design(seeds=2),
    UNEQUAL: Design(noise=Noise(generator_skill=0.2)),
    TWICE: Design(generator_seeds=2, noise=Noise(generator_skill=0.2)),
}
# Points of the primary metric. Where luck passes for an effect none is looked for.
EFFECTS = {EQUAL: (3, 5, 10, 15), CLASSIFIERS: (3, 5, 10), SEEDS: (3, 5), UNEQUAL: (), TWICE: (3, 5, 10, 15)}
# Whose effect is exactly 0: the others' arms have trainings of a generator, which the baseline has not.
OTHER_METRICS = {EQUAL: sorted(set(METRICS) - {PRIMARY})}
CHANGED = "gan+100"
BOOTSTRAPS = 1_000

Counted = dict[tuple[float, str, str], float]


def main() -> None:
    """Simulates, writes the CSV, draws the figure, prints the tables of the page and the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1_000)
    parser.add_argument("--fewer", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    frames = []
    for name, design in DESIGNS.items():
        start = time.process_time()
        counted = calibrate(design, arguments.studies, arguments.seed)
        more = calibrate_more(design, arguments.fewer, arguments.seed, EFFECTS[name], OTHER_METRICS.get(name, ()))
        frames.append(pd.concat([counted, more]).assign(design=name))
        print(f"{name}: {time.process_time() - start:.0f} s", file=sys.stderr)
    frame = pd.concat(frames, ignore_index=True)[COLUMNS].round(4)
    frame.to_csv(arguments.csv or sys.stdout, index=False, float_format="%.4f")
    print("\n\n".join(calibration_tables(frame)))
    if arguments.figure:
        with replacing(arguments.figure) as temporary:
            calibration_figure(frame).savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def calibrate(design: Design, studies: int, seed: int) -> pd.DataFrame:
    """What `studies` simulated studies of `design` without any effect say: rows of COLUMNS but the design."""
    generator = np.random.default_rng(seed)
    return _counted([_judged(simulate(design, generator).predictions(), PRIMARY) for _ in range(studies)])


def calibrate_more(
    design: Design, studies: int, seed: int, effects: Sequence[float] = (), metrics: Sequence[str] = ()
) -> pd.DataFrame:
    """The same by other `metrics`, by other methods, and where the arm CHANGED has one of `effects` (points)."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(studies):
        study = simulate(design, generator)
        equal = study.predictions()
        row = _crossed(equal, generator) | _naive(equal, generator)
        for metric in metrics:
            row |= _judged(equal, metric)
        own = _changed_arm(equal)
        for effect in effects:
            row |= _with_effect(study, effect, own)
        rows.append(row)
    return _counted(rows)


def crossed_bootstrap(predictions: Predictions, generator: np.random.Generator) -> pd.DataFrame:
    """Each arm's balanced accuracy from the baseline's, bootstrapped over patients and seeds: rows of arm, low, high.

    In each of 1,000 replicates the patients are drawn anew, the same ones for all runs, and of each arm the repetitions
    that a comparison takes for independent (`statistics.grid`). The interval is of the 2.5 and 97.5 % quantiles.
    """
    grid = build_grid(predictions.runs, "baseline")
    pooled = (grid.rows["classifier"] == "all").to_numpy()
    n_patients = predictions.n_patients
    counts = generator.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=BOOTSTRAPS)
    correct = (predictions.probabilities.argmax(axis=2) == predictions.truth).astype(float)
    values = balanced_accuracies(counts[:, predictions.patients].astype(float), correct, predictions.truth)
    values = values @ grid.averages.T
    means = np.zeros((BOOTSTRAPS, grid.weights.shape[1]))
    for block in range(means.shape[1]):
        own = values[:, grid.block_of_replicate == block]
        size = own.shape[1]
        means[:, block] = (own * generator.multinomial(size, np.full(size, 1 / size), size=BOOTSTRAPS) / size).sum(1)
    low, high = np.quantile(means @ grid.weights[pooled].T, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    return pd.DataFrame({"arm": grid.rows.loc[pooled, "arm"], "low": low, "high": high})


def bootstrap_t_test(predictions: Predictions, generator: np.random.Generator) -> pd.DataFrame:
    """Paper B's comparison of one run of each arm with one of the baseline: rows of arm, effect, p (two-sided).

    Each score (here balanced accuracy) is bootstrapped over images 1,000 times on its own; the two samples of 1,000
    are compared by an independent t-test, as if replicates were observations.
    """
    first = ~predictions.runs.duplicated("arm")
    correct = (predictions.probabilities[first].argmax(axis=2) == predictions.truth).astype(float)
    n = predictions.n_images

    def samples(runs: np.ndarray) -> np.ndarray:
        """Bootstrap replicates of the balanced accuracy, float [B, runs]."""
        counts = generator.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS).astype(float)
        return balanced_accuracies(counts, runs, predictions.truth)

    # One draw for all arms, as good as one each: an arm meets the baseline's replicates alone.
    arms, baseline = samples(correct[1:]), samples(correct[:1])
    p = stats.ttest_ind(arms, baseline, axis=0).pvalue
    names = predictions.runs.loc[first, "arm"].iloc[1:]
    return pd.DataFrame({"arm": names.to_numpy(), "effect": (arms - baseline).mean(axis=0), "p": p})


def balanced_accuracies(weights: np.ndarray, correct: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The balanced accuracy of R runs with each of B weightings of the images, float [B, R].

    `weights` float [B, n], `correct` float [R, n], 0 or 1, `truth` int [n]; a class of no weight is left out.
    """
    recalls = []
    for label in np.unique(truth):
        own = truth == label
        with np.errstate(invalid="ignore"):
            recalls.append((weights[:, own] @ correct[:, own].T) / weights[:, own].sum(axis=1, keepdims=True))
    return np.nanmean(recalls, axis=0)


def _counted(rows: Sequence[Counted]) -> pd.DataFrame:
    """The mean of each number over studies with its 95 % interval, exact for yes or no."""
    counted = []
    for effect, metric, quantity in rows[0]:
        values = np.array([row[effect, metric, quantity] for row in rows], float)
        mean, half = values.mean(), stats.norm.isf(0.025) * values.std(ddof=1) / np.sqrt(len(values))
        low, high = mean - half, mean + half
        if set(values) <= {0, 1}:
            low, high = stats.binomtest(int(values.sum()), len(values)).proportion_ci(0.95)
        counted.append((effect, metric, quantity, mean, low, high, len(values)))
    return pd.DataFrame(counted, columns=COLUMNS[1:])


def _judged(predictions: Predictions, metric: str) -> Counted:
    rows = compare_arms(predictions, "baseline", metric, replicates=500)
    rows = rows[rows["classifier"] == "all"]
    together = (rows["low_simultaneous"] <= 0) & (rows["high_simultaneous"] >= 0)
    return {
        (0, metric, HELPS): (rows["verdict"] == "helps").any(),
        (0, metric, HARMS): (rows["verdict"] == "harms").any(),
        (0, metric, COVERED): ((rows["low"] <= 0) & (rows["high"] >= 0)).mean(),
        (0, metric, TOGETHER): together.all(),
        (0, metric, WIDTH): 100 * (rows["high"] - rows["low"]).mean(),
        (0, metric, DETECTABLE): 100 * rows["minimum_detectable_effect"].mean(),
    }


def _crossed(predictions: Predictions, generator: np.random.Generator) -> Counted:
    rows = crossed_bootstrap(predictions, generator)
    return {
        (0, PRIMARY, CROSSED): ((rows["low"] <= 0) & (rows["high"] >= 0)).mean(),
        (0, PRIMARY, CROSSED_WIDTH): 100 * (rows["high"] - rows["low"]).mean(),
    }


def _naive(predictions: Predictions, generator: np.random.Generator) -> Counted:
    tests = bootstrap_t_test(predictions, generator)
    helps = (tests["effect"] > 0) & (tests["p"] < LEVEL / len(tests))
    return {
        (0, PRIMARY, NAIVE_ARM): (tests["p"] < LEVEL).mean(),
        (0, PRIMARY, NAIVE_STUDY): helps.any(),
    }


def _changed_arm(predictions: Predictions) -> pd.Series:
    rows = compare_arms(predictions, "baseline", PRIMARY, replicates=1)
    return rows.set_index(["classifier", "arm"]).loc["all", CHANGED]


def _with_effect(study: Study, effect: float, without: pd.Series) -> Counted:
    row = _changed_arm(study.predictions(effect / 100, CHANGED))
    return {
        (effect, PRIMARY, POWER): row["verdict"] == "helps",
        (effect, PRIMARY, COVERED): row["low"] <= effect / 100 <= row["high"],
        (effect, PRIMARY, ERROR): row["standard_error"] / without["standard_error"],
    }


if __name__ == "__main__":
    main()
