"""The images of a kit: real and synthetic ones through the same code, in files that differ in their pixels alone."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from synthworth.resizing import resize
from synthworth.shards import read_shard

# The time that all files of a kit bear: 2000-01-01 00:00 UTC.
TIME = 946_684_800


def read_pixels(rows: pd.DataFrame, files: Sequence[str | Path], size: int) -> np.ndarray:
    """The pixels of rows as uint8 [n, size, size, channels], in their order.

    A row's image is the one at `place` in `files[file]`: a shard (.parquet), or an array of images (.npy). Images of
    another size are resized as everywhere in the study.
    """
    pixels: list[np.ndarray | None] = [None] * len(rows)
    places = rows.reset_index(drop=True)
    for file, own in places.groupby("file"):
        path, wanted = Path(files[file]), own["place"].to_numpy()
        is_shard = path.suffix == ".parquet"
        images = read_shard(path, [], places=wanted)[0] if is_shard else np.load(path, mmap_mode="r")[wanted]
        for row, image in zip(own.index, resize(images, size), strict=True):
            pixels[row] = image
    return np.stack(pixels)


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
