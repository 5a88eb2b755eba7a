"""MS-SSIM of a set of images: torchmetrics pair by pair, as the paper computes it, against `fidelity.ms_ssim`.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/ms_ssim.py [--images 50] [--rounds 5]

torchmetrics is timed on some pairs, drawn anew in each round, and scaled to all. Then how far the values of single
pairs, and their mean, lie from torchmetrics' in single precision, as published, and in double.
"""

import argparse
from itertools import combinations

import cv2
import numpy as np
import torch
from rounds import alternate, machine, now
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from synthworth.fidelity.ms_ssim import SIZE, ms_ssim_pairs
from synthworth.resizing import resize


def main() -> None:
    """Times the ways and prints the tables."""
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
    pairs = list(combinations(range(len(colour)), 2))

    def some() -> list[int]:
        return sorted(rng.choice(len(pairs), min(arguments.pairs, len(pairs)), replace=False))

    def published() -> float:
        chosen, start = some(), now()
        by_torchmetrics(colour, [pairs[i] for i in chosen])
        return (now() - start) * len(pairs) / len(chosen)

    ways = {
        "torchmetrics, pair by pair": published,
        "shared statistics, RGB": lambda: ms_ssim_pairs(colour),
        "shared statistics, grey": lambda: ms_ssim_pairs(colour[..., :1]),
    }
    seconds = alternate(ways, arguments.rounds)
    print(f"{machine()}\n\n{len(pairs)} pairs of {len(colour)} images, {arguments.rounds} rounds\n")
    print("| | seconds | ratio | lowest to highest |\n|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = first / times
        print(
            f"| {name} | {np.median(times):.2f} | {np.median(ratios):.1f} | {ratios.min():.1f} to {ratios.max():.1f} |"
        )

    chosen = some()
    values = ms_ssim_pairs(colour)[chosen]
    print(f"\n| differences of {len(chosen)} pairs from torchmetrics | largest | of the mean |\n|---|---|---|")
    for name, kind in {"single precision, as published": torch.float32, "double precision": torch.float64}.items():
        difference = values - by_torchmetrics(colour, [pairs[i] for i in chosen], kind)
        print(f"| {name} | {np.abs(difference).max():.1e} | {abs(difference.mean()):.1e} |")


def pictures(n: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth colour pictures that share a scene, uint8 [n, 256, 256, 3]."""
    scene = cv2.GaussianBlur(rng.normal(size=(256, 256, 3)), (0, 0), 30)
    own = np.stack([cv2.GaussianBlur(rng.normal(size=(256, 256, 3)), (0, 0), 8) for _ in range(n)])
    return np.clip(120 + 40 * scene / scene.std() + 30 * own / own.std(), 0, 255).astype(np.uint8)


def by_torchmetrics(images: np.ndarray, pairs: list[tuple[int, int]], kind: torch.dtype = torch.float32) -> np.ndarray:
    """The values of some pairs as the paper computes them, or in double precision."""
    pixels = torch.from_numpy(resize(images, SIZE)).permute(0, 3, 1, 2).to(kind)
    metric = multiscale_structural_similarity_index_measure
    return np.array([float(metric(pixels[i : i + 1], pixels[j : j + 1], data_range=255.0)) for i, j in pairs])


if __name__ == "__main__":
    main()
