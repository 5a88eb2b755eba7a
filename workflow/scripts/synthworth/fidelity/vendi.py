"""Vendi score: how many different images a set is worth, from 1 (all alike) to n (no two alike).

Friedman and Dieng 2023 (The Vendi score, definition 3.1): the exponential of the Shannon entropy of the eigenvalues of
K / n, here with the cosine of features as the kernel K. The eigenvalues are the squares of the singular values of the
features, rows of length 1 / sqrt(n): exact, and as cheap as the smaller of n and d allows.
"""

from collections.abc import Callable

import numpy as np

from synthworth.errors import StudyError
from synthworth.fidelity.feature_sets import check_features

READS = "features"
HAS_REFERENCE = False
NAMES = ("vendi",)
SCALES = ("number",)


def vendi(synthetic: np.ndarray) -> float:
    """The score, in [1, n], of float features [n, d], in float64. It grows with n: compare at equal n.

    1 for a single image, as for n identical ones. StudyError for no image, a value that is not finite, or features
    that are all 0, which have no direction.
    """
    return _score(np.linalg.svd(_directions(synthetic), compute_uv=False) ** 2 / len(synthetic))


def on_subsets(synthetic: np.ndarray) -> Callable[[np.ndarray], float]:
    """A function of rows: the score of those, from cosines made once."""
    directions = _directions(synthetic)
    cosines = directions @ directions.T

    def value(rows: np.ndarray) -> float:
        return _score(np.linalg.eigvalsh(cosines[np.ix_(rows, rows)] / len(rows)))

    return value


def _directions(features: np.ndarray) -> np.ndarray:
    check_features("The Vendi score", 1, synthetic=features)
    features = features.astype(np.float64)
    # Scaled first, so that squares neither overflow nor vanish.
    largest = np.abs(features).max(axis=1, keepdims=True, initial=0)
    empty = int(np.count_nonzero(largest == 0))
    if empty:
        problem = (
            f"synthetic features: those of {empty} of {len(features)} images are all 0; check the extractor's weights"
        )
        raise StudyError("The Vendi score is not defined on these features.", [problem])
    features /= largest
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _score(eigenvalues: np.ndarray) -> float:
    # 0 log 0 is 0; eigenvalues of a matrix of low rank are 0 only to rounding, of either sign.
    positive = eigenvalues[eigenvalues > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))
