"""Writing a shard: PNG by Pillow and by OpenCV; images written as they are drawn, against after it.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/shards.py [--pace 100] [--size 256]

The first table is that of encoding alone, by one thread. In the second a sampler of --pace images per second gives its
batches to `shards.write_shard`; it sleeps in between, as the CPU does while a GPU draws.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from rounds import alternate, machine, print_table

from synthworth import phantoms
from synthworth.shards import write_shard


def main() -> None:
    """Times the ways and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pace", type=float, default=100.0, help="images per second of the sampler")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    count = arguments.images

    grey = pictures(count, arguments.size)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    # A pipeline's channels are not alike to the last bit.
    colour = np.clip(colour + np.random.default_rng(0).normal(0, 2, colour.shape), 0, 255).astype(np.uint8)
    print(f"{machine()}\n\n{count} images of {arguments.size} px; {arguments.rounds} rounds")
    for name, images in (("grey", grey), ("RGB", colour)):
        encoders = {
            "Pillow's default, level 6": by_pillow,
            "Pillow, level 1": partial(by_pillow, compress_level=1),
            "OpenCV's default": by_opencv,
        }
        ways = {way: partial(encode, images, encoder) for way, encoder in encoders.items()}
        print_table(f"PNG, {name}, one thread", alternate(ways, arguments.rounds), count)
        print(
            "\nkB per image: " + ", ".join(f"{way} {encoding() / count / 1000:.1f}" for way, encoding in ways.items())
        )

    size = arguments.batch_size
    batches = [grey[start : start + size, ..., None] for start in range(0, count, size)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shard.parquet"

        def draw() -> Iterator[np.ndarray]:
            for batch in batches:
                time.sleep(len(batch) / arguments.pace)
                yield batch

        ways = {
            "each batch saved by Pillow's default before the next": lambda: save_between(draw()),
            "drawn, then written": lambda: write_shard(file, list(draw()), rows(count)),
            "written as it is drawn (a study)": lambda: write_shard(file, draw(), rows(count)),
            "drawn, not written": lambda: list(draw()),
        }
        title = f"A shard of {count} grey images from a sampler of {arguments.pace:g} images/s"
        print_table(title, alternate(ways, arguments.rounds), count)


def pictures(count: int, size: int) -> np.ndarray:
    """Phantoms, uint8 [count, size, size]; some differ from others in their exposure alone, for quickness."""
    random = np.random.default_rng(0)
    people = [
        (phantoms.sample_anatomy(random, 50, "F"), phantoms.sample_pathology(random, pattern))
        for pattern in phantoms.PATTERNS.values()
    ]
    return np.stack(
        [phantoms.draw_phantom(*people[i % len(people)], phantoms.sample_exposure(random), size) for i in range(count)]
    )


def encode(images: np.ndarray, encoder: Callable[[np.ndarray], bytes]) -> int:
    """Encodes images one after the other; returns their bytes in all."""
    return sum(len(encoder(image)) for image in images)


def by_pillow(image: np.ndarray, compress_level: int = 6) -> bytes:
    """PNG of a uint8 image [height, width] or [height, width, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()


def by_opencv(image: np.ndarray) -> bytes:
    """PNG of a uint8 image [height, width] or [height, width, 3]."""
    # OpenCV's colours are in the order BGR.
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def save_between(batches: Iterable[np.ndarray]) -> None:
    """Saves each batch as it comes, while the sampler waits."""
    for batch in batches:
        encode(batch[..., 0], by_pillow)


def rows(count: int) -> pd.DataFrame:
    """What stands beside the images in a shard."""
    names = {"label": "healthy", "prompt": "", "generator": "ddpm", "scope": "healthy", "step": 0}
    return pd.DataFrame({"index": range(count), "seed": range(count), **names})


if __name__ == "__main__":
    main()
