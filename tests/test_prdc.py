import numpy as np
import pytest

from synthworth.errors import StudyError
from synthworth.fidelity.prdc import NAMES, on_subsets, prdc


def features(n, d=8, seed=0, shift=0.0, spread=1.0):
    return spread * np.random.default_rng(seed).normal(size=(n, d)) + shift


def by_definition(real, fake, k):
    """Kynkäänniemi et al.'s and Naeem et al.'s formulas, an image at a time."""

    def radius(x, others):
        return sorted(np.linalg.norm(x - y) for y in others)[k]

    real_balls = [(x, radius(x, real)) for x in real]
    fake_balls = [(y, radius(y, fake)) for y in fake]

    def within(point, balls):
        return sum(np.linalg.norm(point - centre) <= reach for centre, reach in balls)

    precision = np.mean([within(y, real_balls) > 0 for y in fake])
    recall = np.mean([within(x, fake_balls) > 0 for x in real])
    density = sum(within(y, real_balls) for y in fake) / (k * len(fake))
    coverage = np.mean([any(np.linalg.norm(y - x) <= reach for y in fake) for x, reach in real_balls])
    return precision, recall, density, coverage


@pytest.mark.parametrize(("n", "m", "k"), [(30, 30, 5), (12, 40, 3), (40, 6, 5), (9, 9, 1)])
@pytest.mark.parametrize("shift", [0, 0.8])
def test_equals_the_definitions(n, m, k, shift):
    x, y = features(n), features(m, seed=1, shift=shift, spread=0.8)
    assert prdc(x, y, k) == pytest.approx(by_definition(x, y, k), rel=1e-12)
    assert prdc(x.astype(np.float32), y.astype(np.float32), k) == pytest.approx(prdc(x, y, k))


def test_takes_five_neighbours():
    x, y = features(30), features(30, seed=1, shift=0.8)
    assert prdc(x, y) == prdc(x, y, 5) != prdc(x, y, 4)


def test_precision_and_recall_change_places_with_the_sets():
    x, y = features(30), features(50, seed=1, shift=0.5)
    assert prdc(x, y)[:2] == prdc(y, x)[1::-1]


def test_equal_distributions_have_their_known_expectations():
    """Naeem et al., lemmas 1 and 2: E density is 1, E coverage 1 - (n-1)...(n-k) / (2n-1)...(2n-k)."""
    n, k = 40, 5
    values = [prdc(features(n, seed=seed), features(n, seed=1000 + seed), k) for seed in range(200)]
    coverage = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    error = np.std(values, axis=0) / np.sqrt(len(values))
    assert abs(np.mean(values, axis=0)[2] - 1) < 4 * error[2]
    assert abs(np.mean(values, axis=0)[3] - coverage) < 4 * error[3]


def test_falls_with_a_shift_and_with_lost_modes():
    x, y = features(60), features(60, seed=1)
    by_shift = np.array([prdc(x, y + shift) for shift in (0, 0.5, 1, 2, 50)])
    assert (np.diff(by_shift, axis=0) <= 0).all()
    assert (by_shift[-1] == 0).all()
    centres = 20 * np.eye(8)[np.arange(60) % 4]
    modes = [
        prdc(x + centres, y + centres[np.arange(60) % 4 < kept][np.arange(60) % (15 * kept)]) for kept in (4, 2, 1)
    ]
    precision, recall, _, coverage = np.array(modes).T
    assert precision.min() > 0.8
    assert recall[0] > 0.8 > 0.6 > recall[1] > 0.3 > recall[2]
    assert coverage[0] > 0.8 > 0.6 > coverage[1] > 0.3 > coverage[2]


def test_copies_lie_on_the_rims_of_neighbourhoods_whatever_the_rounding():
    for offset in (0, 1e3):
        x = features(40, 64) + offset
        assert prdc(x, x[::-1].copy()) == (1, 1, 6 / 5, 1)


def test_identical_images_are_their_own_neighbourhood():
    x, same = features(20), np.zeros((20, 8))
    assert prdc(same, same) == (1, 1, 4, 1)
    assert prdc(x + 100, same) == (0, 0, 0, 0)


def test_subsets_are_scored_as_sets_of_their_own():
    x, y = features(30), features(25, seed=1, shift=0.4)
    rows, others = np.arange(3, 20), np.arange(1, 25, 3)
    assert on_subsets(x, y)(rows, others) == pytest.approx(prdc(x[rows], y[others]))
    with pytest.raises(StudyError, match="5 images, at least 6"):
        on_subsets(x, y)(rows, others[:5])


def test_has_a_name_for_each_value():
    assert len(NAMES) == len(prdc(features(6), features(6)))


@pytest.mark.parametrize(
    ("reference", "synthetic", "problem"),
    [
        (features(5), features(9), "reference set: 5 image.*at least 6"),
        (features(9), features(0), "synthetic set: 0 image"),
        (features(9), np.full((9, 8), np.inf), "synthetic features: 9 of 9 images have values that are not finite"),
        (features(9), features(9, 9), "8 reference and 9 synthetic features per image"),
        (features(9), np.zeros(8), r"shape \(8,\), not \[n, d\]"),
    ],
)
def test_says_what_is_wrong_with_features(reference, synthetic, problem):
    with pytest.raises(StudyError, match=problem):
        prdc(reference, synthetic)
