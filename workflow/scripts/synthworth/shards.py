"""Shards: synthetic images as Parquet, one row per image, in the layout of Hugging Face's `Image` feature.

`datasets.load_dataset("parquet", data_files=...)` shows the images as they are; so does the hub's viewer.
"""

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from synthworth.files import replacing

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

# PNG at level 1 is 3 to 4 times as fast to write as at Pillow's default of 6, and a tenth larger.
PNG_LEVEL = 1


def write_shard(path: str | Path, images: np.ndarray, rows: pd.DataFrame) -> None:
    """Writes uint8 images [n, height, width, 1 or 3] and their rows (columns as in `COLUMNS`) as one Parquet file."""
    if len(images) != len(rows):
        raise ValueError(f"{len(images)} images but {len(rows)} rows")
    with ThreadPoolExecutor() as pool:
        encoded = list(pool.map(_encode, images))
    names = [f"{row.generator}_{row.label}_{row.index:06d}.png" for row in rows.itertuples(index=False)]
    columns = {"image": pa.array([{"bytes": data, "path": name} for data, name in zip(encoded, names, strict=True)])}
    columns |= {
        column: pa.array(rows[column].tolist(), pa.int64() if kind == "int64" else pa.string())
        for column, kind in COLUMNS.items()
    }
    features = {"image": {"_type": "Image"}} | {c: {"dtype": kind, "_type": "Value"} for c, kind in COLUMNS.items()}
    table = pa.table(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_shard(path: str | Path, columns: Sequence[str] = tuple(COLUMNS)) -> tuple[np.ndarray, pd.DataFrame]:
    """The uint8 images [n, height, width, channels] of a shard and their rows, in the order of the file."""
    table = pq.read_table(path, columns=["image", *columns])
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_decode, table["image"].combine_chunks().field("bytes").to_pylist()))
    return np.stack(images), table.select(list(columns)).to_pandas()


def _encode(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def _decode(data: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
