import json
import threading

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synthworth import shards
from synthworth.resizing import resize
from synthworth.shards import COLUMNS, read_shard, render_shard, write_shard


def rows(count: int) -> pd.DataFrame:
    names = {"label": "viral", "prompt": "", "generator": "ddpm", "scope": "viral", "step": 120}
    return pd.DataFrame({**names, "index": range(count), "seed": range(10, 10 + count)}, index=range(count))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_bit_for_bit(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, channels), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", iter([images[:3], images[3:]]), rows(5))
    read, frame = read_shard(tmp_path / "shard.parquet")
    np.testing.assert_array_equal(read, images)
    pd.testing.assert_frame_equal(frame, rows(5)[list(COLUMNS)], check_dtype=False)


def test_many_images_are_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "IMAGES_PER_PART", 2)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", [images], rows(5))
    assert pq.ParquetFile(tmp_path / "shard.parquet").num_row_groups == 3
    read, frame = read_shard(tmp_path / "shard.parquet", count=3)
    np.testing.assert_array_equal(read, images[:3])
    assert frame["index"].tolist() == [0, 1, 2]


def test_the_layout_is_that_of_hugging_face(tmp_path):
    write_shard(tmp_path / "shard.parquet", [np.zeros((1, 8, 8, 1), np.uint8)], rows(1))
    schema = pq.read_schema(tmp_path / "shard.parquet")
    assert {field.name for field in schema.field("image").type} == {"bytes", "path"}
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert set(features) == {"image", *COLUMNS}
    assert pq.read_table(tmp_path / "shard.parquet")["image"][0]["bytes"].as_py().startswith(b"\x89PNG")


def test_images_and_rows_must_agree(tmp_path):
    with pytest.raises(ValueError, match="2 images but 3 rows"):
        write_shard(tmp_path / "shard.parquet", [np.zeros((2, 8, 8, 1), np.uint8)], rows(3))
    with pytest.raises(ValueError, match=r"images of \(8, 9, 1\) after images of \(8, 8, 1\)"):
        write_shard(tmp_path / "shard.parquet", [np.zeros((1, 8, n, 1), np.uint8) for n in (8, 9)], rows(2))
    assert list(tmp_path.iterdir()) == []


def test_the_next_batch_is_drawn_while_the_last_one_is_encoded(tmp_path, monkeypatch):
    second_is_drawn = threading.Event()

    def encode(image):
        assert second_is_drawn.wait(10)
        return b"encoded"

    def sampler():
        yield np.zeros((2, 8, 8, 1), np.uint8)
        second_is_drawn.set()
        yield np.zeros((1, 8, 8, 1), np.uint8)

    monkeypatch.setattr(shards, "_encode", encode)
    write_shard(tmp_path / "shard.parquet", sampler(), rows(3))
    assert len(pq.read_table(tmp_path / "shard.parquet")) == 3


def test_a_sampler_that_fails_leaves_nothing(tmp_path):
    def sampler():
        yield np.zeros((2, 8, 8, 1), np.uint8)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        write_shard(tmp_path / "shard.parquet", sampler(), rows(4))
    assert list(tmp_path.iterdir()) == []


def test_the_first_images_of_a_shard(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", [images], rows(5))
    for count, expected in ((2, 2), (9, 5)):
        read, frame = read_shard(tmp_path / "shard.parquet", count=count)
        np.testing.assert_array_equal(read, images[:expected])
        assert list(frame["index"]) == list(range(expected))


def test_images_are_stored_as_they_were_encoded(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", [images], rows(4))
    column = pq.ParquetFile(tmp_path / "shard.parquet").metadata.row_group(0).column(0)
    assert column.path_in_schema == "image.bytes"
    assert column.compression == "UNCOMPRESSED"
    assert "PLAIN_DICTIONARY" not in column.encodings and "RLE_DICTIONARY" not in column.encodings


def test_a_rendered_shard_is_its_images_resized_in_the_files_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 1), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", [images], rows(5))
    for size in (24, 8):
        render_shard(tmp_path / "shard.parquet", tmp_path / "images.npy", size)
        mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
        np.testing.assert_array_equal(mapped, resize(images, size))
