"""What methods share that adapt Stable Diffusion's U-Net (Rombach et al. 2022): its loss and its checkpoints.

VAE and text encoder are frozen, so what they make of an image and of its prompt is computed once: the posterior of
the latents by `encodings`, the embeddings of all prompts as a training is built.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

from synthworth.generators import TrainingSet
from synthworth.generators.diffusion import DiffusionTrainer, build_trainer, denoising_loss
from synthworth.generators.stable_diffusion_sampling import embed_prompts


class LatentImages:
    """Images as the U-Net is trained on them: the VAE's posterior of each, and the embedding of its prompt.

    `encodings` is a file of `encodings.encode`, of which the images are `rows` (None: all); `prompts` has one text
    per image, or one for all, and `embeddings` [tokens, width] of each.
    """

    def __init__(
        self,
        base: Path,
        encodings: Path,
        rows: np.ndarray | None,
        prompts: Sequence[str],
        embeddings: Mapping[str, torch.Tensor],
        device: torch.device,
    ) -> None:
        # Mapped into memory: a step reads the images of its batch.
        posterior = safetensors.torch.load_file(encodings)
        self.mean, self.std = posterior["mean"], posterior["std"]
        self.rows = np.arange(len(self.mean)) if rows is None else rows
        self.scaling_factor = AutoencoderKL.load_config(base / "vae", local_files_only=True)["scaling_factor"]
        unique = list(dict.fromkeys(prompts))
        self.embeddings = torch.stack([embeddings[prompt] for prompt in unique])
        places = {prompt: place for place, prompt in enumerate(unique)}
        self.prompts = np.broadcast_to([places[prompt] for prompt in prompts], len(self.rows))
        self.device = device

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self, rows: np.ndarray, generator: torch.Generator, share: slice, timesteps: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What a step needs of the part `share` of a batch of images: latents, noise, timesteps and embeddings.

        Latents are drawn from the posterior anew and scaled. `generator` gives the randomness of the whole batch;
        timesteps are uniform below `timesteps`.
        """
        stored = torch.from_numpy(self.rows[rows[share]])
        mean, std = self.mean[stored].to(self.device), self.std[stored].to(self.device)
        shape = (len(rows), *mean.shape[1:])
        deviation = torch.randn(shape, generator=generator, device=self.device)[share]
        noise = torch.randn(shape, generator=generator, device=self.device)[share]
        steps = torch.randint(0, timesteps, (len(rows),), generator=generator, device=self.device)[share]
        latents = (mean + std * deviation) * self.scaling_factor
        return latents, noise, steps, self.embeddings[torch.from_numpy(self.prompts[rows[share]])].to(self.device)


def build_on_base(
    data: TrainingSet,
    settings: dict[str, Any],
    seed: int,
    state: Path | None,
    unet: UNet2DConditionModel,
    save_checkpoint: Callable[[Path, UNet2DConditionModel], None],
    prior: dict[str, Any] | None = None,
) -> DiffusionTrainer:
    """A trainer of those weights of a base model's U-Net that require gradients, fresh or resumed from `state`.

    The loss is that of latent diffusion: the error of the U-Net's prediction from noisy latents, the timestep and
    the prompt. With `prior` (prompt, weight) the error on as many of the images `data.prior` is added to it, times
    the weight (Ruiz et al. 2023, equation 2).
    """
    noise_scheduler = DDPMScheduler.from_pretrained(data.base / "scheduler", local_files_only=True)
    timesteps = noise_scheduler.config.num_train_timesteps

    def loss_on(accelerator: Accelerator) -> Callable[..., torch.Tensor]:
        device = accelerator.device
        embeddings = embed_texts(data.base, [*data.prompts, *([prior["prompt"]] if prior else [])], device)
        images = LatentImages(data.base, data.encodings, data.rows, data.prompts, embeddings, device)
        prior_images = prior and LatentImages(data.base, data.prior, None, [prior["prompt"]], embeddings, device)

        def loss(model: torch.nn.Module, rows: np.ndarray, generator: torch.Generator, share: slice) -> torch.Tensor:
            parts = [images.batch(rows, generator, share, timesteps)]
            if prior_images:
                drawn = torch.randint(0, len(prior_images), (len(rows),), generator=generator, device=device)
                parts.append(prior_images.batch(drawn.cpu().numpy(), generator, share, timesteps))
            # One pass through the U-Net for both.
            latents, noise, steps, texts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))

            def predict(noisy: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
                return model(noisy, steps, encoder_hidden_states=texts).sample

            losses = denoising_loss(predict, noise_scheduler, latents, noise, steps).chunk(len(parts))
            weights = [1.0, prior["weight"]] if prior else [1.0]
            return sum(weight * part.mean() for weight, part in zip(weights, losses, strict=True))

        return loss

    return build_trainer(unet, settings["training"], len(data.rows), seed, state, loss_on, save_checkpoint)


def embed_texts(base: Path, prompts: Sequence[str], device: torch.device) -> dict[str, torch.Tensor]:
    """The embedding of each text that occurs in `prompts`, computed on `device`.

    They lie in the machine's memory: of thousands of texts they would fill a GPU.
    """
    unique = list(dict.fromkeys(prompts))
    return dict(zip(unique, embed_prompts(base, unique, device).cpu(), strict=True))


def load_unet(base: Path) -> UNet2DConditionModel:
    """The U-Net of a pipeline folder, in float32."""
    return UNet2DConditionModel.from_pretrained(base / "unet", use_safetensors=True, local_files_only=True)


def save_pipeline(base: Path, folder: Path, unet: UNet2DConditionModel) -> None:
    """Writes a pipeline of a base model's frozen parts and a U-Net of its own."""
    link_pipeline(base, folder, without="unet")
    unet.save_pretrained(folder / "unet")


def link_pipeline(base: Path, folder: Path, without: str | None = None) -> None:
    """Makes `folder` a pipeline of the files of `base`, except for one part.

    Files are linked: the frozen parts, a third of Stable Diffusion, take room once for all checkpoints.
    """

    def left_out(parent: str, names: list[str]) -> list[str]:
        # Snakemake keeps a folder's age in a hidden file: linked, each checkpoint would make the base model younger.
        return [name for name in names if name.startswith(".") or (name == without and Path(parent) == base)]

    shutil.copytree(base, folder, copy_function=_link, ignore=left_out)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    # File systems without links, or two of them.
    except OSError:
        shutil.copy2(source, target)
