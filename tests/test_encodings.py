import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from tiny_pipeline import tiny_pipeline

from synthworth.encodings import encode, encode_images
from synthworth.errors import StudyError


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


@pytest.mark.parametrize("channels", [1, 3])
def test_encodings_are_the_posterior_of_the_vae(base, tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, channels), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    encode_images(base, tmp_path / "images.npy", tmp_path / "encodings.safetensors")
    stored = load_file(tmp_path / "encodings.safetensors")
    vae = AutoencoderKL.from_pretrained(base / "vae")
    repeated = np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels
    with torch.no_grad():
        posterior = vae.encode(torch.from_numpy(repeated / 127.5 - 1).permute(0, 3, 1, 2).float()).latent_dist
    assert stored["mean"].shape == (5, 4, 8, 8)
    assert stored["mean"].dtype == stored["std"].dtype == torch.float32
    torch.testing.assert_close(stored["mean"], posterior.mean)
    torch.testing.assert_close(stored["std"], posterior.std)


def test_a_size_without_latents_is_named(base, tmp_path):
    with pytest.raises(StudyError, match=r"size: 36 is no multiple of 8; take 32 or 40"):
        encode(base, np.zeros((1, 36, 36, 1), np.uint8), tmp_path / "encodings.safetensors")
    assert list(tmp_path.iterdir()) == []
