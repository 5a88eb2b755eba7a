"""The unconditional DDPM (Ho et al. 2020) of the critical assessment: a U-Net that takes the noise out of an image.

diffusers' `UNet2DModel` and `DDPMScheduler`, as Table 3's column "Unconditional" trains them. A checkpoint is a
folder that `DDPMPipeline.from_pretrained` loads.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from synthworth import seeds
from synthworth.generators import TrainingSet
from synthworth.generators.diffusion import (
    DiffusionTrainer,
    advance,
    build_trainer,
    denoising_loss,
    sampler,
)
from synthworth.precisions import PRECISIONS
from synthworth.progress import progress

__all__ = ["advance", "build", "sample"]


def build(data: TrainingSet, settings: dict[str, Any], seed: int, state: Path | None) -> DiffusionTrainer:
    """A trainer over the images of one class, fresh or resumed from the file `state`.

    `settings` are a generator's keys `training`, `model` and `noise`.
    """
    torch.manual_seed(seeds.seed(seed, "weights"))
    model = UNet2DModel(**_architecture(settings["model"], data.images.shape[1], data.images.shape[3]))
    noise_scheduler = DDPMScheduler(
        num_train_timesteps=settings["noise"]["training_steps"],
        beta_schedule=settings["noise"]["beta_schedule"],
        prediction_type=settings["noise"]["prediction"],
    )

    def loss_on(accelerator: Accelerator) -> Callable[..., torch.Tensor]:
        device = accelerator.device

        def loss(model: torch.nn.Module, rows: np.ndarray, generator: torch.Generator, share: slice) -> torch.Tensor:
            # [batch, channels, size, size] in [-1, 1].
            clean = torch.from_numpy(data.images[rows[share]]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
            noise = torch.randn((len(rows), *clean.shape[1:]), generator=generator, device=device)[share]
            steps = settings["noise"]["training_steps"]
            timesteps = torch.randint(0, steps, (len(rows),), generator=generator, device=device)[share]

            def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
                return model(noisy, timesteps).sample

            return denoising_loss(predict, noise_scheduler, clean, noise, timesteps).mean()

        return loss

    def save_checkpoint(folder: Path, model: torch.nn.Module) -> None:
        DDPMPipeline(model, noise_scheduler).save_pretrained(folder)

    return build_trainer(model, settings["training"], len(data.images), seed, state, loss_on, save_checkpoint)


def sample(
    checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int
) -> Iterator[np.ndarray]:
    """Batches of images [batch, size, size, channels], uint8, of the checkpoint's class, by the seeds of `conditions`.

    `settings` hold a generator's key `sampling` (scheduler, steps, mixed_precision); `batch_size` images are drawn at
    once. Noise comes from one random stream per image, on the CPU: but for rounding, an image hangs neither on its
    batch nor on the device.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sampling = settings["sampling"]
    pipeline = DDPMPipeline.from_pretrained(checkpoint, use_safetensors=True, local_files_only=True).to(device)
    pipeline.scheduler = sampler(sampling["scheduler"], pipeline.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    precision = PRECISIONS[sampling["mixed_precision"]]
    batches = [conditions["seed"].iloc[i : i + batch_size] for i in range(0, len(conditions), batch_size)]
    for batch in progress(batches, "sampling"):
        generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in batch]
        with torch.autocast(device, dtype=precision, enabled=precision is not torch.float32):
            drawn = pipeline(
                batch_size=len(batch),
                generator=generators,
                num_inference_steps=sampling["steps"],
                output_type="np",
            ).images
        yield (drawn * 255).round().astype(np.uint8)


def _architecture(model: dict[str, Any], size: int, channels: int) -> dict[str, Any]:
    """The arguments of a `UNet2DModel` whose blocks listed in `attention_blocks` (0: finest) have self-attention."""
    blocks = len(model["block_out_channels"])
    attention = set(model["attention_blocks"])
    return {
        "sample_size": size,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": model["layers_per_block"],
        "block_out_channels": tuple(model["block_out_channels"]),
        # GroupNorm's groups must divide every width.
        "norm_num_groups": min(32, int(np.gcd.reduce(model["block_out_channels"]))),
        "down_block_types": tuple("AttnDownBlock2D" if i in attention else "DownBlock2D" for i in range(blocks)),
        "up_block_types": tuple("AttnUpBlock2D" if blocks - 1 - i in attention else "UpBlock2D" for i in range(blocks)),
    }
