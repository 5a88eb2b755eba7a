"""Distances in feature space, per image: to the training images, and to as many held-out ones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from synthworth.fidelity.neighbours import distances, nearest
from synthworth.memorization.scores import subset_weights
from synthworth.seeds import seed as seed_of

DISTANCE_COLUMNS = ["nearest", "distance", "own_distance", "to_train", "to_held_out", "cell"]
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
    `train`). m is the number of training images or, if it is smaller, what one patient leaves of the held-out ones.

    `patients` are those of the held-out images, at least two. `held_out_queries`: the queries are the held-out
    images, of which each is compared with those of other patients. At least 2 training images.
    """
    to_nearest, places = nearest(queries, train, 1)
    chosen, back = np.unique(places[:, 0], return_inverse=True)
    _, patient, images = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    size = min(len(train), len(held_out) - images.max())
    generator = np.random.default_rng(seed_of(seed, "training images"))
    drawn = np.sort(generator.permutation(len(train))[: TRAIN_PER_HELD_OUT * size])
    columns = [
        places[:, 0],
        to_nearest[:, 0],
        nearest(train[chosen], train, 2)[0][:, 1][back],
        _to_subsets(queries, train[drawn], size),
        _to_subsets(queries, held_out, size, patient if held_out_queries else None),
        _cells(queries, train, len(held_out), seed),
    ]
    return pd.DataFrame(dict(zip(DISTANCE_COLUMNS, columns, strict=True)))


def _to_subsets(queries: np.ndarray, points: np.ndarray, size: int, patient: np.ndarray | None = None) -> np.ndarray:
    """The expected distance of each query to the nearest of `size` random points, int `patient` [n] being those of
    both, if given: then points of the query's own do not count.
    """
    result = np.empty(len(queries))
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        block = distances(queries[rows], points)
        if patient is not None:
            block[patient[rows, None] == patient] = np.inf
        others = np.isfinite(block).sum(axis=1)
        for count in np.unique(others):
            weights = subset_weights(count, size)
            own = others == count
            result[rows][own] = np.sort(np.partition(block[own], len(weights) - 1)[:, : len(weights)]) @ weights
    return result


def _cells(queries: np.ndarray, train: np.ndarray, held_out: int, seed: int) -> np.ndarray:
    count = min(MOST_CELLS, held_out // HELD_OUT_PER_CELL, len(train) // HELD_OUT_PER_CELL)
    if count < 2:
        return np.zeros(len(queries), int)
    sample = np.random.default_rng(seed_of(seed, "cells")).permutation(len(train))[:CELL_SAMPLE]
    distinct = len(np.unique(train[np.sort(sample)], axis=0))
    means = KMeans(min(count, distinct), n_init=4, random_state=seed_of(seed, "k-means") % 2**32)
    return nearest(queries, means.fit(train[np.sort(sample)]).cluster_centers_, 1)[1][:, 0]
