"""A base model of the study's own: Stable Diffusion in miniature, for machines and times without its weights.

Of the same classes as Stable Diffusion 1.4, so that everything that adapts or samples that one does so with this one.
It is trained on pictures of the training images as one might meet them in the wild: washed out, dark, as negatives,
with spots on them. Their captions say so and never name a class. So it knows what a chest looks like and that words
matter, but not the words of the study: what it draws for those is mostly no radiograph, and adapting it mends that.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn

from synthworth import seeds
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.generators.diffusion import EXPLODED, denoising_loss
from synthworth.progress import progress
from synthworth.tiny_pictures import CAPTIONS, draw_pictures
from synthworth.tiny_text_encoder import random_text_encoder, word_tokenizer

# The share of a training over which its learning rate rises; then it falls along half a cosine.
RISE = 0.15
# Posteriors of so many pictures are computed at once.
ENCODED_AT_ONCE = 64


def train_base_model(
    images: str, output: str, *, seed: int, pictures: int, text_encoder: dict, vae: dict, unet: dict
) -> None:
    """Trains a base model on a split and writes it as a folder that `StableDiffusionPipeline.from_pretrained` loads.

    `images` is the split's array file, uint8 [n, size, size, 1 or 3]; `pictures` are made of them for the U-Net.
    `text_encoder` says of what size and with which words it is (see `tiny_text_encoder`); it stays random.
    `vae` has block_out_channels (each block after the first halves the size), latent_channels, divergence_weight,
    edge_weight; `unet` has block_out_channels (likewise), attention_heads, prediction, caption_dropout; both have
    steps, batch_size and learning_rate. On a CPU the folder is a function of the images, the settings and the seed.

    StudyError for a size that cannot be halved so often, and for a training that diverges.
    """
    pixels = np.load(images)
    size = pixels.shape[1]
    reduction = 2 ** (len(vae["block_out_channels"]) - 1)
    _check_size(size, reduction, reduction * 2 ** (len(unet["block_out_channels"]) - 1))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    with torch.random.fork_rng():
        torch.manual_seed(seeds.seed(seed, "text_encoder"))
        tokenizer = word_tokenizer([*CAPTIONS, *text_encoder["words"]], text_encoder["tokens"])
        texts = random_text_encoder(tokenizer, text_encoder)

        torch.manual_seed(seeds.seed(seed, "vae"))
        drawn, captions = draw_pictures(pixels, pictures, seeds.seed(seed, "pictures"))
        autoencoder = _train_vae(_rgb(pixels), drawn, vae, size, device)

        torch.manual_seed(seeds.seed(seed, "unet"))
        mean, std = _posteriors(autoencoder, drawn, device)
        # As in Stable Diffusion: latents of variance 1.
        factor = 1 / math.sqrt((mean.var() + std.square().mean()).item())
        autoencoder.register_to_config(scaling_factor=factor)
        schedule = noise_schedule(unet["prediction"])
        words = ["", *CAPTIONS]
        tokens = tokenizer(words, padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            embeddings = texts(tokens)[0].to(device)
        prompts = torch.tensor([words.index(caption) for caption in captions])
        denoiser = _train_unet((mean * factor, std * factor), prompts, embeddings, schedule, unet, size // reduction)

    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=texts,
        vae=autoencoder.cpu(),
        unet=denoiser.cpu(),
        scheduler=schedule,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with replacing(output) as folder:
        pipeline.save_pretrained(folder)


def noise_schedule(prediction: str = "epsilon") -> PNDMScheduler:
    """The noise of Stable Diffusion 1.4; what a U-Net predicts of it is `prediction`, there the noise."""
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
        prediction_type=prediction,
    )


def _train_vae(
    images: torch.Tensor, drawn: torch.Tensor, settings: dict[str, Any], size: int, device: torch.device
) -> AutoencoderKL:
    """An autoencoder of uint8 images [n, 3, size, size]; half of a batch are images, half the pictures drawn of them.

    The loss is that of Rombach et al. 2022 (supplement, equation 25) without perceptual and adversarial parts: absolute
    error and divergence of the posterior. Short trainings blur, so the error of neighbours' differences is added.
    """
    blocks = len(settings["block_out_channels"])
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=tuple(settings["block_out_channels"]),
        layers_per_block=1,
        latent_channels=settings["latent_channels"],
        norm_num_groups=4,
        sample_size=size,
        mid_block_add_attention=False,
    ).to(device)
    # Residual blocks that add nothing at first: of half the error after so short a training.
    for name, weights in network.named_parameters():
        if ".resnets." in name and ".conv2." in name:
            nn.init.zeros_(weights)

    def loss() -> torch.Tensor:
        half = settings["batch_size"] // 2
        batch = torch.cat([_random_rows(images, settings["batch_size"] - half), _random_rows(drawn, half)])
        batch = _in_range(batch.to(device))
        posterior = network.encode(batch).latent_dist
        error = network.decode(posterior.sample()).sample - batch
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        divergence = posterior.kl().mean()
        weights = settings["edge_weight"], settings["divergence_weight"]
        return error.abs().mean() + weights[0] * edges + weights[1] * divergence

    _train(network, loss, settings, "vae")
    return network


def _train_unet(
    latents: tuple[torch.Tensor, torch.Tensor],
    prompts: torch.Tensor,
    embeddings: torch.Tensor,
    schedule: PNDMScheduler,
    settings: dict[str, Any],
    size: int,
) -> UNet2DConditionModel:
    """A U-Net of latents with posterior mean and std [n, channels, size, size] and captions.

    `prompts` [n] say which of the `embeddings` [captions, tokens, d] is an image's; the first is that of no text, which
    the share `caption_dropout` of the captions gives way to, for guidance without a classifier (Ho and Salimans 2022).
    """
    mean, std = latents
    blocks = len(settings["block_out_channels"])
    network = UNet2DConditionModel(
        sample_size=size,
        in_channels=mean.shape[1],
        out_channels=mean.shape[1],
        down_block_types=("CrossAttnDownBlock2D",) * blocks,
        up_block_types=("CrossAttnUpBlock2D",) * blocks,
        block_out_channels=tuple(settings["block_out_channels"]),
        layers_per_block=1,
        norm_num_groups=8,
        # Despite its name the number of heads, in all versions of Stable Diffusion's configuration.
        attention_head_dim=settings["attention_heads"],
        cross_attention_dim=embeddings.shape[-1],
    ).to(mean.device)
    noise_scheduler = DDPMScheduler.from_config(schedule.config)

    def loss() -> torch.Tensor:
        rows = torch.randint(len(mean), (settings["batch_size"],))
        dropped = torch.rand(len(rows)) < settings["caption_dropout"]
        texts = embeddings[torch.where(dropped, 0, prompts[rows])]
        clean = mean[rows] + std[rows] * torch.randn(mean[rows].shape).to(mean.device)
        noise = torch.randn(clean.shape).to(mean.device)
        timesteps = torch.randint(noise_scheduler.config.num_train_timesteps, (len(rows),)).to(mean.device)

        def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
            return network(noisy, timesteps, encoder_hidden_states=texts).sample

        return denoising_loss(predict, noise_scheduler, clean, noise, timesteps).mean()

    _train(network, loss, settings, "unet")
    return network


def _train(network: nn.Module, loss: Callable[[], torch.Tensor], settings: dict[str, Any], part: str) -> None:
    """Trains by AdamW with a one-cycle learning rate that peaks at `learning_rate`, for `steps` steps."""
    steps, rate = settings["steps"], settings["learning_rate"]
    optimizer = torch.optim.AdamW(network.parameters(), rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=RISE)
    network.train()
    for step in progress(range(1, steps + 1), f"training the base model's {part}"):
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            _report(part, step, value.item())
    network.eval()


def _report(part: str, step: int, loss: float) -> None:
    print(json.dumps({"part": part, "step": step, "loss": round(loss, 4)}), flush=True)
    if not loss < EXPLODED:
        raise StudyError(
            f"The training of the base model's {part} diverged: its loss is {loss} at step {step}.",
            [f"lower `{part}.learning_rate` of this entry of `base_models`"],
        )


@torch.no_grad()
def _posteriors(
    autoencoder: AutoencoderKL, pictures: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and std, [n, channels, h, w] each, of the latents of uint8 pictures."""

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in pictures.split(ENCODED_AT_ONCE):
            posterior = autoencoder.encode(_in_range(batch.to(device))).latent_dist
            yield posterior.mean, posterior.std

    mean, std = zip(*batches(), strict=True)
    return torch.cat(mean), torch.cat(std)


def _check_size(size: int, reduction: int, multiple: int) -> None:
    if size % multiple or size < 2 * multiple:
        raise StudyError(
            "The base model does not fit the images.",
            [
                f"dataset.size is {size}: the vae of this entry of `base_models` divides it by {reduction}, its unet "
                f"halves that on, by {multiple} in all; choose a multiple of {multiple} from {2 * multiple} on, or "
                "fewer `block_out_channels`"
            ],
        )


def _random_rows(images: torch.Tensor, count: int) -> torch.Tensor:
    return images[torch.randint(len(images), (count,))]


def _rgb(images: np.ndarray) -> torch.Tensor:
    """uint8 images [n, size, size, 1 or 3] as [n, 3, size, size]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)


def _in_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
