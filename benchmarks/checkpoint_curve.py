"""A curve of 30 checkpoints: features of the real images extracted once, as in a study, against at each checkpoint.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/checkpoint_curve.py [--checkpoints 30]

Every checkpoint is scored, FID and MS-SSIM, by the functions of a study's jobs, on images of its own; few of them, so
that all 30 are run. A checkpoint is a round: the two ways take turns. `checkpoint_evaluation.py` has the published way.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from checkpoint_evaluation import Files, checkpoint_shard, evaluate, pictures, prepare, quiet, reference
from rounds import Parts, machine

from synthworth.features import load_features


def main() -> None:
    """Scores all checkpoints both ways and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=int, default=30)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    n = arguments.images
    once, extraction, anew, kept = (Parts() for _ in range(4))
    same = True
    with tempfile.TemporaryDirectory() as folder, quiet():
        files, _ = prepare(Path(folder), n, arguments.size, channels=1)
        evaluate_of(files, 0, arguments, Parts(), Parts(), extraction)
        extraction.forget()
        reference(files, n, once)
        for step in range(arguments.checkpoints):
            same &= evaluate_of(files, step, arguments, anew, kept, extraction)

    name = f"features of {n} real images"
    print(f"{machine()}\n\n**{arguments.checkpoints} checkpoints of {n} images of {arguments.size} px**\n")
    print("| real features | real images seen | wall, s | processor, s |\n|---|---|---|---|")
    totals = [once.of(name)[0] + kept.of().sum(axis=0), extraction.of(name).sum(axis=0) + anew.of().sum(axis=0)]
    for way, count, seconds in zip(("once", "at each checkpoint"), (1, arguments.checkpoints), totals, strict=True):
        print(f"| {way} | {count * n} | {seconds[0]:.1f} | {seconds[1]:.1f} |")
    ratios = (extraction.of(name) + anew.of())[:, 1] / kept.of()[:, 1]
    wall, cpu = totals[1] / totals[0]
    print(f"\nratio of the whole: {wall:.2f} by the wall, {cpu:.2f} by the processor; of single checkpoints", end=" ")
    print(f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})")
    print(f"all scores the same: {same}")


def evaluate_of(
    files: Files, step: int, arguments: argparse.Namespace, anew: Parts, kept: Parts, extraction: Parts
) -> bool:
    """Draws a checkpoint's images and scores them both ways; whether both give the same."""
    n = arguments.images
    checkpoint_shard(files.shard, pictures(n, arguments.size, 1, seed=step, sigma=1 + step / 10))
    reference(files, n, extraction)
    fresh, features = evaluate(files, n, anew, intervals=False), load_features(files.reference).features
    old = evaluate(files, n, kept, intervals=False)
    return fresh == old and bool((features == load_features(files.reference).features).all())


if __name__ == "__main__":
    main()
