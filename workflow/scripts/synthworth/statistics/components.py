"""How much of a score's variance each repetition brings: trainings of generators, draws, classifiers, and patients.

The metric of a run is read as a nested layout (`LEVELS`): repeats of the cross-validation, in these generators
trained anew, in these draws of their images, in these trainings of the classifier; and the patients of the test set.
Variances are estimated by the method of moments (analysis of variance: Searle, Casella and McCulloch, Variance
Components, 1992, chapter 5): mean squares are set equal to their expectations. Numbers of runs may differ; estimates
stay unbiased, though other weights might then be sharper.
"""

import numpy as np
import pandas as pd

from synthworth.scores import ALL
from synthworth.statistics.influence import values_and_influences
from synthworth.statistics.predictions import LEVELS, Predictions

PATIENTS, INTERACTION = "patients", "patients_x_training"
COLUMNS = ["classifier", "arm", "metric", "component", "variance", "standard_deviation", "degrees", "n_cells", "remark"]
NEGATIVE = "negative, shown as 0"


def variance_components(predictions: Predictions, metric: str) -> pd.DataFrame:
    """The variance of a single run's `metric` by source: rows for each (classifier, arm), then for all together.

    A row per `component`:

    - `repeat`, `generator_seed`, `draw`, `seed`: between the values of that level, on these test images;
    - `patients`: what other test patients would change in all runs of the cell alike;
    - `patients_x_training`: no further part. It is that share of the four levels by which runs disagree on single
      patients; the rest is overall skill.

    The four levels and `patients` add up to the variance of a run on other test patients. Columns: `variance` in
    squared percentage points and its root, `standard_deviation`, in points; `degrees` of freedom (units of the level
    less units of the level above; patients less one); `n_cells` averaged; `remark`. What cannot be estimated is
    empty and `remark` says why. A level with one value in each unit of the level above is part of the latter, which
    the remark says. Estimates below 0 are shown as 0, with a remark. Those of all cells together (classifier and arm
    `all`) are means over the cells that have one, before 0 takes the place of negative ones; `degrees` are summed.
    """
    values, influences = values_and_influences(
        metric, predictions.truth, predictions.patients, predictions.probabilities
    )
    runs = predictions.runs.reset_index(drop=True)
    rows = []
    for (classifier, arm), own in runs.groupby(["classifier", "arm"], sort=False).indices.items():
        estimates = _of_cell(values[own], influences[own], runs.iloc[own])
        rows.append(estimates.assign(classifier=classifier, arm=arm, n_cells=1))
    cells = pd.concat(rows, ignore_index=True)
    frame = pd.concat([cells, _pooled(cells)], ignore_index=True).assign(metric=metric)
    negative = frame["variance"] < 0
    frame.loc[negative, "remark"] = [f"{remark}; {NEGATIVE}".lstrip("; ") for remark in frame.loc[negative, "remark"]]
    frame["variance"] = 10_000 * frame["variance"].clip(lower=0)
    return frame.assign(standard_deviation=np.sqrt(frame["variance"]))[COLUMNS]


def nested_components(values: np.ndarray, levels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances between the units of each of L nested levels, for M columns of `values` [R, M].

    `levels`: R rows, L columns, the outermost first; a unit is a value of a level within one of the level above.
    Returns the estimates, float [L, M], NaN for levels with one value in each unit (their variance is then within
    the level above); degrees of freedom, int [L]; and, float [L], how much of each variance the mean of all values
    has: the sum over units of their squared share of the runs.
    """
    depth, n_runs = levels.shape[1], len(levels)
    units = [np.zeros(n_runs, int)]
    for level in range(depth):
        units.append(levels.groupby(list(levels.columns[: level + 1]), sort=False).ngroup().to_numpy())
    sizes = [np.bincount(unit) for unit in units]
    degrees = np.diff([len(size) for size in sizes])
    sums, expectations = [], []
    for unit, size in zip(units, sizes, strict=True):
        total = np.zeros((len(size), values.shape[1]))
        np.add.at(total, unit, values)
        sums.append((total**2 / size[:, None]).sum(axis=0))
        # Of each level's variance, the expectation of the sum of squares of these units' means.
        expectations.append([(_shared(unit, other) ** 2 / size[:, None]).sum() for other in units[1:]])
    estimable = np.flatnonzero(degrees > 0)
    estimates = np.full((depth, values.shape[1]), np.nan)
    coefficients = np.diff(expectations, axis=0)[np.ix_(estimable, estimable)]
    estimates[estimable] = np.linalg.solve(coefficients, np.diff(sums, axis=0)[estimable])
    return estimates, degrees, np.array([(size**2).sum() for size in sizes[1:]]) / n_runs**2


def _shared(unit: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The number of runs that each unit of one level has in common with each of another, int [U, V]."""
    counts = np.zeros((unit.max() + 1, other.max() + 1))
    np.add.at(counts, (unit, other), 1)
    return counts


def _of_cell(values: np.ndarray, influences: np.ndarray, runs: pd.DataFrame) -> pd.DataFrame:
    """The raw estimates of a cell, as fractions squared: component, variance, degrees, remark."""
    n_patients = influences.shape[1]
    estimates, degrees, in_mean = nested_components(np.column_stack([values, influences]), runs[LEVELS])
    known = degrees > 0
    by_patient = estimates[:, 1:].sum(axis=1)
    rows = []
    for place, level in enumerate(LEVELS):
        if known[place]:
            hidden = LEVELS[place + 1 : next((at for at in range(place + 1, len(LEVELS)) if known[at]), len(LEVELS))]
            remark = f"includes {' and '.join(hidden)}" if hidden else ""
        else:
            remark = f"not estimable: one {level.replace('_', ' ')}"
        rows.append((level, estimates[place, 0], degrees[place], remark))
    main = (influences.mean(axis=0) ** 2).sum() - (in_mean[known] * by_patient[known]).sum()
    unknown = "not estimable: a class with one patient" if np.isnan(influences).any() else ""
    rows.append((PATIENTS, main, n_patients - 1, unknown or ("" if known.any() else f"includes {INTERACTION}")))
    disagreement = by_patient[known].sum() if known.any() else np.nan
    freedom = degrees.sum() * (n_patients - 1)
    rows.append((INTERACTION, disagreement, freedom, unknown or ("" if known.any() else "not estimable: one run")))
    return pd.DataFrame(rows, columns=["component", "variance", "degrees", "remark"])


def _pooled(cells: pd.DataFrame) -> pd.DataFrame:
    """The means over cells of the raw estimates."""
    rows = []
    for component, own in cells.groupby("component", sort=False):
        known = own[own["variance"].notna()]
        remarks = known["remark"] if len(known) else own["remark"]
        rows.append(
            {
                "component": component,
                "variance": known["variance"].mean(),
                "degrees": known["degrees"].sum(),
                "n_cells": len(known),
                "remark": "; ".join(sorted(set(remarks) - {""})),
            }
        )
    return pd.DataFrame(rows).assign(classifier=ALL, arm=ALL)
