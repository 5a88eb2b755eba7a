"""KID: the squared maximum mean discrepancy of two sets of features under the kernel (x.y / d + 1)^3.

Bińkowski et al. 2018 (Demystifying MMD GANs, section 4), with the unbiased estimator over whole sets, not its mean
over random subsets of 1,000: at any n >= 2 its expectation is that of an infinite sample, 0 for equal distributions.
So unlike FID it may be negative, and values at different n may be compared.
"""

from collections.abc import Callable

import numpy as np

from synthworth.fidelity.feature_sets import check_features

READS = "features"
HAS_REFERENCE = True
NAMES = ("kid",)
SCALES = ("real",)


def kid(reference: np.ndarray, synthetic: np.ndarray) -> float:
    """The unbiased estimate from float features [n, d] and [m, d], in float64.

    StudyError for fewer than 2 rows, different d, or a value that is not finite. Two sets of identical images each
    are no special case; a set against its own copy is negative by as much as the missing diagonal is large.
    """
    return on_subsets(reference, synthetic)(np.arange(len(reference)), np.arange(len(synthetic)))


def on_subsets(reference: np.ndarray, synthetic: np.ndarray) -> Callable[[np.ndarray, np.ndarray], float]:
    """A function of rows of the reference and rows of the synthetic set: the KID of those, from kernels made once."""
    kernels = _kernels(reference, synthetic)

    def value(rows: np.ndarray, others: np.ndarray) -> float:
        return _unbiased(
            kernels[0][np.ix_(rows, rows)], kernels[1][np.ix_(others, others)], kernels[2][np.ix_(rows, others)]
        )

    return value


def standard_error(reference: np.ndarray, synthetic: np.ndarray) -> float:
    """The standard error of `kid`: the root of an estimate of its variance over samples of both sets.

    The variance of this U-statistic is the sum of those of its Hoeffding components, which are uncorrelated: one that
    is linear in each set, and one of each kind of pair. Near-equal distributions leave only the pairs, which a
    jackknife counts twice. Each part is estimated without bias (the pairs within a set as by the U-centring of
    Székely and Rizzo 2014; the linear parts less the pairs' share of their spread, held at 0 or above, which makes
    the error of equal distributions a fifth too large). Each image is taken as a draw of its own: where patients have
    several images in the reference the error is too small, while `uncertainty.interval` leaves out whole patients. NaN
    with fewer than 4 images on a side: too few to tell. StudyError as `kid`.
    """
    within_reference, within_synthetic, across = _kernels(reference, synthetic)
    n, m = across.shape
    if min(n, m) < 4:
        return np.nan
    pairs_n, pairs_m = _pair_variance(within_reference), _pair_variance(within_synthetic)
    doubly_centred = across - across.mean(axis=0) - across.mean(axis=1, keepdims=True) + across.mean()
    pairs_across = np.sum(doubly_centred**2) / ((n - 1) * (m - 1))
    linear = [
        np.var(2 * (_others(within) / (len(within) - 2) - cross.mean(axis=1)), ddof=1)
        - 4 * (pairs / (len(within) - 2) + pairs_across / cross.shape[1])
        for within, pairs, cross in (
            (within_reference, pairs_n, across),
            (within_synthetic, pairs_m, across.T),
        )
    ]
    variance = max(linear[0] / n + linear[1] / m, 0)
    variance += 2 * pairs_n / (n * (n - 1)) + 2 * pairs_m / (m * (m - 1)) + 4 * pairs_across / (n * m)
    return float(np.sqrt(variance))


def _kernels(reference: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kernel within the reference, within the synthetic set, and across [n, m]."""
    check_features("KID", 2, reference=reference, synthetic=synthetic)
    x, y = (features.astype(np.float64) for features in (reference, synthetic))
    within = _kernel(x, x)
    # A floor's two sets are parts of one: the largest matrix here is made once.
    return (within, within, within) if synthetic is reference else (within, _kernel(y, y), _kernel(x, y))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    kernel = x @ y.T
    kernel /= x.shape[1]
    kernel += 1
    kernel **= 3
    return kernel


def _unbiased(within_reference: np.ndarray, within_synthetic: np.ndarray, across: np.ndarray) -> float:
    n, m = across.shape
    return float(
        _others(within_reference).sum() / (n * (n - 1))
        + _others(within_synthetic).sum() / (m * (m - 1))
        - 2 * across.mean()
    )


def _others(kernel: np.ndarray) -> np.ndarray:
    """The sum over each row of a square kernel, but for the diagonal."""
    return kernel.sum(axis=1) - np.diagonal(kernel)


def _pair_variance(kernel: np.ndarray) -> float:
    """The variance of a pair's own part of the kernel, what is left of it beyond its means given either one."""
    n = len(kernel)
    sums = _others(kernel)
    own = kernel - (sums + sums[:, None]) / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(own, 0)
    return float(np.sum(own**2) / (n * (n - 3)))
