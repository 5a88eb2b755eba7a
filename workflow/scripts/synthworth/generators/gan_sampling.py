"""Images from a checkpoint of the GAN."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from synthworth.generators.stylegan import Generator, layers_at, noise_shapes
from synthworth.precisions import PRECISIONS
from synthworth.progress import progress

WEIGHTS, CONFIG = "generator.safetensors", "config.json"


def sample(
    checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int
) -> Iterator[np.ndarray]:
    """Batches of images [b, size, size, channels], uint8, of the checkpoint's class, in the order of `conditions`.

    An image hangs on its row's seed alone: it has its own random stream, on the CPU. Where growth has not come to
    `settings["size"]`, pixels are repeated. `settings["sampling"]` has `truncation`, the share of a style's distance
    to the mean style that is kept (Karras 2019, appendix B; None: all of it), and `mixed_precision`.
    """
    config = json.loads((checkpoint / CONFIG).read_text())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = Generator(**config["architecture"])
    generator.load_state_dict(load_file(checkpoint / WEIGHTS))
    generator.to(device).requires_grad_(False)
    starts = range(0, len(conditions), batch_size)
    for start in progress(starts, "sampling"):
        batch = conditions["seed"].iloc[start : start + batch_size]
        yield _sample_batch(generator, [int(seed) for seed in batch], config, settings, device)


@torch.inference_mode()
def _sample_batch(
    generator: Generator, image_seeds: list[int], config: dict[str, Any], settings: dict[str, Any], device: str
) -> np.ndarray:
    resolution, latent = config["resolution"], config["architecture"]["latent"]
    shapes = noise_shapes(resolution)
    counts = [latent, *(height * width for _, height, width in shapes)]
    # One call per image draws its latent and all its noise.
    drawn = torch.empty(len(image_seeds), sum(counts))
    for numbers, seed in zip(drawn, image_seeds, strict=True):
        torch.randn(len(numbers), generator=torch.Generator("cpu").manual_seed(seed), out=numbers)
    latents, *noise = drawn.to(device).split(counts, dim=1)
    noise = [numbers.unflatten(1, shape) for numbers, shape in zip(noise, shapes, strict=True)]
    precision = PRECISIONS[settings["sampling"]["mixed_precision"]]
    with (
        # Sums in the same order and precision whatever the batch.
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast(device, dtype=precision, enabled=precision is not torch.float32),
    ):
        styles = generator.styles(latents)
        if settings["sampling"]["truncation"] is not None:
            styles = torch.lerp(generator.mean_style, styles.float(), settings["sampling"]["truncation"])
        styles = styles[:, None].expand(-1, layers_at(resolution), -1)
        images = generator.synthesise(styles, noise, resolution, config["alpha"])
    pixels = ((images.float() + 1.0) * 127.5).round().clamp(0, 255).byte()
    repeats = settings["size"] // resolution
    pixels = pixels.repeat_interleave(repeats, dim=2).repeat_interleave(repeats, dim=3)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()
