"""What a classifier sees, made ready: as published, and as in a study.

As published, a file of 1000 pixels is decoded, resized and augmented for each image and epoch, by workers that are
forked anew. In a study the image lies in a memory-mapped array at the network's own size, what is augmented stays
uint8 and is normalised a batch at a time, and the workers live on.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/classifier_data.py

One thread is timed by its processor time, two workers by the clock. It ends with an error where the two ways do not
give the same tensors bit for bit at the same random numbers.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from published_classifier import (
    BATCH,
    PublishedImages,
    augmented,
    by_clock,
    decoded,
    mapped_table,
    normalize,
    write_pictures,
)
from rounds import alternate, machine, print_table

from synthworth.classifiers.data import ImageDataset
from synthworth.classifiers.normalisation import normalised

SIZE = 224


def main() -> None:
    """Times the ways, prints the tables and compares the tensors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epoch", type=int, default=160, help="images of an epoch with workers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # As in a study's jobs: OpenCV's own threads, one for each core, would count as speed of either way.
    cv2.setNumThreads(0)

    print(f"{machine()}\n\n{SIZE} px from files of 1000 px; {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        kinds = {kind: Path(folder) / kind for kind in ("jpg", "png")}
        for place in kinds.values():
            place.mkdir()
        files = {kind: write_pictures(place, arguments.images, 1000, kind) for kind, place in kinds.items()}
        study = augmented(mapped_table(files["png"], SIZE, Path(folder) / "images.npy"))
        compare(files["png"], study)
        published = {kind: PublishedImages(paths, SIZE) for kind, paths in files.items()}
        ways = {
            "published: JPEG": partial(one_by_one, published["jpg"]),
            "published: PNG": partial(one_by_one, published["png"]),
            "a study": partial(in_batches, study),
            "a study, normalised on a GPU": partial(in_batches, study, on_device=True),
        }
        timed = {name: by_clock(way) for name, way in ways.items()}
        print_table("Images, one thread", alternate(timed, arguments.rounds), arguments.images)

        count = arguments.epoch
        rows = [(1, row % arguments.images) for row in range(count)]
        loaders = {
            f"published: {kind.upper()}": torch.utils.data.DataLoader(
                published[kind], BATCH, sampler=[row for _, row in rows], num_workers=2
            )
            for kind in ("jpg", "png")
        }
        loaders["a study"] = torch.utils.data.DataLoader(
            study, BATCH, sampler=rows, num_workers=2, persistent_workers=True
        )
        ways = {name: partial(epoch, loader, name == "a study") for name, loader in loaders.items()}
        print_table(f"An epoch of {count} images, two workers", alternate(ways, arguments.rounds), count)


def compare(paths: list[Path], study: ImageDataset) -> None:
    """Raises where a study's tensors are not those of the published path with the same random numbers."""
    own = normalize()
    for row, path in enumerate(paths):
        expected = own(image=study.transform(decoded(path, SIZE), 1, row))["image"]
        image, _ = study[(1, row)]
        if not np.array_equal(normalised(image[None])[0].permute(1, 2, 0).numpy(), expected):
            raise SystemExit(f"image {row} is not the same in both ways")
    print(f"\n{len(paths)} tensors are the same bit for bit.")


def one_by_one(published: PublishedImages) -> None:
    """All images on one thread, stacked to batches."""
    for start in range(0, len(published), BATCH):
        torch.stack([published[row][0] for row in range(start, min(start + BATCH, len(published)))])


def in_batches(study: ImageDataset, on_device: bool = False) -> None:
    """All images on one thread; what a GPU would do is not done `on_device`."""
    for start in range(0, len(study), BATCH):
        batch = torch.stack([study[(1, row)][0] for row in range(start, min(start + BATCH, len(study)))])
        if not on_device:
            normalised(batch)


def epoch(loader: torch.utils.data.DataLoader, uint8: bool) -> None:
    """All batches of an epoch, as float32."""
    for images, _ in loader:
        if uint8:
            normalised(images)


if __name__ == "__main__":
    main()
