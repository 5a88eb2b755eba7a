"""The smallest effect that a study could find, reckoned before anything is trained.

The formula is that of `statistics.comparisons`: Holm's first step over the m arms, (t[1 - alpha / (2 m)] + t[0.8]) x
standard error. Only the standard error is not known yet. Of a class with n images of as many patients, which are
classified right with the recall r, its square is made of

    r (1 - r) [training x (1 / runs of the arm + 1 / runs of the baseline) + arm] / n,

where `training` and `arm` say how much of the variance of being right, r (1 - r), trainings and arms bring. What they
are for one's own images nobody knows beforehand, so there are two assumptions, and the result is a range.

Of a multi-label study the images that surely have a finding and those that surely have it not stand for classes, of as
many recalls: sensitivity and specificity.

Not all runs are independent (`statistics.grid`): where generators are trained several times it is these trainings, and
few of them tell badly how much they differ. This costs degrees of freedom; the spread that chance alone would show
between so few is added, as `statistics.variance` adds what it sees; and in the unfavourable case so is their luck.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.cells import accuracy_cells
from synthworth.findings import ABSENT, PRESENT
from synthworth.published import BASELINE, read_published
from synthworth.statistics.comparisons import POWER
from synthworth.statistics.predictions import LEVELS

# The test images of Schaudt et al. 2023 by class (Table 2).
PUBLISHED_IMAGES = {"Bacterial": 19, "COVID-19": 23, "Fungal": 29, "Healthy": 130, "Viral": 16}
# Of what patients contribute, as if it were normal.
KURTOSIS = 3


@dataclass(frozen=True)
class Assumption:
    """What is assumed of chance.

    `training`: how much trainings of one recipe differ about an image, as a share of r (1 - r): 0 where all say the
    same, 1 where each guesses anew. `own_arm`: how much an arm differs from the baseline about an image in all
    trainings of a classifier, as a share likewise; `shared_arm`: in those of all classifiers. `within_patients`: the
    correlation of that between two images of a class, or between two findings, of a patient, 0 to 1. `recalls`: by
    class, r in [0, 1]; `unknown`: r (1 - r) of other classes.
    """

    training: float
    own_arm: float
    shared_arm: float
    within_patients: float
    recalls: Mapping[str, float]
    unknown: float


def published_assumptions(folder: str | Path) -> tuple[Assumption, Assumption]:
    """A favourable and an unfavourable assumption, from the published tables in `folder` (`published.read_published`).

    The spread of accuracies over five runs in a cell of Table 7 says how much trainings differ: the lower and the upper
    quartile of the 140 cells. What the cells' means differ by beyond that, over generators and doses, is the most that
    arms can differ by about these images (true effects count, too); in the favourable case they do not differ. The part
    of a single classifier counts twice, for the arm and for the baseline; the part that all classifiers share, which
    comes with a generator's images, once. Recalls are those of the baseline of Table 9; for other classes r (1 - r) is
    the mean of these, or 1/4, the largest there is.
    """
    cells = read_published(folder)["cells"]
    recalls = cells[(cells["arm"] == BASELINE) & (cells["metric"] == "recall")].set_index("class")["mean"]
    images = pd.Series(PUBLISHED_IMAGES)
    doubt = recalls * (1 - recalls)
    # The variance of being right, on average over the images.
    whole = (doubt * images).sum() / images.sum()
    accuracy = accuracy_cells(cells)
    accuracy = accuracy[accuracy["n"] > 1]
    # Printed deviations are those of a population.
    variance = accuracy["sd"] ** 2 * accuracy["n"] / (accuracy["n"] - 1)
    training = images.sum() * variance.quantile([0.25, 0.75]) / whole
    own, shared = _between_arms(accuracy, variance)
    classes = {_plain(name): value for name, value in recalls.items()}
    scale = float(images.sum() / whole)
    return (
        Assumption(float(training.iloc[0]), 0.0, 0.0, 0.0, classes, float(doubt.mean())),
        Assumption(float(training.iloc[1]), 2 * own * scale, shared * scale, 1.0, classes, 0.25),
    )


@dataclass(frozen=True)
class Repetitions:
    """How an arm, or the baseline, is repeated: its `runs` of a classifier, and which of them count as independent.

    `level`: what is (of `predictions.LEVELS`, as of `statistics.grid`); `units`: how many of these there are;
    `degrees`: of freedom by which the study knows the spread between them.
    """

    runs: int
    level: str
    units: int
    degrees: int


@dataclass(frozen=True)
class Design:
    """How a study compares an arm: repetitions of the arm and of the baseline, classifiers, arms in all."""

    arm: Repetitions
    baseline: Repetitions
    classifiers: int
    family: int
    confidence: float
    metric: str


def detectable_effect(
    test: pd.DataFrame, design: Design, assumption: Assumption, findings: Sequence[str] = ()
) -> float:
    """The minimum detectable effect of an arm pooled over classifiers, a fraction of the metric; NaN with one run.

    `test` has a row per test image, with `patient`, `class` and its `findings`, as an index has them. For accuracy
    images weigh alike (of each finding), for every other metric classes do: macro F1 and AUROC are reckoned as balanced
    accuracy.
    """
    sides = (design.arm, design.baseline)
    if min(side.units for side in sides) < 2:
        return float("nan")
    training = [assumption.training / side.runs / design.classifiers for side in sides]
    noise = sum(training) + assumption.own_arm / design.classifiers + assumption.shared_arm
    # What trainings of a generator differ by in skill; the trainings of a classifier do so by chance alone.
    luck = [assumption.shared_arm / design.arm.units if design.arm.level != LEVELS[-1] else 0.0, 0.0]
    skill = [own + seen * _excess(side.degrees) for own, seen, side in zip(luck, training, sides, strict=True)]
    parts = _sides(test, findings, design.metric) if findings else _classes(test, design.metric)
    # Of each patient: the sum of the images' variances, and that of their standard deviations.
    apart, together = (pd.Series(0.0, index=test["patient"].unique()) for _ in range(2))
    for name, rows, weight in parts:
        recall = assumption.recalls.get(_plain(name))
        deviation = weight * np.sqrt(assumption.unknown if recall is None else recall * (1 - recall))
        counts = rows.groupby("patient").size()
        apart = apart.add(deviation**2 * counts, fill_value=0)
        together = together.add(deviation * counts, fill_value=0)
    by_patient = apart + assumption.within_patients * (together**2 - apart)
    doubts, fourth = by_patient.sum(), KURTOSIS * ((noise * by_patient) ** 2).sum()
    variance = noise * doubts
    patients = test["patient"].nunique()
    # As `statistics.variance.difference_variance` has it.
    own_degrees = np.clip(2 * variance**2 / max(fourth - variance**2 / patients, np.finfo(float).tiny), 1, patients - 1)
    uncertainty = variance**2 / own_degrees
    between = [doubts * (seen + own) for seen, own in zip(training, luck, strict=True)]
    for level in sorted({side.level for side in sides}):
        own = [place for place, side in enumerate(sides) if side.level == level]
        uncertainty += sum(between[place] for place in own) ** 2 / sides[own[0]].degrees
    variance += doubts * sum(skill)
    degrees = variance**2 / uncertainty
    alpha = 1 - design.confidence
    first_step = stats.t.isf(alpha / (2 * design.family), degrees)
    return float((first_step + stats.t.ppf(POWER, degrees)) * np.sqrt(variance))


def _classes(test: pd.DataFrame, metric: str) -> Iterator[tuple[str, pd.DataFrame, float]]:
    """Each class, its images, and what one of them weighs in the metric."""
    classes = test["class"].nunique()
    for name, rows in test.groupby("class"):
        yield name, rows, 1 / len(test) if metric == "accuracy" else 1 / classes / len(rows)


def _sides(test: pd.DataFrame, findings: Sequence[str], metric: str) -> Iterator[tuple[str, pd.DataFrame, float]]:
    """The images with and without each finding, and what one of them weighs; no recall is known of those without."""
    sides = {name: [test[test[name] == value] for value in (PRESENT, ABSENT)] for name in findings}
    told = {name: both for name, both in sides.items() if min(map(len, both))}
    for name, both in told.items():
        for called, rows in zip((name, ""), both, strict=True):
            images = sum(map(len, both)) if metric == "accuracy" else 2 * len(rows)
            yield called, rows, 1 / len(told) / images


def _excess(degrees: int) -> float:
    """What a ratio of variances that is 1 exceeds 1 by in an estimate of so many degrees of freedom, 0 where less."""
    return float(stats.chi2.sf(degrees, degrees + 2) - stats.chi2.sf(degrees, degrees))


def _between_arms(accuracy: pd.DataFrame, variance: pd.Series) -> tuple[float, float]:
    """The variance of the cells' means, within a classifier and shared by all, beyond that of their runs."""
    synthetic = accuracy[accuracy["dose"] > 0]
    n = synthetic["n"].iloc[0]
    classifiers = synthetic["classifier"].nunique()
    alone = synthetic.groupby("classifier")["mean"].var().mean() - variance.mean() / n
    means = synthetic.groupby(["generator", "dose"])["mean"].mean()
    together = means.var() - variance.mean() / n / classifiers
    own = max((alone - together) / (1 - 1 / classifiers), 0.0)
    return float(own), float(max(alone - own, 0.0))


def _plain(name: str) -> str:
    """A class's name without case and marks: COVID-19 is covid19."""
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())
