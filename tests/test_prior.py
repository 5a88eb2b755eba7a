import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_pipeline import tiny_pipeline

from synthworth.encodings import encode
from synthworth.prior import sample_prior
from synthworth.shards import read_shard

SAMPLING = {"scheduler": "ddim", "steps": 2, "guidance_scale": 3.0, "mixed_precision": "no"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_the_prior_is_drawn_from_the_base_image_by_image_and_encoded(tmp_path):
    base = tiny_pipeline(tmp_path / "base")
    for images in (2, 3):
        sample_prior(
            base=base,
            shard=tmp_path / f"{images}.parquet",
            encodings=tmp_path / f"{images}.safetensors",
            prompt="a lung",
            images=images,
            generator="dreambooth",
            size=32,
            sampling=SAMPLING,
            study_seed=5,
            batch_size=2,
        )
    fewer, more = (read_shard(tmp_path / f"{images}.parquet") for images in (2, 3))
    # In the colours of the base model.
    assert more[0].shape == (3, 32, 32, 3)
    assert np.abs(more[0].astype(int)[:2] - fewer[0]).max() <= 1
    assert np.abs(more[0][0].astype(int) - more[0][1]).mean() > 5
    assert more[1]["seed"].is_unique
    assert set(more[1]["prompt"]) == {"a lung"}
    encode(base, more[0], tmp_path / "expected.safetensors")
    stored, expected = (load_file(tmp_path / f"{name}.safetensors") for name in ("3", "expected"))
    assert stored["mean"].shape == (3, 4, 8, 8)
    torch.testing.assert_close(stored, expected)
