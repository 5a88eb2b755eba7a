"""How often the verdict is right: simulated studies whose truth is known, judged as a study is, and as paper B judges.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/verdict_calibration.py
    [--studies 1000] [--csv calibration.csv] [--figure docs/verdict_calibration.png]

Studies have the paper's 217 test images of five classes, its 27 arms and five seeds (`simulated_studies`): with equal
generators, with one classifier and with five; and with generators whose trainings differ in skill, trained once, so
that their luck passes for an effect, and trained twice. Where no arm has an effect, the share of studies that say
`helps` (at most 5 %) and the share of intervals that hold the truth (93 to 97 %) are counted; then the power of the
first arm with an effect of its own among 26 without. Beside it the t-test of Khosravi et al. 2024 (Synthetically
enhanced): independent samples of 1,000 bootstrap replicates each of an arm's and the baseline's score of one run,
Bonferroni over arms.

The CSV has a row per number: design, effect (points), quantity, value, low and high (95 %, over studies), studies.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from simulated_studies import Design, Noise, Study, simulate

from synthworth.figure_style import DOTS_PER_INCH, GENERATOR_COLOURS, GREY, PAGE_WIDTH, STYLE
from synthworth.files import replacing
from synthworth.statistics.comparisons import compare_arms
from synthworth.statistics.predictions import Predictions

EQUAL, UNEQUAL = "equal generators, trained once", "unequal generators, trained once"
TWICE, CLASSIFIERS = "unequal generators, trained twice", "equal generators, five classifiers"
DESIGNS = {
    EQUAL: Design(),
    CLASSIFIERS: Design(classifiers=5),
    UNEQUAL: Design(noise=Noise(generator_skill=0.2)),
    TWICE: Design(generator_seeds=2, noise=Noise(generator_skill=0.2)),
}
EFFECTS = {EQUAL: (0.03, 0.05, 0.1, 0.15), CLASSIFIERS: (0.03, 0.05, 0.1), TWICE: (0.03, 0.05, 0.1, 0.15)}
CHANGED = "gan+100"
LEVEL = 0.05
BOOTSTRAPS = 1_000
HELPS, HARMS, COVERED, TOGETHER = "helps", "harms", "intervals with the truth", "all simultaneous intervals"
POWER, DETECTABLE, NAIVE_ARM = "power", "minimum detectable effect", "t-test on bootstraps: arms at p < 0.05"
NAIVE_STUDY = "t-test on bootstraps: studies that say helps"


def main() -> None:
    """Simulates, writes the CSV, draws the figure, prints both the table and the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    frames = []
    for name, design in DESIGNS.items():
        start = time.process_time()
        counted = calibrate(design, arguments.studies, arguments.seed, EFFECTS.get(name, ()), name == EQUAL)
        frames.append(counted.assign(design=name))
        print(f"{name}: {time.process_time() - start:.0f} s", file=sys.stderr)
    frame = pd.concat(frames, ignore_index=True)[["design", "effect", "quantity", "value", "low", "high", "studies"]]
    frame.to_csv(arguments.csv or sys.stdout, index=False, float_format="%.4f")
    if arguments.figure:
        with replacing(arguments.figure) as temporary:
            calibration_figure(frame).savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def calibrate(
    design: Design, studies: int, seed: int, effects: tuple[float, ...] = (), naive: bool = True
) -> pd.DataFrame:
    """What `studies` simulated studies of `design` say: rows of effect (points), quantity, value, low, high, studies.

    `effects` (fractions): for the power, of the arm CHANGED. `naive`: whether to count paper B's test too.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(studies):
        study = simulate(design, generator)
        rows.append(_without_effect(study.predictions()))
        if naive:
            rows[-1] |= _naive(study.predictions(), generator)
        for effect in effects:
            rows[-1][POWER, 100 * effect] = _is_found(study, effect)
    counted = []
    for quantity, effect in rows[0]:
        values = np.array([row[quantity, effect] for row in rows], float)
        counted.append({"effect": effect, "quantity": quantity, **_mean(values), "studies": studies})
    return pd.DataFrame(counted)


def bootstrap_t_test(predictions: Predictions, generator: np.random.Generator) -> pd.DataFrame:
    """Paper B's comparison of one run of each arm with one of the baseline: rows of arm, effect, p (two-sided).

    Each score (here balanced accuracy) is bootstrapped over images 1,000 times on its own; the two samples of 1,000
    are compared by an independent t-test, as if replicates were observations.
    """
    first = ~predictions.runs.duplicated("arm")
    correct = (predictions.probabilities[first].argmax(axis=2) == predictions.truth).astype(float)
    n = predictions.n_images
    labels = np.eye(len(predictions.classes))[predictions.truth]

    def samples(runs: np.ndarray) -> np.ndarray:
        """Bootstrap replicates of the balanced accuracy, float [B, runs]."""
        counts = generator.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS).astype(float)
        hits = np.stack([(counts * label) @ runs.T for label in labels.T])
        with np.errstate(invalid="ignore"):
            return np.nanmean(hits / (counts @ labels).T[:, :, None], axis=0)

    # One draw for all arms, as good as one each: an arm meets the baseline's replicates alone.
    arms, baseline = samples(correct[1:]), samples(correct[:1])
    p = stats.ttest_ind(arms, baseline, axis=0).pvalue
    names = predictions.runs.loc[first, "arm"].iloc[1:]
    return pd.DataFrame({"arm": names.to_numpy(), "effect": (arms - baseline).mean(axis=0), "p": p})


def calibration_figure(frame: pd.DataFrame) -> Figure:
    """False alarms, coverage and power, from the frame that `main` writes."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.1), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=[1.05, 0.8, 1.15])
        names = [name for name in DESIGNS if (frame["design"] == name).any()]
        looks = dict(zip(names, zip(GENERATOR_COLOURS, "os^D", strict=False), strict=False))
        _false_alarms(axes[0], frame, names, looks)
        _coverage(axes[1], frame, names, looks)
        _power(axes[2], frame, names, looks)
    return figure


def _mean(values: np.ndarray) -> dict[str, float]:
    """The mean over studies with its 95 % interval, exact for yes or no."""
    mean, half = values.mean(), stats.norm.isf(0.025) * values.std(ddof=1) / np.sqrt(len(values))
    low, high = mean - half, mean + half
    if set(values) <= {0, 1}:
        low, high = stats.binomtest(int(values.sum()), len(values)).proportion_ci(0.95)
    return {"value": mean, "low": low, "high": high}


def _without_effect(predictions: Predictions) -> dict[tuple[str, float], float]:
    rows = compare_arms(predictions, "baseline", replicates=500)
    rows = rows[rows["classifier"] == "all"]
    together = (rows["low_simultaneous"] <= 0) & (rows["high_simultaneous"] >= 0)
    return {
        (HELPS, 0.0): (rows["verdict"] == "helps").any(),
        (HARMS, 0.0): (rows["verdict"] == "harms").any(),
        (COVERED, 0.0): ((rows["low"] <= 0) & (rows["high"] >= 0)).mean(),
        (TOGETHER, 0.0): together.all(),
        (DETECTABLE, 0.0): 100 * rows["minimum_detectable_effect"].mean(),
    }


def _naive(predictions: Predictions, generator: np.random.Generator) -> dict[tuple[str, float], float]:
    tests = bootstrap_t_test(predictions, generator)
    helps = (tests["effect"] > 0) & (tests["p"] < LEVEL / len(tests))
    return {(NAIVE_ARM, 0.0): (tests["p"] < LEVEL).mean(), (NAIVE_STUDY, 0.0): helps.any()}


def _is_found(study: Study, effect: float) -> bool:
    rows = compare_arms(study.predictions(effect, CHANGED), "baseline", replicates=1)
    return rows.set_index(["classifier", "arm"]).loc[("all", CHANGED), "verdict"] == "helps"


def _false_alarms(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """The share of studies without an effect that say `helps`, by design and by paper B's test."""
    rows = [(name, HELPS, *looks[name]) for name in names] + [(names[0], NAIVE_STUDY, GREY, "X")]
    for place, (name, quantity, colour, marker) in enumerate(rows):
        row = _row(frame, name, quantity)
        axes.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour)
        axes.plot([100 * row["value"]], [place], color=colour, marker=marker, markersize=6)
        right = row["value"] < 0.5
        # Clear of the dashed line.
        beside = max(100 * row["high"], 100 * LEVEL) if right else 100 * row["low"]
        axes.annotate(
            f"{100 * row['value']:.1f} %",
            (beside, place),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
        )
    axes.axvline(100 * LEVEL, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [*(name.replace(", ", ",\n") for name in names), "t-test on\nbootstraps"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("Studies that say “helps” (%)")
    axes.set_title("No arm has an effect", loc="left")


def _coverage(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """The share of 95 % intervals with the truth."""
    axes.axvspan(93, 97, color="#EEEEEE", linewidth=0)
    axes.axvline(95, color=GREY, linewidth=0.8, linestyle="--")
    for place, name in enumerate(names):
        row = _row(frame, name, COVERED)
        axes.plot([100 * row["low"], 100 * row["high"]], [place, place], color=looks[name][0])
        axes.plot([100 * row["value"]], [place], color=looks[name][0], marker=looks[name][1], markersize=6)
    axes.set_yticks(range(len(names)), [""] * len(names))
    # Level with the designs of the panel to the left.
    axes.set_ylim(len(names) + 0.5, -0.5)
    axes.set_xlim(84, 99)
    axes.set_xticks([85, 90, 95])
    axes.set_xlabel("95 % intervals\nwith the truth (%)")
    axes.set_title("Coverage", loc="left")


def _power(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """How often an arm with an effect is found."""
    for name in names:
        rows = frame[(frame["design"] == name) & (frame["quantity"] == POWER)]
        if rows.empty:
            continue
        error = 100 * np.array([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        colour, marker = looks[name]
        axes.errorbar(
            rows["effect"],
            100 * rows["value"],
            error,
            color=colour,
            marker=marker,
            markersize=5,
            elinewidth=1,
        )
    axes.axhline(80, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_ylim(-3, 103)
    axes.set_xlim(0, 16)
    axes.set_xticks([0, 3, 5, 10, 15])
    axes.set_xlabel("True effect of one arm\n(points of balanced accuracy)")
    axes.set_ylabel("Found (%)")
    axes.set_title("Power", loc="left")


def _row(frame: pd.DataFrame, design: str, quantity: str) -> pd.Series:
    return frame[(frame["design"] == design) & (frame["quantity"] == quantity)].iloc[0]


if __name__ == "__main__":
    main()
