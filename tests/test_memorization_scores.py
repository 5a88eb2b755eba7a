from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm
from scipy.stats import t as student

from synthworth.memorization.scores import authentic, c_t, clopper_pearson, gap, gap_interval, subset_weights


def test_authentic_is_farther_than_the_nearest_image_is_from_its_own_nearest():
    """Written out on points of a line: training images at 0, 1 and 3, of which 0 and 1 have each other at 1."""
    train, synthetic = np.array([0.0, 1.0, 3.0]), np.array([-1.5, 0.4, 0.0, 1.9, 4.9, 5.1])
    expected = []
    for point in synthetic:
        gaps = np.abs(train - point)
        near = int(np.argmin(gaps))
        expected.append(gaps[near] > min(abs(train[near] - x) for place, x in enumerate(train) if place != near))
    distance, own = np.abs(synthetic[:, None] - train).min(1), np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    assert expected == [True, False, False, False, False, True]
    assert authentic(distance, own).tolist() == expected


@pytest.mark.parametrize(("n", "m", "digits"), [(40, 25, 8), (7, 90, 8), (50, 50, 0)])
def test_c_t_has_the_p_value_of_scipys_mann_whitney_ties_included(n, m, digits):
    rng = np.random.default_rng(n)
    synthetic, held_out = rng.gamma(2, size=n).round(digits), rng.gamma(2.3, size=m).round(digits)
    for one_sided in ("less", "greater"):
        expected = mannwhitneyu(synthetic, held_out, alternative=one_sided, method="asymptotic", use_continuity=False)
        z = c_t(synthetic, held_out)
        assert (norm.cdf(z) if one_sided == "less" else norm.sf(z)) == pytest.approx(expected.pvalue, rel=1e-9)


def test_c_t_over_cells_is_their_mean_weighted_by_held_out_images_and_leaves_out_small_ones():
    rng = np.random.default_rng(0)
    synthetic, held_out = rng.normal(size=90), rng.normal(size=120)
    ours, theirs = np.repeat([0, 1, 2], [40, 45, 5]), np.repeat([0, 1, 2], [30, 60, 30])
    first = c_t(synthetic[:40], held_out[:30])
    second = c_t(synthetic[40:85], held_out[30:90])
    assert c_t(synthetic, held_out, ours, theirs) == pytest.approx((30 * first + 60 * second) / 90, rel=1e-12)
    assert c_t(synthetic[:5], held_out, ours[:5], theirs) == c_t(synthetic[:5], held_out)


def test_c_t_and_gap_of_equal_distances_are_0():
    zeros = np.zeros(5)
    assert c_t(zeros, zeros) == 0
    assert c_t(np.ones(1), np.ones(1)) == 0
    assert gap(zeros, zeros) == 0


def test_gap_is_minus_1_for_copies_and_changes_sign_with_its_sets():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, size=(2, 30))
    assert gap(np.zeros(30), b) == -1
    assert gap(a, b) == pytest.approx(-gap(b, a), abs=1e-15)
    assert gap(a, b) == pytest.approx((a.mean() - b.mean()) / (a.mean() + b.mean()), rel=1e-12)


def test_the_interval_of_the_gap_leaves_out_each_image_and_each_part():
    rng = np.random.default_rng(0)
    train, held_out, without = rng.gamma(9, size=7), rng.gamma(9, size=7), rng.gamma(9, size=(7, 5))
    ours = [gap(np.delete(train, place), np.delete(held_out, place)) for place in range(7)]
    theirs = [gap(train, part) for part in without.T]
    variance = 6 / 7 * np.sum((ours - np.mean(ours)) ** 2) + 4 / 5 * np.sum((theirs - np.mean(theirs)) ** 2)
    reach = student.ppf(0.975, 4) * np.sqrt(variance)
    value = gap(train, held_out)
    expected = (value - reach, value + reach)
    assert gap_interval(train, held_out, without) == pytest.approx(expected, rel=1e-12)
    assert gap_interval(train[:1], held_out[:1], without[:1]) == (-1, 1)
    zeros = np.zeros(3)
    assert gap_interval(zeros, zeros, np.zeros((3, 2))) == (0, 0)
    # One image may be all there is to a mean.
    assert gap_interval(np.array([0, 2.0]), np.array([0, 1.0]), np.zeros((2, 2)))[1] == 1


@pytest.mark.parametrize(("total", "size"), [(10, 3), (10, 10), (10, 1), (60, 7)])
def test_subset_weights_are_the_chances_of_being_nearest(total, size):
    weights = subset_weights(total, size, tail=0)
    ranks = np.arange(1, total - size + 2)
    np.testing.assert_allclose(weights, [comb(total - r, size - 1) / comb(total, size) for r in ranks], atol=1e-12)
    short = subset_weights(total, size, tail=0.01)
    assert short.sum() == pytest.approx(1, abs=1e-12)
    assert len(short) <= len(weights)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 20), (37, 200)])
def test_clopper_pearson_is_scipys(k, n):
    expected = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_is_known_of_a_share_of_none():
    assert clopper_pearson(0, 0) == (0, 1)
