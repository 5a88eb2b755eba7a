"""Do the scores of generators tell what readers see: rank correlations of mean ratings with FID, KID and utility."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.ratings.scales import ALL, FOR_REAL, REAL
from synthworth.ratings.summaries import image_means
from synthworth.replicates import original

COLUMNS = ["score", "against", "extractor", "reference", "over", "coefficient", "value", "p", "n", "n_generators"]
COLUMNS += ["reason"]
UTILITY = "utility"
CELLS, GENERATORS = "cells", "generators"
COEFFICIENTS = ("spearman", "kendall")
LEAST = 3
# Up to so many arrangements of the generators all are gone through: those of seven.
ALL_ARRANGEMENTS = 5040
ROUNDING = 1e-9


def rating_correlations(
    rows: pd.DataFrame, fidelity: pd.DataFrame, comparisons: pd.DataFrame, arms: Mapping[str, str], seed: int
) -> pd.DataFrame:
    """Spearman's and Kendall's rank correlation (tau b) of mean ratings with other scores: columns COLUMNS.

    With each metric of `fidelity` (as `fidelity.csv`, the selected checkpoints) over the cells generator x class
    (`cells`) and over generators, whose values are means over classes; with `utility` over generators: the mean effect
    of their arms in `comparisons` (as `comparisons.csv`, pooled over classifiers), of which `arms` names those that
    count with their generators. Ratings are means over images, each image the mean of its readers. Of
    `preference`, which is positive where the real image won, the opposite is taken: as all other ratings, it then is
    the higher, the better readers find the generator.

    `p` is two-sided, from arrangements of whole generators: their cells come from one model, or one recipe, and do not
    count as independent. All arrangements of up to seven generators, else as many random ones, from `seed`. `n` counts
    points. `reason` says why a value is missing: fewer than three points, or one side that does not vary.
    """
    means = image_means(rows)
    means = means[means["source"] != REAL]
    found = []
    for score, own in means.groupby("score", sort=False):
        table = own.pivot_table(index="source", columns="class", values="value") * (-1 if score in FOR_REAL else 1)
        for names, other in _metrics(fidelity):
            for over in (CELLS, GENERATORS):
                found += _rows({"score": score, **names, "over": over}, *_matched(table, other, over), seed)
        # Statistics of classifiers call the trainings of one generator the same.
        rated = table.groupby(table.index.map(original)).mean().mean(axis=1).to_frame(ALL)
        names = {"score": score, "against": UTILITY, "extractor": "", "reference": "", "over": GENERATORS}
        found += _rows(names, *_matched(rated, _utility(comparisons, arms), GENERATORS), seed)
    return pd.DataFrame(found, columns=COLUMNS)


def correlate(x: np.ndarray, y: np.ndarray, coefficient: str, seed: int) -> tuple[float, float]:
    """The rank correlation of all values of x and y [generators, cells], and its p over arrangements of generators.

    The p is twice the smaller tail, as of `scipy.stats.permutation_test`, and at most 1.
    """
    generators = len(x)
    if factorial(generators) <= ALL_ARRANGEMENTS:
        orders = np.array(list(permutations(range(generators))))
    else:
        random = np.random.default_rng(seed)
        drawn = random.permuted(np.tile(np.arange(generators), (ALL_ARRANGEMENTS - 1, 1)), axis=1)
        orders = np.concatenate([np.arange(generators)[None], drawn])
    first, second = (_signs(x), _signs(y)) if coefficient == "kendall" else (_ranks(x), _ranks(y))
    values = np.array([_product(first, second, order) for order in orders])
    tails = [(values >= values[0] - ROUNDING).mean(), (values <= values[0] + ROUNDING).mean()]
    return float(values[0]), float(min(1, 2 * min(tails)))


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks [generators, cells], centred and of length 1."""
    ranks = stats.rankdata(x).reshape(x.shape)
    ranks -= ranks.mean()
    return ranks / np.linalg.norm(ranks)


def _signs(x: np.ndarray) -> np.ndarray:
    """Which of each two values is larger [generators, cells, generators, cells], of length 1."""
    flat = x.ravel()
    signs = np.sign(np.subtract.outer(flat, flat))
    return (signs / np.linalg.norm(signs)).reshape(x.shape * 2)


def _product(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> float:
    """The correlation with the generators of the second side in another order."""
    moved = second[order] if second.ndim == 2 else second[order][:, :, order]
    return float(np.vdot(first, moved))


def _metrics(fidelity: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Each metric's names and its values, generators x classes."""
    chosen = fidelity[fidelity["selected"].eq(True) & (fidelity["class"] != ALL)]
    for (metric, extractor, reference), own in chosen.groupby(["metric", "extractor", "reference"], sort=False):
        names = {"against": metric, "extractor": extractor, "reference": reference}
        yield names, own.pivot_table(index="generator", columns="class", values="value", aggfunc="first")


def _utility(comparisons: pd.DataFrame, arms: Mapping[str, str]) -> pd.DataFrame:
    """The mean effect of each generator's arms, generators x one column."""
    pooled = comparisons[(comparisons["classifier"] == ALL) & comparisons["arm"].isin(list(arms))]
    return pooled.groupby(pooled["arm"].map(arms))["effect"].mean().to_frame(ALL)


def _matched(rated: pd.DataFrame, other: pd.DataFrame, over: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sides [generators, cells], of the generators that both have in full, and of the classes that both have."""
    generators, classes = rated.index.intersection(other.index), rated.columns.intersection(other.columns)
    sides = [frame.loc[generators, classes] for frame in (rated, other)]
    whole = sides[0].notna().all(axis=1) & sides[1].notna().all(axis=1)
    x, y = (side[whole].to_numpy(float) for side in sides)
    return (x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)) if over == GENERATORS else (x, y)


def _rows(names: dict[str, str], x: np.ndarray, y: np.ndarray, seed: int) -> Iterator[dict[str, object]]:
    reason = ""
    if x.size < LEAST:
        reason = f"fewer than {LEAST} points"
    elif np.ptp(x) == 0 or np.ptp(y) == 0:
        reason = f"all {'ratings' if np.ptp(x) == 0 else 'values of ' + names['against']} are equal"
    for coefficient in COEFFICIENTS:
        value, p = (np.nan, np.nan) if reason else correlate(x, y, coefficient, seed)
        counts = {"n": x.size, "n_generators": len(x), "reason": reason}
        yield names | {"coefficient": coefficient, "value": value, "p": p} | counts
