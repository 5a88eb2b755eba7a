"""An audit of memorisation: what its parts take, and whether it finds copies that were put among the images.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/memorization.py [--synthetic 250] [--train 1000]

One class: held-out images and planted copies against the training images, once for all generators; the synthetic
images of a checkpoint against them, of which one in ten is a copy; and what the audit makes of both. Features are
random projections of thumbnails: those of a network are kept in a study, and `checkpoint_evaluation.py` has their
price. There is no published way to compare with: none of the papers looked.
"""

import argparse

import cv2
import numpy as np
import torch
from rounds import Parts, machine

from synthworth.memorization.audit import Audit, audit
from synthworth.memorization.comparison import compare_real, compare_synthetic
from synthworth.memorization.copies import most_similar, most_similar_others
from synthworth.memorization.nearest import compare_features
from synthworth.memorization.plants import perturb
from synthworth.memorization.sets import ImageSet
from synthworth.resizing import resize

WIDTH = 2_048
THUMBNAIL = 32


def main() -> None:
    """Times the parts of an audit, and prints them and what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=250)
    parser.add_argument("--train", type=int, default=1_000)
    parser.add_argument("--held-out", type=int, default=250)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--planted", type=int, default=50)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    rng = np.random.default_rng(0)
    counts = [arguments.train, arguments.held_out, arguments.synthetic]
    train, held_out, new = np.split(pictures(sum(counts), arguments.size, rng), np.cumsum(counts)[:-1])
    copied = len(new) // 10
    new[:copied] = [perturb(image, "combined", 0, rng) for image in train[:copied]]
    sets = [ImageSet(features(images), images) for images in (new, train, held_out)]
    parts, found = Parts(), None
    for counted in range(arguments.rounds + 1):
        found = run(*sets, arguments, parts)
        if not counted:
            parts.forget()

    print(f"{machine()}\n\n{len(new)} synthetic, {len(train)} training and {len(held_out)} held-out images of ", end="")
    print(f"{arguments.size} px; {arguments.rounds} rounds\n")
    print("| | wall, s | processor, s | lowest to highest |\n|---|---|---|---|")
    for name in parts.seconds:
        wall, cpu = parts.of(name).T
        print(f"| {name} | {np.median(wall):.2f} | {np.median(cpu):.2f} | {cpu.min():.2f} to {cpu.max():.2f} |")
    flagged = found.images["flagged"].to_numpy()
    copies, others = flagged[:copied], flagged[copied:]
    print(f"\nflagged: {copies.sum()} of {len(copies)} copies, {others.sum()} of {len(others)} others")


def run(new: ImageSet, train: ImageSet, held_out: ImageSet, arguments: argparse.Namespace, parts: Parts) -> Audit:
    """An audit, whole and in parts."""
    with parts.part("real images and planted copies (once per class)"):
        reference = compare_real(train, held_out, features, seed=1, sources=arguments.planted)
    with parts.part("a checkpoint's comparison with the training images"):
        comparison = compare_synthetic(new, train, held_out, seed=1)
    with parts.part("- of that: nearest by features"):
        compare_features(new.features, train.features, held_out.features, held_out.patients, seed=1)
    with parts.part("- aligned pixels"):
        most_similar(new, train)
    with parts.part("- duplicates among the synthetic images"):
        most_similar_others(new)
    with parts.part("scores, intervals and power"):
        return audit(comparison, reference, seed=1, trials=arguments.trials)


def pictures(n: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Pictures that share a scene and have structures of two sizes of their own, uint8 [n, size, size, 1]."""
    scene = 40 * noise(size, 8, rng)
    return np.stack(
        [
            np.clip(120 + scene + 20 * noise(size, 32, rng) + 10 * noise(size, 96, rng), 0, 255).astype(np.uint8)
            for _ in range(n)
        ]
    )[..., None]


def noise(size: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise, float32 [size, size], of structures of 1 / side."""
    return cv2.resize(rng.standard_normal((side, side), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def features(images: np.ndarray) -> np.ndarray:
    """Random projections of thumbnails, float32 [n, 2048]."""
    thumbnails = resize(images, THUMBNAIL).reshape(len(images), -1).astype(np.float32)
    return thumbnails @ np.random.default_rng(9).standard_normal((thumbnails.shape[1], WIDTH), np.float32)


if __name__ == "__main__":
    main()
