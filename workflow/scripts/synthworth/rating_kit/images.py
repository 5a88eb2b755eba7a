"""The images of a kit: real and synthetic ones through the same code, in files that differ in their pixels alone."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
from PIL import Image

from synthworth.resizing import resize
from synthworth.shards import read_shard

# The time that all files of a kit bear: 2000-01-01 00:00 UTC.
TIME = 946_684_800


def read_pixels(rows: pd.DataFrame, files: Sequence[str | Path], size: int, folder: str | Path) -> np.ndarray:
    """The pixels of rows as uint8 [n, size, size, channels], in their order.

    A row's image is the one at `place` in `files[file]`: a shard (.parquet), or an array of images (.npy). Images of
    another size are resized as everywhere in the study. They are read file by file into a nameless file in `folder`,
    mapped into memory, which goes when the array does: of 5,000 colour images of 512 px, 4 GB, no more need be in
    memory than those of one shard. Unlike files written shard by shard, those of a kit, written in its own order, do
    not tell by their order on a disk, or in a zip file, where they are from.
    """
    channels = np.load(files[0], mmap_mode="r").shape[-1]
    with TemporaryFile(dir=folder) as file:
        pixels = np.memmap(file, np.uint8, "w+", shape=(len(rows), size, size, channels))
    for file, own in rows.reset_index(drop=True).groupby("file"):
        for row, image in zip(own.index, _read_images(Path(files[file]), own["place"].to_numpy()), strict=True):
            pixels[row] = resize(image[None], size)[0]
    return pixels


def _read_images(path: Path, places: np.ndarray) -> Iterator[np.ndarray]:
    if path.suffix == ".parquet":
        yield from read_shard(path, [], places=places)[0]
    else:
        images = np.load(path, mmap_mode="r")
        yield from (images[place] for place in places)


def write_image(folder: Path, pixels: np.ndarray, names: Sequence[str | int]) -> str:
    """Writes one image, uint8 [size, size, 1 or 3], as PNG into a folder and returns the name of its file.

    The name is a hash of the pixels and of `names`, which make it another one where the same image comes again. PNG
    without compression: else the sizes of the files would tell smooth synthetic images from grainy real ones. It holds
    no chunk but those of the pixels.
    """
    digest = hashlib.sha256(json.dumps(names).encode() + pixels.tobytes()).hexdigest()
    path = folder / f"{digest[:16]}.png"
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, compress_level=0)
    os.utime(path, (TIME, TIME))
    return path.name
