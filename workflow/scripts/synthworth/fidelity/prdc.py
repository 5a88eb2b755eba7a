"""Precision, recall, density and coverage: how much of one set lies where the other is, by nearest neighbours.

A set's neighbourhoods are the balls about its images that reach to their k-th nearest of the same set. Kynkäänniemi
et al. 2019 (Improved precision and recall metric, equations 1 to 3): precision is the share of synthetic images in
some real neighbourhood, recall the share of real images in some synthetic one. Naeem et al. 2020 (Reliable fidelity
and diversity metrics, equations 3 and 4): density is the mean number of real neighbourhoods about a synthetic image,
in units of k; coverage is the share of real neighbourhoods that hold a synthetic image.

All depend on n: read them beside the numbers of images. A ball holds what lies on its rim, to a rounding of 1e-9 of
its radius, where Naeem's code does not count it: this shows in exact copies only, whose density is (k + 1) / k here.
"""

from collections.abc import Callable

import numpy as np

from synthworth.errors import StudyError
from synthworth.fidelity.feature_sets import check_features
from synthworth.fidelity.neighbours import distances

READS = "features"
HAS_REFERENCE = True
NAMES = ("precision", "recall", "density", "coverage")
SCALES = ("share", "share", "rate", "share")

# As in both papers' recommendation for small sets; Kynkäänniemi et al. use 3 for sets of 50,000.
NEIGHBOURS = 5
ROUNDING = 1 + 1e-9


def prdc(reference: np.ndarray, synthetic: np.ndarray, k: int = NEIGHBOURS) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of float features [n, d] and [m, d]; all in [0, 1] but density, >= 0.

    Memory is 8 (n + m)^2 bytes. A set of identical images has neighbourhoods of radius 0, which hold equal images
    only. StudyError for fewer than k + 1 rows, different d, or a value that is not finite.
    """
    return on_subsets(reference, synthetic, k)(np.arange(len(reference)), np.arange(len(synthetic)))


def on_subsets(
    reference: np.ndarray, synthetic: np.ndarray, k: int = NEIGHBOURS
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float, float, float]]:
    """A function of rows of the reference and rows of the synthetic set: `prdc` of those, from distances made once."""
    check_features("Precision, recall, density and coverage", k + 1, reference=reference, synthetic=synthetic)
    real = distances(reference, reference)
    # A floor's two sets are parts of one: the largest matrix here is made once.
    one = synthetic is reference
    fake, across = (real, real) if one else (distances(synthetic, synthetic), distances(reference, synthetic))

    def values(rows: np.ndarray, others: np.ndarray) -> tuple[float, float, float, float]:
        radii, fake_radii = _radii(real[np.ix_(rows, rows)], k), _radii(fake[np.ix_(others, others)], k)
        between = across[np.ix_(rows, others)]
        inside = between <= radii[:, None]
        return (
            float(inside.any(axis=0).mean()),
            float((between <= fake_radii).any(axis=1).mean()),
            float(inside.sum() / (k * len(others))),
            float(inside.any(axis=1).mean()),
        )

    return values


def _radii(within: np.ndarray, k: int) -> np.ndarray:
    """The distance of each image of a set to its k-th nearest other, from the distances within the set."""
    if len(within) <= k:
        raise StudyError(
            "Too few images for their neighbourhoods.", [f"{len(within)} images, at least {k + 1} are needed"]
        )
    # Each image is at distance 0 of itself, the smallest of its row: the k-th other is at place k.
    return ROUNDING * np.partition(within, k, axis=1)[:, k]
