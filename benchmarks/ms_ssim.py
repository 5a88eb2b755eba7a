"""MS-SSIM of a set of images: torchmetrics pair by pair, as the paper computes it, against `fidelity.ms_ssim`.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/ms_ssim.py [--images 50] [--rounds 5]

Rounds alternate between the ways, so that other work on the machine falls on all of them; the table holds medians
over rounds. torchmetrics is timed on some pairs, drawn anew in each round, and scaled to all.
"""

import argparse
import time
from itertools import combinations

import cv2
import numpy as np
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from synthworth.fidelity.ms_ssim import SIZE, ms_ssim_pairs
from synthworth.resizing import resize


def main() -> None:
    """Times the ways and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20, help="pairs that torchmetrics scores in a round")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)

    rng = np.random.default_rng(0)
    colour = pictures(arguments.images, rng)
    grey = colour[..., :1]
    pairs = list(combinations(range(len(colour)), 2))
    seconds: dict[str, list[float]] = {}
    differences = []
    for _ in range(arguments.rounds):
        some = sorted(rng.choice(len(pairs), min(arguments.pairs, len(pairs)), replace=False))
        reference, elapsed = timed(by_torchmetrics, colour, [pairs[i] for i in some])
        seconds.setdefault("torchmetrics, pair by pair", []).append(elapsed * len(pairs) / len(some))
        values, elapsed = timed(ms_ssim_pairs, colour)
        seconds.setdefault("shared statistics, RGB", []).append(elapsed)
        seconds.setdefault("shared statistics, grey", []).append(timed(ms_ssim_pairs, grey)[1])
        differences.append(np.abs(values[some] - reference).max())

    first = np.array(next(iter(seconds.values())))
    print(f"{len(pairs)} pairs of {len(colour)} images, {arguments.rounds} rounds, {arguments.threads} thread(s)\n")
    print(f"{'':28}{'seconds':>9}{'ratio':>8}   lowest to highest ratio")
    for name, times in seconds.items():
        ratios = first / np.array(times)
        print(f"{name:28}{np.median(times):9.2f}{np.median(ratios):8.1f}   {ratios.min():.1f} to {ratios.max():.1f}")
    print(f"\nlargest difference from torchmetrics (single precision): {max(differences):.1e}")


def pictures(n: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth colour pictures that share a scene, uint8 [n, 256, 256, 3]."""
    scene = cv2.GaussianBlur(rng.normal(size=(256, 256, 3)), (0, 0), 30)
    own = np.stack([cv2.GaussianBlur(rng.normal(size=(256, 256, 3)), (0, 0), 8) for _ in range(n)])
    return np.clip(120 + 40 * scene / scene.std() + 30 * own / own.std(), 0, 255).astype(np.uint8)


def by_torchmetrics(images: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """The values of some pairs as the paper computes them."""
    pixels = torch.from_numpy(resize(images, SIZE)).permute(0, 3, 1, 2).float()
    metric = multiscale_structural_similarity_index_measure
    return np.array([float(metric(pixels[i : i + 1], pixels[j : j + 1], data_range=255.0)) for i, j in pairs])


def timed(function, *arguments):
    """What a call returns, and its seconds."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
