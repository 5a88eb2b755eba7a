"""Shards: synthetic images as Parquet, one row per image, in the layout of Hugging Face's `Image` feature.

`datasets.load_dataset("parquet", data_files=...)` shows the images as they are; so does the hub's viewer.
"""

import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from synthworth.files import replacing
from synthworth.resizing import resize

# What is known of each image, with its type in Hugging Face's words.
COLUMNS = {
    "label": "string",
    "prompt": "string",
    "generator": "string",
    "scope": "string",
    "step": "int64",
    "index": "int64",
    "seed": "int64",
}

# Arrow's arrays hold up to 2 GB: 6,000 colour images of 512 px. A reader, too, takes one part at a time.
IMAGES_PER_PART = 1000
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write_shard(path: str | Path, batches: Iterable[np.ndarray], rows: pd.DataFrame) -> None:
    """Writes batches of uint8 images [b, height, width, 1 or 3] and their rows (columns as in `COLUMNS`, in the order
    of the images) as one Parquet file.

    A batch is encoded by other threads while the next one is drawn, so that a sampler never waits for the encoding.
    It must not change what it has yielded.
    """
    with replacing(path) as temporary:
        encoded = _encode_batches(batches, len(rows))
        names = [f"{row.generator}_{row.label}_{row.index:06d}.png" for row in rows.itertuples(index=False)]
        images = [{"bytes": data, "path": name} for data, name in zip(encoded, names, strict=True)]
        starts = range(0, len(images), IMAGES_PER_PART)
        parts = [pa.array(images[start : start + IMAGES_PER_PART], IMAGE) for start in starts]
        columns = {"image": pa.chunked_array(parts, IMAGE)} | {
            column: pa.array(rows[column].tolist(), pa.int64() if kind == "int64" else pa.string())
            for column, kind in COLUMNS.items()
        }
        features = {"image": {"_type": "Image"}} | {c: {"dtype": kind, "_type": "Value"} for c, kind in COLUMNS.items()}
        table = pa.table(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})
        # PNG does not compress further, nor do two images repeat each other: the file is as large, and written and
        # read in half the time.
        pq.write_table(
            table, temporary, compression="none", use_dictionary=list(COLUMNS), row_group_size=IMAGES_PER_PART
        )


def read_shard(
    path: str | Path,
    columns: Sequence[str] = tuple(COLUMNS),
    count: int | None = None,
    places: Sequence[int] | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """The uint8 images [n, height, width, channels] of a shard and their rows, in the order of the file.

    `count`: only the first so many, where there are more. `places`: only those at these places, in their order.
    """
    table = pq.read_table(path, columns=["image", *columns]).slice(0, count)
    table = table if places is None else table.take(places)
    with ThreadPoolExecutor() as pool:
        parts = (part.field("bytes").to_pylist() for part in table["image"].chunks)
        images = list(pool.map(_decode, chain.from_iterable(parts)))
    return np.stack(images), table.select(list(columns)).to_pandas()


def render_shard(shard: str | Path, output: str | Path, size: int) -> None:
    """Writes the images of a shard, resized, as one array: .npy, uint8 [n, size, size, channels], in the file's order.

    Decoded once for all classifiers, which map it into memory and share it.
    """
    images, _ = read_shard(shard, columns=())
    with replacing(output) as temporary:
        np.save(temporary, resize(images, size))


def _encode_batches(batches: Iterable[np.ndarray], count: int) -> list[bytes]:
    waiting: list[Future[bytes]] = []
    shape = None
    with ThreadPoolExecutor() as pool:
        for batch in batches:
            if shape not in (None, batch.shape[1:]):
                raise ValueError(f"images of {batch.shape[1:]} after images of {shape}")
            shape = batch.shape[1:]
            waiting += [pool.submit(_encode, image) for image in batch]
    if len(waiting) != count:
        raise ValueError(f"{len(waiting)} images but {count} rows")
    return [image.result() for image in waiting]


def _encode(image: np.ndarray) -> bytes:
    # OpenCV writes a PNG 2 to 4 times as fast as Pillow at its fastest. Its colours are in the order BGR.
    return cv2.imencode(".png", image if image.shape[-1] == 1 else image[..., ::-1])[1].tobytes()


def _decode(data: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
