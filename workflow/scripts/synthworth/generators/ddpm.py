"""The unconditional DDPM (Ho et al. 2020) of the critical assessment: a U-Net that takes the noise out of an image.

diffusers' `UNet2DModel` and `DDPMScheduler`, as Table 3's column "Unconditional" trains them. A checkpoint is a
folder that `DDPMPipeline.from_pretrained` loads.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LambdaLR

from synthworth import seeds
from synthworth.generators.diffusion import DiffusionTrainer, advance, learning_rate_factor
from synthworth.progress import progress

__all__ = ["advance", "build", "sample"]


def build(
    images: np.ndarray, classes: list[str], settings: dict[str, Any], seed: int, state: Path | None
) -> DiffusionTrainer:
    """A trainer over uint8 images [n, size, size, channels] of one class, fresh or resumed from the file `state`.

    `settings` are a generator's keys `training`, `model` and `noise`.
    """
    training = settings["training"]
    accelerator = Accelerator(mixed_precision=training["mixed_precision"], step_scheduler_with_optimizer=False)
    torch.manual_seed(seeds.seed(seed, "weights"))
    model = UNet2DModel(**_architecture(settings["model"], images.shape[1], images.shape[3]))
    noise_scheduler = DDPMScheduler(
        num_train_timesteps=settings["noise"]["training_steps"],
        beta_schedule=settings["noise"]["beta_schedule"],
        prediction_type=settings["noise"]["prediction"],
    )
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=training["learning_rate"],
        betas=tuple(training["betas"]),
        eps=training["epsilon"],
        weight_decay=training["weight_decay"],
        # One kernel for all weights: on CPU and GPU.
        fused=True,
    )
    factor = learning_rate_factor(training["schedule"], training["warmup_steps"], training["schedule_steps"])
    model, optimizer, schedule = accelerator.prepare(model, optimizer, LambdaLR(optimizer, factor))

    def loss(model: torch.nn.Module, rows: np.ndarray, generator: torch.Generator, share: slice) -> torch.Tensor:
        # [batch, channels, size, size] in [-1, 1].
        clean = torch.from_numpy(images[rows[share]]).to(accelerator.device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        shape = (len(rows), *clean.shape[1:])
        noise = torch.randn(shape, generator=generator, device=clean.device)[share]
        steps = settings["noise"]["training_steps"]
        timesteps = torch.randint(0, steps, (len(rows),), generator=generator, device=clean.device)[share]
        noisy = noise_scheduler.add_noise(clean, noise, timesteps)
        target = {
            "epsilon": lambda: noise,
            "v_prediction": lambda: noise_scheduler.get_velocity(clean, noise, timesteps),
            "sample": lambda: clean,
        }[settings["noise"]["prediction"]]()
        return mse_loss(model(noisy, timesteps).sample.float(), target)

    def save_checkpoint(folder: Path) -> None:
        DDPMPipeline(accelerator.unwrap_model(model), noise_scheduler).save_pretrained(folder)

    trainer = DiffusionTrainer(
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        images=len(images),
        batch_size=training["batch_size"],
        seed=seed,
        loss=loss,
        save_checkpoint=save_checkpoint,
        max_gradient_norm=training["max_gradient_norm"],
    )
    if state is not None:
        trainer.load_state(state)
    return trainer


def sample(checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int) -> np.ndarray:
    """Images [n, size, size, channels], uint8, of the checkpoint's class; row i by the seed of row i of `conditions`.

    `settings` hold a generator's key `sampling` (steps, mixed_precision); `batch_size` images are drawn at once.
    Noise comes from one random stream per image, on the CPU: an image hangs on neither its batch nor the device.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = DDPMPipeline.from_pretrained(checkpoint, local_files_only=True).to(device)
    pipeline.set_progress_bar_config(disable=True)
    precision = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}[settings["sampling"]["mixed_precision"]]
    batches = [conditions["seed"].iloc[i : i + batch_size] for i in range(0, len(conditions), batch_size)]
    images = []
    for batch in progress(batches, "sampling"):
        generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in batch]
        with torch.autocast(device, dtype=precision, enabled=precision is not None):
            drawn = pipeline(
                batch_size=len(batch),
                generator=generators,
                num_inference_steps=settings["sampling"]["steps"],
                output_type="np",
            ).images
        images.append((drawn * 255).round().astype(np.uint8))
    return np.concatenate(images)


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
