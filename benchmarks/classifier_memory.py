"""The main memory of a classifier's run: without synthetic images, and with 10,000 of each of five classes.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/classifier_memory.py [--architecture resnet50]

Each run is a process of its own that trains for a few steps. Counted is what it holds for itself at most (anonymous
memory): what it maps from files is the page cache's, shared by all runs, and given up where memory is short. The arrays
are sparse files of zeros: they take no disk.
"""

import argparse
import multiprocessing
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from published_classifier import CLASSES, defaults
from rounds import machine

from synthworth.classifiers.training import train_classifier

SIZE = 224
PER_CLASS = 10_000
SHARD = 250
NAMES = [f"class{number}" for number in range(CLASSES)]


def main() -> None:
    """Trains both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--channels", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}\n\n{arguments.architecture}, {SIZE} px, {arguments.channels} channel(s)\n")
    print("| arm | GiB of its own | GiB mapped |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, per_class in (("baseline", 0), (f"+{PER_CLASS}", PER_CLASS)):
            images = write_images(Path(folder) / name, per_class, arguments.channels)
            mapped = sum(path.stat().st_size for path in [images["train_images"], *images["rendered"]])
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                own = pool.apply(peak, (images, per_class, arguments.architecture, Path(folder) / "model"))
            print(f"| {name} | {own:.2f} | {mapped / 2**30:.2f} |", flush=True)


def write_images(folder: Path, per_class: int, channels: int) -> dict:
    """Keywords of `train_classifier`: 32 real images, and shards of synthetic ones."""
    folder.mkdir()
    empty_array(folder / "real.npy", 32, channels)
    real = pd.DataFrame({"image": [f"{row}.png" for row in range(32)], "patient": range(32)})
    real.assign(**{"class": [NAMES[row % CLASSES] for row in range(32)]}).to_csv(folder / "real.csv", index=False)
    shards = []
    for name in NAMES:
        for first in range(0, per_class, SHARD):
            shards.append(folder / f"{name}-{first}.parquet")
            pd.DataFrame({"label": name, "index": range(first, first + SHARD)}).to_parquet(shards[-1])
            empty_array(shards[-1].with_suffix(".npy"), SHARD, channels)
    split = {"train_images": folder / "real.npy", "train_index": folder / "real.csv"}
    select = {"select_images": folder / "real.npy", "select_index": folder / "real.csv"}
    return split | select | {"shards": shards, "rendered": [shard.with_suffix(".npy") for shard in shards]}


def empty_array(path: Path, count: int, channels: int) -> None:
    """An array of zeros in a sparse file."""
    np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIZE, SIZE, channels))


def peak(images: dict, per_class: int, architecture: str, output: Path) -> float:
    """Trains for an epoch of four steps; the most anonymous memory of this process meanwhile, in GiB."""
    torch.set_num_threads(1)
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
            most[0] = max(most[0], kilobytes / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        train_classifier(
            **images,
            classes=NAMES,
            output=output,
            architecture=architecture,
            epochs=1,
            budget="steps",
            augmentation=defaults()["augmentation"],
            arm={"per_class": per_class},
            run_seed=0,
        )
    finally:
        done.set()
        watcher.join()
    return most[0]


if __name__ == "__main__":
    main()
