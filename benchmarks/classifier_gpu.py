"""Classifiers on a GPU: images per second as published and in a study, and the hours that all runs of the paper take.

Usage: PYTHONPATH=workflow/scripts python benchmarks/classifier_gpu.py [--runs 1 4 8]

As published: files of 1000 pixels, float16 autocast, Adam, validation on one image at a time. In a study: mapped
arrays, bfloat16, channels-last layout, fused Adam, validation in batches; with and without `training.compile`, and
several runs at once on the card. The hours are those of `config/paper.yaml` with 865 training and 217 test images,
one run after the other or so many at once. Without a GPU it says so and ends; `--dry` goes through it with a tiny
network on the CPU.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from published_classifier import PublishedImages, mapped_table, published_epochs, study_epochs, table_of, write_pictures
from rounds import machine, on_gpu

from synthworth.arms import expand_arms
from synthworth.classifiers.prediction import default_device
from synthworth.config import compose

CONFIG = Path(__file__).parents[1] / "config"
# Of the paper: images of the two splits, classes, and training images of the largest of them.
TRAINING, TEST, CLASSES, LARGEST_CLASS = 865, 217, 5, 543
SIZE = 224
# Whether the steps are compiled.
WAYS = {"a study": False, "a study, compiled": True}


@dataclass(frozen=True)
class Sizes:
    """What is timed: networks, side of files and of images, images of each split, and epochs, the first not counted."""

    networks: Mapping[str, str]
    file: int
    image: int
    training: int
    validation: int
    epochs: int


@dataclass(frozen=True)
class Rate:
    """Images per second of all runs on the card together."""

    training: float
    validation: float


def main(arguments: list[str] | None = None) -> None:
    """Times the ways for each network, prints the tables and the hours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 4, 8], help="runs at once on the card")
    parser.add_argument("--workers", type=int, default=2, help="of each run")
    parser.add_argument("--published-workers", type=int, default=12)
    parser.add_argument("--dry", action="store_true", help="a tiny network, on whatever there is")
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "COMPILE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not on_gpu() and not options.dry:
        print("No GPU: nothing is measured. `--dry` tries the benchmark with a tiny network on the CPU.")
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    config = paper()
    sizes = dry_sizes() if options.dry else full_sizes(config)
    if options.one:
        report_one(sizes, *options.one, options.workers)
        return

    print(f"{machine()}\n\n{sizes.training} + {sizes.validation} images of {sizes.image} px\n")
    print("| | runs at once | training, images/s | validation, images/s | all runs, hours |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        files = write_pictures(Path(folder), sizes.training + sizes.validation, sizes.file)
        held_out = files[: sizes.validation]
        mapped_table(files[sizes.validation :], sizes.image, Path(folder) / "training.npy")
        mapped_table(held_out, sizes.image, Path(folder) / "validation.npy")
        rates: dict[tuple[str, int], dict[str, Rate]] = {}
        for name, architecture in sizes.networks.items():
            rates.setdefault(("published", 1), {})[name] = published_rate(
                sizes, architecture, files[sizes.validation :], held_out, options.published_workers
            )
            for way, compiled in WAYS.items():
                for runs in options.runs:
                    rates.setdefault((way, runs), {})[name] = study_rate(
                        options, architecture, compiled, Path(folder), runs
                    )
            for (way, runs), found in rates.items():
                rate = found[name]
                print(f"| {name}, {way} | {runs} | {rate.training:.0f} | {rate.validation:.0f} | |", flush=True)
    # Of the dry option's one network there is one rate for all.
    for (way, runs), found in rates.items():
        all_rates = {name: found.get(name, next(iter(found.values()))) for name in config["classifiers"]}
        print(f"| all {runs_of(config)} runs, {way} | {runs} | | | {hours(config, all_rates):.1f} |")


def paper() -> dict:
    """`config/paper.yaml`, put together."""
    default, changes = (
        yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("config", "paper")
    )
    return compose(default, changes)


def full_sizes(config: Mapping) -> Sizes:
    """The paper's networks, with fewer images than it has: rates do not hang on their number."""
    networks = {name: entry["architecture"] for name, entry in config["classifiers"].items()}
    return Sizes(networks, 1000, SIZE, training=512, validation=128, epochs=4)


def dry_sizes() -> Sizes:
    """What a CPU goes through in seconds."""
    return Sizes({"test_resnet": "test_resnet"}, 64, 32, training=16, validation=4, epochs=2)


def runs_of(config: Mapping) -> int:
    """The number of runs of a config."""
    return sum(len(arm.classifiers) for arm in expand_arms(config).values()) * len(config["seeds"]["runs"])


def hours(config: Mapping, rates: Mapping[str, Rate]) -> float:
    """Hours of all runs of a config at the paper's numbers of images, by each classifier's rates.

    A run sees in each epoch all its training images, real and synthetic, and all test images, which choose the epoch.
    Balanced arms have as many images of each class as the largest class of the training set has.
    """
    total = 0.0
    for arm in expand_arms(config).values():
        training = CLASSES * LARGEST_CLASS if arm.balance == "oversample" else TRAINING + CLASSES * arm.per_class
        for name in arm.classifiers:
            epochs = config["classifiers"][name]["training"]["epochs"]
            rate = rates[name]
            total += len(config["seeds"]["runs"]) * epochs * (training / rate.training + TEST / rate.validation)
    return total / 3600


def published_rate(sizes: Sizes, architecture: str, training: list[Path], held_out: list[Path], workers: int) -> Rate:
    """Images per second as published."""
    epochs = published_epochs(
        architecture,
        PublishedImages(training, sizes.image),
        PublishedImages(held_out, sizes.image, augmented=False),
        default_device(),
        workers if on_gpu() else 0,
        half=on_gpu(),
    )
    counted = list(islice(epochs, sizes.epochs))[1:]
    trained, validated = (float(np.median(part)) for part in zip(*counted, strict=True))
    return Rate(sizes.training / trained, sizes.validation / validated)


def study_rate(options: argparse.Namespace, architecture: str, compiled: bool, folder: Path, runs: int) -> Rate:
    """Images per second of so many runs at once, each a process of its own, as jobs of a study are."""
    command = [sys.executable, __file__, "--workers", str(options.workers), *(["--dry"] if options.dry else [])]
    command += ["--one", architecture, str(int(compiled)), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(runs)]
    rates = []
    for process in started:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a run of {architecture} failed: {runs} at once may be too many for the card's memory")
        rates.append([float(number) for number in output.split()[-2:]])
    return Rate(*(float(total) for total in np.sum(rates, axis=0)))


def report_one(sizes: Sizes, architecture: str, compiled: str, folder: str, workers: int) -> None:
    """Prints the images per second of one run's training and validation."""
    arrays = [np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("training", "validation")]
    seconds = study_epochs(
        architecture,
        *(table_of(array) for array in arrays),
        default_device(),
        workers if on_gpu() else 0,
        sizes.epochs,
        compile=compiled == "1",
    )
    print(sizes.training / np.median(seconds.training), sizes.validation / np.median(seconds.validation))


if __name__ == "__main__":
    main()
