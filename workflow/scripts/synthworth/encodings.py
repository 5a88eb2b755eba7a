"""Encodings: what the frozen VAE of a base model makes of images, once for all trainings on it."""

from math import lcm
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from diffusers import AutoencoderKL

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.pipeline_folder import SIDES
from synthworth.progress import progress


def encode_images(base: Path, images: Path, output: Path) -> None:
    """Encodes a uint8 array file [n, size, size, 1 or 3] with the VAE of the pipeline folder `base` (see `encode`)."""
    encode(base, np.load(images, mmap_mode="r"), output)


def encode(base: Path, images: np.ndarray, output: Path) -> None:
    """Writes the VAE's posterior of uint8 images [n, size, size, 1 or 3] as safetensors.

    `mean` and `std` are float32 [n, channels, height, width]: latents can be sampled from them anew at each training
    step as if the image had been encoded in that step. They are not scaled by the VAE's scaling factor yet. Grey is
    repeated to RGB.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKL.from_pretrained(base / "vae", use_safetensors=True, local_files_only=True).to(device)
    _require_size(images.shape[1], lcm(SIDES, 2 ** (len(vae.config.block_out_channels) - 1)))
    # One at a time: an image of 512 px keeps a GPU busy, and eight of them would not fit into a small one.
    posteriors = [_posterior(vae, images[row : row + 1], device) for row in progress(range(len(images)), "encoding")]
    means, stds = zip(*posteriors, strict=True)
    with replacing(output) as temporary:
        safetensors.torch.save_file({"mean": torch.cat(means), "std": torch.cat(stds)}, temporary)


@torch.no_grad()
def _posterior(vae: AutoencoderKL, images: np.ndarray, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The means and standard deviations [b, channels, height, width] of the latents of some images, on the CPU."""
    pixels = torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    distribution = vae.encode(pixels.expand(-1, 3, -1, -1)).latent_dist
    return distribution.mean.cpu().contiguous(), distribution.std.cpu().contiguous()


def _require_size(size: int, multiple: int) -> None:
    if size % multiple:
        lower = size // multiple * multiple
        raise StudyError(
            "Images of this size have no latents.",
            [f"generators.<name>.size: {size} is no multiple of {multiple}; take {lower} or {lower + multiple}"],
        )
