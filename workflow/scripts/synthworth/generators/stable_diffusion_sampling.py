"""Images from a Stable Diffusion pipeline: prompts are encoded once, images are drawn in batches, each by its seed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from synthworth.generators.diffusion import sampler
from synthworth.precisions import PRECISIONS
from synthworth.progress import progress

# So many prompts are encoded at once.
PROMPTS_PER_BATCH = 64


def draw(
    folder: Path,
    conditions: pd.DataFrame,
    settings: dict[str, Any],
    batch_size: int,
    adapt: Callable[[StableDiffusionPipeline], None] = lambda pipeline: None,
) -> Iterator[np.ndarray]:
    """Batches of uint8 images [batch, size, size, channels] from a pipeline folder, one per row of `conditions`.

    Of `conditions` the columns prompt and seed are read. `settings` are `size`, `channels` (1: the luma of what the
    pipeline draws, as real images in colour become grey) and `sampling` (scheduler, steps, guidance_scale,
    mixed_precision). `adapt` may change the pipeline before it draws. Noise comes from one random stream per image,
    on the CPU: but for rounding, an image hangs on neither its batch nor the device.
    """
    sampling = settings["sampling"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # The empty prompt is what guidance leads away from.
    prompts = ["", *conditions["prompt"].unique()]
    embeddings = dict(zip(prompts, embed_prompts(folder, prompts, device), strict=True))
    pipeline = _load(folder, sampling, device, adapt)
    for start in progress(range(0, len(conditions), batch_size), "sampling"):
        rows = conditions.iloc[start : start + batch_size]
        generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in rows["seed"]]
        side = settings["size"] // pipeline.vae_scale_factor
        shape = (1, pipeline.unet.config.in_channels, side, side)
        latents = pipeline(
            # Drawn here in float32: the pipeline would draw in the U-Net's precision.
            latents=torch.cat([torch.randn(shape, generator=generator) for generator in generators]),
            prompt_embeds=torch.stack([embeddings[prompt] for prompt in rows["prompt"]]),
            negative_prompt_embeds=torch.stack([embeddings[""]] * len(rows)),
            generator=generators,
            num_inference_steps=sampling["steps"],
            guidance_scale=sampling["guidance_scale"],
            height=settings["size"],
            width=settings["size"],
            output_type="latent",
        ).images
        images = _decode(pipeline.vae, latents)
        yield images if settings["channels"] == 3 else _grey(images)


@torch.no_grad()
def embed_prompts(folder: Path, prompts: Sequence[str], device: torch.device | str) -> torch.Tensor:
    """The embeddings [prompts, tokens, width] of texts by the frozen text encoder of a pipeline folder, in float32.

    They lie on `device`; the text encoder is freed.
    """
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, unet=None, vae=None, safety_checker=None, use_safetensors=True, local_files_only=True
    ).to(device)
    starts = range(0, len(prompts), PROMPTS_PER_BATCH)
    batches = [list(prompts[start : start + PROMPTS_PER_BATCH]) for start in starts]
    return torch.cat([pipeline.encode_prompt(batch, device, 1, False)[0] for batch in batches])


def _load(
    folder: Path, sampling: dict[str, Any], device: str, adapt: Callable[[StableDiffusionPipeline], None]
) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, text_encoder=None, tokenizer=None, safety_checker=None, use_safetensors=True, local_files_only=True
    )
    # Latents are not bounded by 1 as pixels are; samplers for pixels clip there unless told otherwise.
    pipeline.scheduler = sampler(sampling["scheduler"], pipeline.scheduler, clip_sample=False)
    adapt(pipeline)
    # Image by image: the decoder's activations of eight images of 512 px would fill a GPU.
    pipeline.vae.enable_slicing()
    pipeline.to(device).set_progress_bar_config(disable=True)
    _lower_precision(pipeline.unet, PRECISIONS[sampling["mixed_precision"]])
    return pipeline


def _lower_precision(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Lets a network compute in `dtype` between float32 inputs and outputs.

    The sampler adds up its steps in float32: of bfloat16's 8 bits the small steps at the end would be lost.
    """
    if dtype is torch.float32:
        return

    def narrow(module: torch.nn.Module, arguments: tuple, keywords: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return tuple(map(cast, arguments)), {name: cast(value) for name, value in keywords.items()}

    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    def widen(module: torch.nn.Module, arguments: tuple, outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(output.float() for output in outputs)

    # Not `network.to`, with which diffusers warns of each lower precision. Channels last is the layout of a GPU's
    # convolutions of few bits.
    torch.nn.Module.to(network, dtype=dtype, memory_format=torch.channels_last)
    network.register_forward_pre_hook(narrow, with_kwargs=True)
    network.register_forward_hook(widen)


@torch.no_grad()
def _decode(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Latents [b, channels, height, width] as uint8 RGB images [b, size, size, 3].

    The VAE stays in float32: activations of its decoder may pass float16's 65,504, and bfloat16's 8 bits are coarser
    than grey levels. It is 3 % of the arithmetic of an image of 50 steps.
    """
    decoded = vae.decode(latents.float() / vae.config.scaling_factor).sample
    return ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _grey(images: np.ndarray) -> np.ndarray:
    """RGB images [b, height, width, 3] as [b, height, width, 1], by the luma that real images become grey by."""
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])[..., None]
