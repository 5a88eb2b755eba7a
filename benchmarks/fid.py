"""FID of a checkpoint from its features: scipy's square root of a matrix and torchmetrics, against `fidelity.fid`.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/fid.py [--images 50] [--features 2048]

The published ways take the covariances of both sets and the root of their product; scipy's is that of pytorch-fid and
clean-fid. Their errors, and that of `fid`, are against arithmetic of 60 digits (mpmath): the trace of the root as the
sum of the roots of the eigenvalues of an n x n matrix with the same ones; and, for a small case, of the d x d product
of covariances itself. Then what a resampled interval costs.
"""

import argparse
import warnings
from collections.abc import Callable

import mpmath
import numpy as np
import torch
from rounds import alternate, machine, now
from scipy import linalg
from torchmetrics.image.fid import _compute_fid

from synthworth.fidelity.fid import fid
from synthworth.fidelity.uncertainty import interval


def main() -> None:
    """Times the ways and prints times, ratios and errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--features", type=int, default=2_048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mpmath.mp.dps = 60
    n, width = arguments.images, arguments.features
    x, y = features(n, width, seed=0), features(n, width, seed=1, shift=0.1)

    ways: dict[str, Callable] = {"scipy, `sqrtm`": by_scipy, "torchmetrics": by_torchmetrics, "`fid`": fid}
    seconds = alternate({name: (lambda way=way: repeated(way, x, y)) for name, way in ways.items()}, arguments.rounds)
    exact = by_eigenvalues_of_products(x, y)
    print(f"{machine()}\n\nFID of {n} and {n} images, {width} features: {mpmath.nstr(exact, 15)}\n")
    print("| | ms | ratio | lowest to highest | relative error | imaginary part | FID of a set and itself |")
    print("|---|---|---|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, way in ways.items():
        ratios = first / seconds[name]
        value, itself = complex(way(x, y)), complex(way(x, x[::-1].copy()))
        error = float(abs(value.real - exact) / exact)
        print(
            f"| {name} | {1000 * np.median(seconds[name]):.3g} | {np.median(ratios):.0f} | {ratios.min():.0f} to "
            f"{ratios.max():.0f} | {error:.1e} | {value.imag:.1e} | {itself.real:.1e} |"
        )

    small = features(8, 20, seed=2), features(9, 20, seed=3, shift=0.1)
    exact = by_eigenvalues_of_covariances(*small)
    print(f"\n8 and 9 images, 20 features: relative error of `fid` {float(abs(fid(*small) - exact) / exact):.1e}")

    start = now()
    low, high = interval(fid, y, x, scales=("positive",), confidence=0.95, replicates=arguments.replicates, seed=0)[0]
    print(f"\ninterval, {arguments.replicates} replicates: {now() - start:.2f} s, {low:.4g} to {high:.4g}")


def features(n: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated, non-negative features whose spectrum falls as a power, as networks give them; float64 [n, width]."""
    spectrum = np.arange(1, width + 1) ** -0.75
    rotation = np.linalg.qr(np.random.default_rng(99).normal(size=(width, width)))[0]
    return np.maximum(np.random.default_rng(seed).normal(size=(n, width)) * spectrum @ rotation * 10 + 0.2 + shift, 0)


def by_scipy(x: np.ndarray, y: np.ndarray) -> complex:
    """The formula as pytorch-fid and clean-fid have it, with the imaginary part that those drop."""
    with warnings.catch_warnings():
        # Singular, as covariances of few images are.
        warnings.simplefilter("ignore")
        first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = linalg.sqrtm(first @ second)
    means = x.mean(0) - y.mean(0)
    return means @ means + np.trace(first) + np.trace(second) - 2 * np.trace(root)


def by_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    """torchmetrics' formula, from the eigenvalues of the product."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    return float(_compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)))


def repeated(way: Callable, x: np.ndarray, y: np.ndarray) -> float:
    """The seconds of a call, the mean of several where one is short."""
    start, calls = now(), 0
    while not calls or now() - start < 0.2:
        way(x, y)
        calls += 1
    return (now() - start) / calls


def by_eigenvalues_of_products(x: np.ndarray, y: np.ndarray) -> mpmath.mpf:
    """FID in many digits; the eigenvalues are those of A B' B A', of centred features A and B."""
    (mean, a), (other, b) = _centred(x), _centred(y)
    product = _dot(a, b)
    square = mpmath.matrix(_dot(product, product).tolist())
    roots = sum(mpmath.sqrt(abs(v)) for v in mpmath.eigsy(square, eigvals_only=True))
    return _assembled(mean - other, a, b, roots)


def by_eigenvalues_of_covariances(x: np.ndarray, y: np.ndarray) -> mpmath.mpf:
    """FID in many digits; the eigenvalues are those of the product of the covariances, as the formula is written."""
    (mean, a), (other, b) = _centred(x), _centred(y)
    product = mpmath.matrix(_dot(a.T, a.T).tolist()) * mpmath.matrix(_dot(b.T, b.T).tolist())
    values = mpmath.eig(product, left=False, right=False)
    return _assembled(mean - other, a, b, sum(mpmath.sqrt(abs(mpmath.re(v))) for v in values))


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and centred features scaled so that A'A is the covariance, as arrays of mpmath's numbers."""
    digits = np.frompyfunc(mpmath.mpf, 1, 1)(x)
    mean = digits.sum(axis=0) / len(x)
    return mean, (digits - mean) / mpmath.sqrt(len(x) - 1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([[mpmath.fdot(row, other) for other in b] for row in a])


def _assembled(shift: np.ndarray, a: np.ndarray, b: np.ndarray, roots: mpmath.mpf) -> mpmath.mpf:
    return mpmath.fdot(shift, shift) + sum(mpmath.fdot(row, row) for row in (*a, *b)) - 2 * roots


if __name__ == "__main__":
    main()
