"""Distances in feature space, per image: to the training images, and to as many held-out ones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from synthworth.fidelity.neighbours import distances, nearest
from synthworth.memorization.scores import subset_weights
from synthworth.seeds import seed as seed_of

DISTANCE_COLUMNS = ["nearest", "distance", "own_distance", "to_train", "to_held_out", "cell"]
# Parts of the held-out patients, at most, of which each is left out once; the columns without each.
PARTS = 20
WITHOUT_COLUMNS = [f"to_held_out_without_{part}" for part in range(PARTS)]
# Cells of C_T: one for each so many held-out images.
HELD_OUT_PER_CELL = 50
MOST_CELLS = 5
# Training images for each held-out one, at most, in the comparison of the two; past that, a draw stands for all.
TRAIN_PER_HELD_OUT = 20
# Training images from which the cells are made, at most.
CELL_SAMPLE = 5000
# Queries whose distances are held at a time.
BLOCK = 1000


def compare_features(
    queries: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    patients: Sequence[str],
    seed: int,
    held_out_queries: bool = False,
) -> pd.DataFrame:
    """A row per query (features float [n, d] each), columns `DISTANCE_COLUMNS`, Euclidean:

    `nearest`, the place in `train` of its nearest training image, and `distance` to it; `own_distance` from that
    image to its own nearest other training image; `to_train` and `to_held_out`, the distances to be expected to the
    nearest of m random training and m random held-out images; and `cell`, the part of feature space (k-means of
    `train`). The held-out patients are dealt into `PARTS` parts (fewer patients: one each), and `WITHOUT_COLUMNS`, as
    many as there are parts, are `to_held_out` without each: how it hangs on who was held out. m is the number of
    training images or, if it is smaller, what the largest part leaves of the held-out ones.

    `patients` are those of the held-out images, at least two. `held_out_queries`: the queries are the held-out
    images, of which each is compared with those of other patients, and no part is left out. At least 2 training images.
    """
    to_nearest, places = nearest(queries, train, 1)
    chosen, back = np.unique(places[:, 0], return_inverse=True)
    patient = np.unique(np.asarray(patients), return_inverse=True)[1]
    part = _parts(patient, seed)
    size = min(len(train), len(held_out) - np.bincount(part).max())
    generator = np.random.default_rng(seed_of(seed, "training images"))
    drawn = np.sort(generator.permutation(len(train))[: TRAIN_PER_HELD_OUT * size])
    columns = [
        places[:, 0],
        to_nearest[:, 0],
        nearest(train[chosen], train, 2)[0][:, 1][back],
        _to_subsets(queries, train[drawn], size)[:, 0],
        _to_subsets(queries, held_out, size, patient if held_out_queries else None)[:, 0],
        _cells(queries, train, len(held_out), seed),
    ]
    frame = pd.DataFrame(dict(zip(DISTANCE_COLUMNS, columns, strict=True)))
    if held_out_queries:
        return frame
    without = _to_subsets(queries, held_out, size, without=part)
    return frame.assign(**dict(zip(WITHOUT_COLUMNS, without.T, strict=False)))


def _parts(patient: np.ndarray, seed: int) -> np.ndarray:
    """The part of each held-out image: patients are dealt to parts in turn, the largest first, equal ones at random."""
    images = np.bincount(patient)
    drawn = np.random.default_rng(seed_of(seed, "parts")).permutation(len(images))
    order = drawn[np.argsort(-images[drawn], kind="stable")]
    parts = np.empty(len(images), int)
    parts[order] = np.arange(len(images)) % PARTS
    return parts[patient]


def _to_subsets(
    queries: np.ndarray,
    points: np.ndarray,
    size: int,
    patient: np.ndarray | None = None,
    without: np.ndarray | None = None,
) -> np.ndarray:
    """The expected distance of each query to the nearest of `size` random points, float64 [n, 1].

    Int `patient` [n], of queries and points alike: points of the query's own do not count. Int `without` [points], the
    part of each: a column per part, for the points that are not in it.
    """
    kept = [slice(None)] if without is None else [np.flatnonzero(without != part) for part in np.unique(without)]
    result = np.empty((len(queries), len(kept)))
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        block = distances(queries[rows], points)
        if patient is not None:
            block[patient[rows, None] == patient] = np.inf
        for column, chosen in enumerate(kept):
            result[rows, column] = _expected_nearest(block[:, chosen], size)
    return result


def _expected_nearest(block: np.ndarray, size: int) -> np.ndarray:
    """Of distances [n, points] the expected least of `size` random ones of each row; infinite ones do not count."""
    result, finite = np.empty(len(block)), np.isfinite(block).sum(axis=1)
    for count in np.unique(finite):
        weights, own = subset_weights(count, size), finite == count
        result[own] = np.sort(np.partition(block[own], len(weights) - 1)[:, : len(weights)]) @ weights
    return result


def _cells(queries: np.ndarray, train: np.ndarray, held_out: int, seed: int) -> np.ndarray:
    count = min(MOST_CELLS, held_out // HELD_OUT_PER_CELL, len(train) // HELD_OUT_PER_CELL)
    if count < 2:
        return np.zeros(len(queries), int)
    sample = np.random.default_rng(seed_of(seed, "cells")).permutation(len(train))[:CELL_SAMPLE]
    distinct = len(np.unique(train[np.sort(sample)], axis=0))
    means = KMeans(min(count, distinct), n_init=4, random_state=seed_of(seed, "k-means") % 2**32)
    return nearest(queries, means.fit(train[np.sort(sample)]).cluster_centers_, 1)[1][:, 0]
