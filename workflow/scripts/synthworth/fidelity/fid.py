"""FID: the Fréchet distance between two Gaussians fitted to the features of two sets of images.

Heusel et al. 2017 (GANs trained by a two time-scale update rule, equation 6):
|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)). With A and B the centred features, S1 = A'A / (n1 - 1), and
Tr sqrt(S1 S2) is the sum of the singular values of A B' / sqrt((n1 - 1)(n2 - 1)) (Mathiasen and Hvilshøj 2020,
FastFID): exact, real, and for the paper's 50 images a 50 x 50 problem where the square root of a matrix product is
one of 2048 x 2048, singular and solved only to 4 digits.

FID is biased upwards in small sets: read it beside the numbers of images, and compare only at equal ones.
"""

from collections.abc import Callable

import numpy as np

from synthworth.fidelity.feature_sets import check_features

READS = "features"
HAS_REFERENCE = True
NAMES = ("fid",)
SCALES = ("positive",)


def fid(reference: np.ndarray, synthetic: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, float32 or float64 [n, d] each, computed in float64.

    Symmetric, never negative; 0 for equal sets up to rounding of 1e-12 of the features' total variance. StudyError for
    fewer than 2 rows, different d, or a value that is not finite.
    """
    check_features("FID", 2, reference=reference, synthetic=synthetic)
    means, centred = zip(*(_centred(x) for x in (reference, synthetic)), strict=True)
    a, b = centred
    variances = np.sum(a**2) + np.sum(b**2)
    if min(len(a), len(b)) > a.shape[1]:
        a, b = _triangular(a), _triangular(b)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return _distance(np.sum((means[0] - means[1]) ** 2), variances, root)


def on_subsets(reference: np.ndarray, synthetic: np.ndarray) -> Callable[[np.ndarray, np.ndarray], float]:
    """A function of rows of the reference and rows of the synthetic set: the FID of those.

    Where images are fewer than features it works on inner products, made once: all that the distance hangs on.
    """
    check_features("FID", 2, reference=reference, synthetic=synthetic)
    if min(len(reference), len(synthetic)) > reference.shape[1]:
        return lambda rows, others: fid(reference[rows], synthetic[others])
    # About the common mean, so that little is lost in differences.
    shift = np.concatenate([reference, synthetic]).mean(axis=0, dtype=np.float64)
    x = reference - shift
    within = x @ x.T
    if synthetic is reference:
        # A floor's two sets are parts of one: the largest matrix here is made once.
        y, within_synthetic, across = x, within, within
    else:
        y = synthetic - shift
        within_synthetic, across = y @ y.T, x @ y.T

    def value(rows: np.ndarray, others: np.ndarray) -> float:
        check_features("FID", 2, reference=x[rows], synthetic=y[others])
        a, b = within[np.ix_(rows, rows)], within_synthetic[np.ix_(others, others)]
        c = across[np.ix_(rows, others)]
        means = a.mean() + b.mean() - 2 * c.mean()
        variances = sum((np.trace(g) - g.sum() / len(g)) / (len(g) - 1) for g in (a, b))
        centred = c - c.mean(axis=0) - c.mean(axis=1, keepdims=True) + c.mean()
        root = np.linalg.svd(centred, compute_uv=False).sum() / np.sqrt((len(a) - 1) * (len(b) - 1))
        return _distance(means, variances, root)

    return value


def _distance(means: float, variances: float, root: float) -> float:
    """The distance from its parts. It is a square: what is below 0 is the rounding of a difference of large numbers."""
    return max(0.0, float(means + variances - 2 * root))


def _centred(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the centred features X scaled so that X'X is the covariance."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


def _triangular(x: np.ndarray) -> np.ndarray:
    """R [d, d] with R'R = X'X, which is all that the distance sees of X [n, d].

    Not the root of the covariance by eigenvalues: that would square, and so halve the digits of, small ones.
    """
    return np.linalg.qr(x, mode="r")
