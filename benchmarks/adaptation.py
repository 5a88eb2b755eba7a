"""A step of fine-tuning and of LoRA at a batch of 4 images: as published, as in a study, and each choice alone.

As published, VAE and text encoder run in each step, the batch is four single images whose gradients are added up, and
activations are computed again (gradient checkpointing). In a study latents' posteriors and embeddings are computed
once, the batch is one, and activations are kept. The loop around the loss is the same: that of the study.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/adaptation.py [--width 1 --size 512]

The model is Stable Diffusion v1-4 at a share of its width, with random weights: a quarter at 256 px on a CPU; all of
it at 512 px, in bfloat16, on a GPU.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from rounds import alternate, default_settings, machine, on_gpu, print_table
from scaled_pipeline import PROMPTS, scaled_pipeline
from transformers import CLIPTextModel, CLIPTokenizer

from synthworth.encodings import encode
from synthworth.generators import TrainingSet, finetune, lora
from synthworth.generators.diffusion import DiffusionTrainer, advance, denoising_loss
from synthworth.generators.training import MicroBatches
from synthworth.precisions import PRECISIONS

IMAGES, BATCH = 8, 4
METHODS = {"fine-tuning": (finetune, 0.9999), "LoRA": (lora, None)}
# Whether encodings are cached, images of a micro-batch, and whether activations are computed again.
WAYS = {
    "as published": (False, 1, True),
    "encodings cached, else as published": (True, 1, True),
    "one batch, else as published": (False, BATCH, True),
    "no checkpointing, else as published": (False, 1, False),
    "all three (a study)": (True, BATCH, False),
}


def main() -> None:
    """Times the ways for both methods and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(METHODS))
    parser.add_argument("--rounds", type=int, default=20 if on_gpu() else 3)
    parser.add_argument("--width", type=float, default=1.0 if on_gpu() else 0.25)
    parser.add_argument("--size", type=int, default=512 if on_gpu() else 256)
    parser.add_argument("--mixed-precision", choices=list(PRECISIONS), default="bf16" if on_gpu() else "no")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    print(f"{machine()}\n\n{arguments.width:g} of the width, {arguments.size} px, batch {BATCH}, ", end="")
    print(f"mixed precision: {arguments.mixed_precision}; {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        data = training_set(Path(folder), arguments.width, arguments.size)
        for name in [arguments.only] if arguments.only else METHODS:
            method, ema = METHODS[name]
            trainer = method.build(data, settings(arguments.mixed_precision, ema), 1, None)
            encoding = encoding_loss(data, trainer, PRECISIONS[arguments.mixed_precision])
            cached = trainer.loss
            ways = {
                way: partial(step, trainer, cached if is_cached else encoding, size, checkpointing)
                for way, (is_cached, size, checkpointing) in WAYS.items()
            }
            print_table(f"{name}, a training step", alternate(ways, arguments.rounds), BATCH)


def training_set(folder: Path, width: float, size: int) -> TrainingSet:
    """A pipeline with random weights, images of noise, and their encodings."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 1), dtype=np.uint8)
    base = scaled_pipeline(folder / "base", width, size)
    encodings = folder / "encodings.safetensors"
    encode(base, images, encodings)
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(IMAGES)]
    return TrainingSet(images, np.arange(IMAGES), prompts, prompts, base, encodings)


def settings(mixed_precision: str, ema: float | None) -> dict:
    """Those of `config/config.yaml`."""
    default = default_settings("lora")
    training = default["training"] | {"batch_size": BATCH, "ema": ema, "mixed_precision": mixed_precision}
    return {"training": training, "lora": default["lora"]}


def encoding_loss(data: TrainingSet, trainer: DiffusionTrainer, precision: torch.dtype) -> Callable[..., torch.Tensor]:
    """The loss of diffusers' `train_text_to_image.py`: images and prompts are encoded as it is computed.

    As there, the frozen parts compute in `precision`.
    """
    device = trainer.accelerator.device
    scheduler = DDPMScheduler.from_pretrained(data.base / "scheduler")
    vae = AutoencoderKL.from_pretrained(data.base / "vae", torch_dtype=precision).to(device)
    text_encoder = CLIPTextModel.from_pretrained(data.base / "text_encoder", dtype=precision).to(device)
    tokenizer = CLIPTokenizer.from_pretrained(data.base / "tokenizer")
    tokens = tokenizer(data.prompts, padding="max_length", return_tensors="pt").input_ids

    @torch.no_grad()
    def encoded(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.from_numpy(data.images[rows]).to(device).permute(0, 3, 1, 2).to(precision) / 127.5 - 1.0
        latents = vae.encode(pixels.expand(-1, 3, -1, -1)).latent_dist.sample() * vae.config.scaling_factor
        return latents.float(), text_encoder(tokens[rows].to(device))[0].float()

    def loss(model: torch.nn.Module, rows: np.ndarray, generator: torch.Generator, share: slice) -> torch.Tensor:
        latents, texts = encoded(rows[share])
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),), device=device)

        def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
            return model(noisy, timesteps, encoder_hidden_states=texts).sample

        return denoising_loss(predict, scheduler, latents, noise, timesteps).mean()

    return loss


def step(trainer: DiffusionTrainer, loss: Callable[..., torch.Tensor], size: int, checkpointing: bool) -> None:
    """One optimiser step of a trainer, `size` images at a time."""
    unet = trainer.accelerator.unwrap_model(trainer.model)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    else:
        unet.disable_gradient_checkpointing()
    trainer.loss = loss
    trainer.micro_batches = MicroBatches(slice(0, BATCH), size)
    advance(trainer, trainer.step + 1)


if __name__ == "__main__":
    main()
