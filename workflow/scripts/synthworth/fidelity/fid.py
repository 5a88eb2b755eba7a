"""FID: the Fréchet distance between two Gaussians fitted to the features of two sets of images.

Heusel et al. 2017 (GANs trained by a two time-scale update rule, equation 6):
|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)). With A and B the centred features, S1 = A'A / (n1 - 1), and
Tr sqrt(S1 S2) is the sum of the singular values of A B' / sqrt((n1 - 1)(n2 - 1)) (Mathiasen and Hvilshøj 2020,
FastFID): exact, real, and for the paper's 50 images a 50 x 50 problem where the square root of a matrix product is
one of 2048 x 2048, singular and solved only to 4 digits.

FID is biased upwards in small sets: read it beside the numbers of images, and compare only at equal ones.
"""

import numpy as np

from synthworth.errors import StudyError

READS = "features"
HAS_REFERENCE = True


def fid(reference_features: np.ndarray, synthetic_features: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, float32 or float64 [n, d] each, computed in float64.

    Symmetric; 0 for identical sets, up to rounding of 1e-12 of the features' total variance. StudyError for fewer
    than 2 rows, different d, or a value that is not finite.
    """
    _check(reference_features, synthetic_features)
    means, centred = zip(*(_centred(x) for x in (reference_features, synthetic_features)), strict=True)
    a, b = centred
    variances = np.sum(a**2) + np.sum(b**2)
    if min(len(a), len(b)) > a.shape[1]:
        a, b = _triangular(a), _triangular(b)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(np.sum((means[0] - means[1]) ** 2) + variances - 2 * root)


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


def _check(reference: np.ndarray, synthetic: np.ndarray) -> None:
    sets = {"reference": reference, "synthetic": synthetic}
    problems = [f"{name} features have shape {x.shape}, not [n, d]" for name, x in sets.items() if x.ndim != 2]
    if not problems:
        problems += [
            f"{name} set: {len(x)} image(s), at least 2 are needed for a covariance; ask for more images"
            for name, x in sets.items()
            if len(x) < 2
        ]
        problems += [
            f"{name} features: {np.count_nonzero(~np.isfinite(x).all(axis=1))} of {len(x)} images have values that are "
            "not finite; check the extractor's weights"
            for name, x in sets.items()
            if not np.isfinite(x).all()
        ]
        if reference.shape[1] != synthetic.shape[1]:
            problems.append(
                f"{reference.shape[1]} reference and {synthetic.shape[1]} synthetic features per image: "
                "two different extractors made them; extract both anew"
            )
    if problems:
        raise StudyError("FID is not defined on these features.", problems)
