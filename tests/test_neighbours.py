import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from synthworth.fidelity import neighbours
from synthworth.fidelity.neighbours import distances, nearest


def points(n, d=24, seed=0, offset=3.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + offset


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("block", [7, 100, 5000])
def test_equals_brute_force_whatever_the_blocks(kind, block, monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", block)
    monkeypatch.setattr(neighbours, "POINTS", block + 6)
    a, b = points(60).astype(kind), points(211, seed=1).astype(kind)
    expected = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(b.astype(float)).kneighbors(a.astype(float))
    found = nearest(a, b, 4)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("block", [7, 5000])
def test_within_a_set_no_row_is_its_own_neighbour(block, monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", block)
    monkeypatch.setattr(neighbours, "POINTS", block + 6)
    a = points(50)
    a[31] = a[4]
    expected = cdist(a, a)
    np.fill_diagonal(expected, np.inf)
    found = nearest(a, a, 49, within=True)
    np.testing.assert_allclose(found[0], np.sort(expected, axis=1)[:, :49], rtol=1e-12, atol=0)
    assert found[1][31, 0] == 4
    assert found[1][4, 0] == 31
    assert found[0][4, 0] == 0
    assert not (found[1] == np.arange(50)[:, None]).any()


def test_near_duplicates_keep_their_digits_and_their_order():
    """By products alone, distances of 1e-9 beside norms of 1e4 are rounding."""
    a = points(20, d=64, offset=1e4)
    steps = np.array([4, 1, 3, 0, 2])
    copies = np.concatenate([a[:1] + step * 1e-7 * np.eye(64)[0] for step in steps])
    everyone = np.concatenate([points(40, d=64, seed=1, offset=1e4), copies])
    expected = cdist(a[:1], everyone)
    for k in (1, 2, 5):
        found = nearest(a[:1], everyone, k)
        np.testing.assert_array_equal(found[1][0], 40 + np.argsort(steps)[:k])
        np.testing.assert_allclose(found[0], np.sort(expected)[:, :k], rtol=1e-12)
    np.testing.assert_allclose(distances(a[:1], everyone), expected, rtol=1e-10)


def test_distances_equal_scipy_and_are_zero_for_equal_rows():
    a, b = points(30), points(40, seed=1)
    b[3] = a[5]
    np.testing.assert_allclose(distances(a, b), cdist(a, b), rtol=1e-10)
    assert distances(a, b)[5, 3] == 0
    np.testing.assert_array_equal(distances(np.ones((4, 3)), np.ones((5, 3))), np.zeros((4, 5)))


def test_memory_does_not_grow_with_the_set(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 64)
    monkeypatch.setattr(neighbours, "POINTS", 64)

    def peak(n):
        a, b = points(128, d=32), points(n, d=32).astype(np.float32)
        tracemalloc.start()
        nearest(a, b, 3)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(8000) < 1.2 * peak(1000)


def test_more_neighbours_than_points():
    assert nearest(points(0), points(3), 2)[0].shape == (0, 2)
    with pytest.raises(ValueError, match="4 neighbours asked for among 3 points"):
        nearest(points(2), points(3), 4)
    with pytest.raises(ValueError, match="3 neighbours asked for among 2 points"):
        nearest(points(3), points(3), 3, within=True)
    with pytest.raises(ValueError, match="0 neighbours"):
        nearest(points(2), points(3), 0)
