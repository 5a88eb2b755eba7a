from itertools import permutations, product

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from synthworth.errors import StudyError
from synthworth.fidelity.kid import kid, on_subsets, standard_error


def features(n, d=16, seed=0, shift=0.0):
    return np.maximum(np.random.default_rng(seed).normal(size=(n, d)) + shift, 0)


def by_definition(x, y):
    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    within = [np.mean([kernel(a, b) for a, b in permutations(z, 2)]) for z in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a, b in product(x, y)])


class Vectors(torch.nn.Module):
    """An extractor that returns what it is given."""

    num_features = 16

    def forward(self, x):
        return x.float()


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 9), (12, 7)])
def test_equals_the_definition(n, m):
    x, y = features(n), features(m, seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(by_definition(x, y), rel=1e-11)
    assert kid(x, y) == pytest.approx(kid(y, x), rel=1e-11)


def test_equals_torchmetrics():
    """Whose subsets are whole sets here, of equal sizes as it needs them, in single precision."""
    x, y = features(40), features(40, seed=1, shift=0.5)
    metric = KernelInceptionDistance(feature=Vectors(), subsets=1, subset_size=40)
    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    assert kid(x, y) == pytest.approx(float(metric.compute()[0]), rel=1e-5)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (10, 25)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_expectation_and_standard_error_on_gaussians(n, m, shift):
    """With features of one dimension E (xy + 1)^3 = E[x^3]E[y^3] + 3 E[x^2]E[y^2] + 3 E[x]E[y] + 1: closed."""
    rng = np.random.default_rng(n)
    first = np.array([0.5, 1 + 0.25, 0.125 + 1.5])
    mean = 0.5 + shift
    second = np.array([mean, 1 + mean**2, mean**3 + 3 * mean])
    expected = np.sum([3, 3, 1] * (first - second) ** 2)
    samples = [(rng.normal(0.5, 1, (n, 1)), rng.normal(mean, 1, (m, 1))) for _ in range(4000)]
    values = np.array([kid(x, y) for x, y in samples])
    errors = np.array([standard_error(x, y) for x, y in samples])
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))
    # Held at 0 or above, the linear part of few images or of equal distributions is judged too large.
    assert 0.9 < np.mean(errors**2) / values.var() < (1.8 if shift == 0 else 1.2)


@pytest.mark.parametrize(("shift", "ratio"), [(0.0, 1.2), (0.3, 1.0)])
def test_standard_error_with_many_features(shift, ratio):
    rng = np.random.default_rng(0)
    samples = [(rng.normal(size=(20, 30)), rng.normal(size=(30, 30)) + shift) for _ in range(1000)]
    values = [kid(x, y) for x, y in samples]
    errors = [standard_error(x, y) for x, y in samples]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(ratio * np.std(values), rel=0.1)


def test_grows_with_a_shift():
    x, y = features(50), features(50, seed=1)
    values = [kid(x, y + shift) for shift in (0, 0.2, 0.4, 0.8)]
    assert values == sorted(values)
    assert values[-1] > 10 * abs(values[0])


def test_subsets_are_scored_as_sets_of_their_own():
    x, y = features(12), features(9, seed=1)
    rows, others = np.array([0, 3, 4, 11]), np.array([8, 2])
    assert on_subsets(x, y)(rows, others) == pytest.approx(kid(x[rows], y[others]), rel=1e-11)


def test_identical_and_constant_images_have_a_value():
    x = features(6)
    assert kid(np.ones((3, 4)), np.ones((5, 4))) == pytest.approx(0, abs=1e-12)
    assert standard_error(np.ones((5, 4)), np.ones((5, 4))) == pytest.approx(0, abs=1e-12)
    assert kid(np.zeros((3, 4)), np.ones((2, 4))) == pytest.approx(1 + 8 - 2)
    assert kid(x, x) < 0


@pytest.mark.filterwarnings("error")
def test_too_few_images_for_a_standard_error_leave_it_open():
    assert np.isnan(standard_error(features(3), features(20)))


@pytest.mark.parametrize(
    ("reference", "synthetic", "problem"),
    [
        (features(1), features(5), "reference set: 1 image"),
        (features(5), features(0), "synthetic set: 0 image"),
        (features(5), np.full((5, 16), np.nan), "synthetic features: 5 of 5 images have values that are not finite"),
        (features(5), features(5, 17), "16 reference and 17 synthetic features per image"),
        (features(5), np.zeros(8), r"shape \(8,\), not \[n, d\]"),
    ],
)
def test_says_what_is_wrong_with_features(reference, synthetic, problem):
    for function in (kid, standard_error):
        with pytest.raises(StudyError, match=problem):
            function(reference, synthetic)
