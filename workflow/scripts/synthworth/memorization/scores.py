"""The formulas of the audit, on distances: what they say of copying is explained where they are defined."""

import numpy as np
from scipy.special import stdtrit
from scipy.stats import beta, rankdata

# A cell with fewer images of either kind says nothing of its own.
LEAST_PER_CELL = 20


def authentic(distance: np.ndarray, own_distance: np.ndarray) -> np.ndarray:
    """Which images are authentic, bool [n]; their share is AuthPct (Alaa et al. 2022, section 3, authenticity).

    An image is authentic if its `distance` to the nearest training image is larger than `own_distance`, the distance
    of that training image to the nearest other training image. Real images that were not trained on are authentic
    about half the time, not always: AuthPct is read beside theirs.
    """
    return np.asarray(distance) > np.asarray(own_distance)


def c_t(
    synthetic: np.ndarray,
    held_out: np.ndarray,
    synthetic_cells: np.ndarray | None = None,
    held_out_cells: np.ndarray | None = None,
    least: int = LEAST_PER_CELL,
) -> float:
    """The C_T statistic of Meehan, Chaudhuri and Dasgupta 2020 (section 4): far below 0 for copying.

    `synthetic` [n] and `held_out` [m] are distances to the nearest training image. Within a cell of feature space it
    is the z-score of Mann and Whitney's U, the number of pairs in which the synthetic image is farther from the
    training set, equal ones as halves; over cells, the mean of those weighted by their held-out images. Cells count
    that have `least` images of both kinds; where none has, or no cells are given, all is one cell. Ties, which exact
    copies make, are corrected for; where all distances are equal, it is 0.
    """
    synthetic, held_out = np.asarray(synthetic), np.asarray(held_out)
    if synthetic_cells is not None:
        parts = [(synthetic_cells == cell, held_out_cells == cell) for cell in np.unique(held_out_cells)]
        parts = [(ours, theirs) for ours, theirs in parts if min(ours.sum(), theirs.sum()) >= least]
        if parts:
            z = [_z(synthetic[ours], held_out[theirs]) for ours, theirs in parts]
            return float(np.average(z, weights=[theirs.sum() for _, theirs in parts]))
    return _z(synthetic, held_out)


def gap(to_train: np.ndarray, to_held_out: np.ndarray) -> float:
    """The generalisation gap, in [-1, 1]: (T - H) / (T + H), below 0 for copying.

    T and H are the mean distances from the synthetic images to the nearest of equally many training and held-out
    images. It is the idea of FLD's gap (Jiralerspong et al. 2023, section 3.3) without a density. 0 where both are 0.
    """
    return float(_gaps(np.mean(to_train), np.mean(to_held_out)))


def gap_interval(
    to_train: np.ndarray, to_held_out: np.ndarray, without: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """The interval of `gap` over other images of the generator and other held-out patients; (-1, 1) for one image.

    `without` [n, parts] is `to_held_out` without each part of the held-out patients. The variances of both sides add
    (Arvesen 1969): the jackknife leaves out one synthetic image, or one part, at a time. Student's t has one degree of
    freedom less than there are images or parts, whichever are fewer.
    """
    n, parts = without.shape
    if n < 2:
        return -1.0, 1.0
    value = gap(to_train, to_held_out)
    train, held_out = np.mean(to_train), without.mean(axis=0)
    ours = _gaps(*((x.sum() - x) / (n - 1) for x in (to_train, to_held_out)))
    theirs = _gaps(np.full(parts, train), held_out)
    variance = (n - 1) * np.var(ours) + (parts - 1) * np.var(theirs)
    reach = stdtrit(min(n, parts) - 1, (1 + level) / 2) * np.sqrt(variance)
    return float(max(-1, value - reach)), float(min(1, value + reach))


def subset_weights(total: int, size: int, tail: float = 1e-4) -> np.ndarray:
    """Weights [k] with which the sorted distances to `total` points average to the expected distance to the nearest
    of a random subset of `size` of them.

    The r-th nearest is the nearest in the subset with probability C(total - r, size - 1) / C(total, size). Ranks past
    a probability of `tail` are cut, and what is cut is the last one's.
    """
    weights = [size / total]
    while sum(weights) < 1 - tail and len(weights) <= total - size:
        rank = len(weights)
        weights.append(weights[-1] * (total - rank - size + 1) / (total - rank))
    weights[-1] += 1 - sum(weights)
    return np.array(weights)


def clopper_pearson(successes: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper and Pearson 1934); (0, 1) for n = 0.

    `successes` may be a mean count, of trials that come in n groups.
    """
    tail = (1 - level) / 2
    low = beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def _gaps(train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    return np.divide(train - held_out, train + held_out, out=np.zeros(np.shape(train)), where=train + held_out > 0)


def _z(synthetic: np.ndarray, held_out: np.ndarray) -> float:
    n, m = len(synthetic), len(held_out)
    ranks = rankdata(np.concatenate([synthetic, held_out]))
    u = ranks[:n].sum() - n * (n + 1) / 2
    # Twice a rank is an integer, ties included.
    counts = np.bincount((2 * ranks).astype(int))
    ties = np.sum(counts.astype(float) ** 3 - counts) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - ties)
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0
