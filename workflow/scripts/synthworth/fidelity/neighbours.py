"""Nearest neighbours and distances of features, by matrix products.

|a - b|^2 = |a|^2 + |b|^2 - 2 a.b costs one product of matrices, tens of times less than the differences themselves,
but loses all digits where a and b are nearly equal: just the pairs that a search for copies asks for. Those distances
are computed again from the differences.
"""

from collections.abc import Iterator

import numpy as np

# Blocks of queries and of points: what a search needs beside its input stays below 300 MB at 2048 features.
QUERIES = 1024
POINTS = 4096
# More candidates than asked for, so that rounding in the products does not decide who is nearest among equals.
SPARE = 8
# A squared distance below this share of the squared norms has lost more than 3 of a product's 15 digits.
CANCELLED = 1e-3


def nearest(queries: np.ndarray, points: np.ndarray, k: int, *, within: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The Euclidean distances of each query's `k` nearest points, float64 [q, k] ascending, and their rows, int [q, k].

    `queries` [q, d] and `points` [n, d] are float32 or float64 and finite; all is reckoned in float64, in blocks.
    With `within`, both are one set, and no row is its own neighbour; equal rows are neighbours at distance 0. Exact
    but for points whose distances to a query differ by less than 1e-7 of the set's spread: of more than `SPARE` such
    at the k-th place, any may be given. ValueError for fewer than `k` (other) points.
    """
    if not 1 <= k <= len(points) - within:
        raise ValueError(f"{k} neighbours asked for among {len(points) - within} points")
    centre = _mean(points)
    found = [
        _nearest_of_block(queries[rows], rows.start, points, centre, k, within) for rows in _blocks(queries, QUERIES)
    ]
    distances, indices = zip(*found, strict=True) if found else ([np.empty((0, k))], [np.empty((0, k), int)])
    return np.concatenate(distances), np.concatenate(indices)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All Euclidean distances, float64 [n, m], of float [n, d] and [m, d]; right to 10 digits, 0 for equal rows."""
    centre = _mean(b)
    a, b = a - centre, b - centre
    squares, norms = _squares(a, b), _norms(b)
    for row in range(len(a)):
        close = np.flatnonzero(squares[row] < CANCELLED * (a[row] @ a[row] + norms))
        squares[row, close] = np.sum((b[close] - a[row]) ** 2, axis=1)
    return np.sqrt(squares, out=squares)


def _nearest_of_block(
    queries: np.ndarray, first: int, points: np.ndarray, centre: np.ndarray, k: int, within: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` for a block of queries whose first row is `first` in their set."""
    queries = queries - centre
    keep = min(k + SPARE, len(points) - within)
    best, rows = np.empty((len(queries), 0)), np.empty((len(queries), 0), dtype=np.intp)
    for block in _blocks(points, POINTS):
        squares = _squares(queries, points[block] - centre)
        if within:
            own = np.arange(len(queries)) + first - block.start
            inside = np.flatnonzero((own >= 0) & (own < squares.shape[1]))
            squares[inside, own[inside]] = np.inf
        chosen = _smallest(squares, keep)
        rows = np.concatenate([rows, chosen + block.start], axis=1)
        best = np.concatenate([best, np.take_along_axis(squares, chosen, axis=1)], axis=1)
        chosen = _smallest(best, keep)
        rows, best = np.take_along_axis(rows, chosen, axis=1), np.take_along_axis(best, chosen, axis=1)
    for column in range(rows.shape[1]):
        best[:, column] = np.sum((points[rows[:, column]] - centre - queries) ** 2, axis=1)
    order = np.lexsort((rows, best))[:, :k]
    return np.sqrt(np.take_along_axis(best, order, axis=1)), np.take_along_axis(rows, order, axis=1)


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All squared distances by products, at least 0."""
    squares = a @ b.T
    squares *= -2
    squares += _norms(a)[:, None]
    squares += _norms(b)
    return np.maximum(squares, 0, out=squares)


def _norms(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", x, x)


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """The columns of the `k` smallest values of each row, in any order; all columns where there are fewer."""
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, k - 1, axis=1)[:, :k]


def _mean(points: np.ndarray) -> np.ndarray:
    # About the mean, norms are as small as they can be, and with them the rounding.
    return points.mean(axis=0, dtype=np.float64)


def _blocks(x: np.ndarray, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, len(x))) for start in range(0, len(x), size))
