import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synthworth.shards import COLUMNS, read_shard, write_shard


def rows(count: int) -> pd.DataFrame:
    names = {"label": "viral", "prompt": "", "generator": "ddpm", "scope": "viral", "step": 120}
    return pd.DataFrame({**names, "index": range(count), "seed": range(10, 10 + count)}, index=range(count))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_bit_for_bit(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, channels), dtype=np.uint8)
    write_shard(tmp_path / "shard.parquet", images, rows(5))
    read, frame = read_shard(tmp_path / "shard.parquet")
    np.testing.assert_array_equal(read, images)
    pd.testing.assert_frame_equal(frame, rows(5)[list(COLUMNS)], check_dtype=False)


def test_the_layout_is_that_of_hugging_face(tmp_path):
    write_shard(tmp_path / "shard.parquet", np.zeros((1, 8, 8, 1), np.uint8), rows(1))
    schema = pq.read_schema(tmp_path / "shard.parquet")
    assert {field.name for field in schema.field("image").type} == {"bytes", "path"}
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert set(features) == {"image", *COLUMNS}
    assert pq.read_table(tmp_path / "shard.parquet")["image"][0]["bytes"].as_py().startswith(b"\x89PNG")


def test_images_and_rows_must_agree(tmp_path):
    with pytest.raises(ValueError, match="2 images but 3 rows"):
        write_shard(tmp_path / "shard.parquet", np.zeros((2, 8, 8, 1), np.uint8), rows(3))
    assert list(tmp_path.iterdir()) == []
