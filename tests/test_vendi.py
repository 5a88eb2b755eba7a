import numpy as np
import pytest
from scipy.stats import entropy

from synthworth.errors import StudyError
from synthworth.fidelity.vendi import on_subsets, vendi


def features(n, d=16, seed=0):
    return np.maximum(np.random.default_rng(seed).normal(size=(n, d)), 0)


def by_definition(x):
    cosines = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x] for a in x])
    values = np.linalg.eigvals(cosines / len(x)).real
    return np.exp(-sum(v * np.log(v) for v in values if v > 1e-14))


@pytest.mark.parametrize(("n", "d"), [(2, 16), (10, 64), (40, 64), (40, 8)])
def test_equals_the_definition(n, d):
    x = features(n, d)
    assert vendi(x) == pytest.approx(by_definition(x), rel=1e-10)
    assert vendi(x.astype(np.float32)) == pytest.approx(vendi(x), rel=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 5, 10])
def test_equal_orthogonal_groups_count_as_so_many(groups):
    x = np.repeat(np.eye(20)[:groups], 6, axis=0) * np.linspace(0.1, 3, 6 * groups)[:, None]
    assert vendi(x) == pytest.approx(groups, rel=1e-12)


def test_unequal_groups_count_by_the_entropy_of_their_shares():
    x = np.repeat(np.eye(3), [1, 4, 15], axis=0)
    assert vendi(x) == pytest.approx(np.exp(entropy([1, 4, 15])), rel=1e-12)


def test_two_images_at_an_angle():
    angle = 0.7
    x = np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    shares = np.array([1 + np.cos(angle), 1 - np.cos(angle)]) / 2
    assert vendi(x) == pytest.approx(np.exp(entropy(shares)), rel=1e-12)


def test_falls_as_images_grow_alike():
    x = features(30)
    values = [vendi(x + alike) for alike in (0, 0.5, 1, 5, 1000)]
    assert values == sorted(values, reverse=True)
    assert 1 <= values[-1] < 1.001


def test_one_image_and_extreme_lengths():
    assert vendi(features(1)) == pytest.approx(1)
    assert vendi(np.diag([1e-200, 1e200, 1])) == pytest.approx(3)


def test_subsets_are_scored_as_sets_of_their_own():
    x = features(20)
    rows = np.arange(2, 20, 3)
    assert on_subsets(x)(rows) == pytest.approx(vendi(x[rows]), rel=1e-10)


@pytest.mark.parametrize(
    ("synthetic", "problem"),
    [
        (features(0), "synthetic set: 0 image"),
        (np.full((5, 8), np.nan), "5 of 5 images have values that are not finite"),
        (np.zeros(8), r"shape \(8,\), not \[n, d\]"),
        (np.eye(5)[:, :3], "those of 2 of 5 images are all 0"),
    ],
)
def test_says_what_is_wrong_with_features(synthetic, problem):
    with pytest.raises(StudyError, match=problem):
        vendi(synthetic)
