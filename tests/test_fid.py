import warnings

import numpy as np
import pytest
import torch
from scipy import linalg
from torchmetrics.image.fid import _compute_fid

from synthworth.errors import StudyError
from synthworth.fidelity.fid import fid, on_subsets


def features(n, d, seed=0, shift=0.0):
    """Correlated, non-negative features with a few that are always 0, as networks give them."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, d)) @ np.random.default_rng(1).normal(size=(d, d)) / np.sqrt(d)
    x = np.maximum(mixed + shift, 0)
    x[:, ::11] = 0
    return x


def by_square_root(x, y):
    with warnings.catch_warnings():
        # Singular, as covariances of few images are.
        warnings.simplefilter("ignore", linalg.LinAlgWarning)
        root = linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)).real
    means = x.mean(0) - y.mean(0)
    return means @ means + np.trace(np.cov(x, rowvar=False) + np.cov(y, rowvar=False) - 2 * root)


def by_torchmetrics(x, y):
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    return float(_compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)))


SIZES = [(12, 12, 64), (20, 200, 64), (200, 20, 64), (64, 65, 64), (300, 200, 64)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_equals_scipy_and_torchmetrics(n, m, d):
    x, y = features(n, d), features(m, d, seed=2, shift=0.3)
    # With fewer images than features those two are right to 4 digits only.
    digits = 1e-7 if min(n, m) > d + 1 else 1e-4
    assert fid(x, y) == pytest.approx(by_square_root(x, y), rel=digits)
    assert fid(x, y) == pytest.approx(by_torchmetrics(x, y), rel=digits)


@pytest.mark.parametrize("n", [30, 3000])
def test_equals_the_closed_form_of_gaussians_with_given_covariances(n):
    """Samples whitened and recoloured have exactly the covariances wanted, which commute: a closed form."""
    d = 20 if n > 20 else n - 1
    rng = np.random.default_rng(0)

    def sample(mean, deviations):
        x = rng.normal(size=(n, d))
        x -= x.mean(0)
        white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
        return mean + white * deviations

    mean, s, t = rng.normal(size=d), rng.uniform(0.1, 2, d), rng.uniform(0.1, 2, d)
    expected = np.sum(mean**2) + np.sum((s - t) ** 2)
    assert fid(sample(0, s), sample(mean, t)) == pytest.approx(expected, rel=1e-10)


def test_rank_deficient_sets_of_known_distance():
    """One direction each: S1 = s^2 aa', S2 = t^2 bb', and Tr sqrt(S1 S2) = s t |a.b|."""
    rng = np.random.default_rng(0)
    a, b = np.linalg.qr(rng.normal(size=(50, 2)))[0].T
    b = (a + b) / np.sqrt(2)
    z = rng.normal(size=(8, 2))
    z = (z - z.mean(0)) / z.std(0, ddof=1)
    x, y = 3 * z[:, :1] * a, 2 * z[:, 1:] * b
    assert fid(x, y) == pytest.approx(9 + 4 - 2 * 6 / np.sqrt(2), rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_is_zero_for_equal_sets_symmetric_and_not_negative(n, m, d):
    x, y = features(n, d), features(m, d, seed=2)
    total = np.trace(np.cov(x, rowvar=False))
    assert fid(x, y) == pytest.approx(fid(y, x), rel=1e-12)
    for scale in (1e-3, 1, 1e4):
        for seed in range(5):
            rows = np.random.default_rng(seed).permutation(n)
            for other in (x, x[rows], x * (1 + 1e-9)):
                for value in (fid(scale * x, scale * other), on_subsets(scale * x, scale * other)(rows, np.arange(n))):
                    assert 0 <= value < 1e-9 * scale**2 * total


@pytest.mark.parametrize(("n", "m", "d"), [(20, 12, 64), (60, 50, 8)])
def test_fid_of_subsets_is_that_of_their_features(n, m, d):
    x, y = features(n, d) + 30, features(m, d, seed=1) + 29
    rows, others = np.arange(1, n, 2), np.arange(0, m, 3)
    value = on_subsets(x, y)(rows, others)
    assert value == pytest.approx(fid(x[rows], y[others]), rel=1e-9)
    with pytest.raises(StudyError, match="synthetic set: 1 image"):
        on_subsets(x, y)(rows, others[:1])


def test_float32_features_are_reckoned_in_float64():
    x, y = features(50, 256).astype(np.float32) + 100, features(50, 256, seed=2).astype(np.float32) + 100
    assert fid(x, y) == pytest.approx(fid(x.astype(float), y.astype(float)), rel=1e-12)


@pytest.mark.parametrize(
    ("reference", "synthetic", "problem"),
    [
        (features(1, 8), features(5, 8), "reference set: 1 image"),
        (features(5, 8), features(0, 8), "synthetic set: 0 image"),
        (features(5, 8), np.full((5, 8), np.nan), "synthetic features: 5 of 5 images have values that are not finite"),
        (features(5, 8), features(5, 9), "8 reference and 9 synthetic features per image"),
        (features(5, 8), np.zeros(8), r"shape \(8,\), not \[n, d\]"),
    ],
)
def test_says_what_is_wrong_with_features(reference, synthetic, problem):
    with pytest.raises(StudyError, match=problem):
        fid(reference, synthetic)
