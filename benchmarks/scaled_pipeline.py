"""Stable Diffusion v1-4's shape at any width, with random weights: what it costs is that of the real one."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from synthworth.tiny_base_model import noise_schedule
from synthworth.tiny_text_encoder import word_tokenizer

# Those of the published study (Schaudt et al. 2023).
PROMPTS = [
    *(f"an x-ray image of the lung with {name} pneumonia" for name in ("viral", "bacterial", "covid-19", "fungal")),
    "an x-ray image of the lung, healthy patient, no signs of pneumonia",
]


def scaled_pipeline(folder: Path, width: float, size: int) -> Path:
    """Writes a pipeline for images of `size` pixels (a multiple of 64) by `save_pretrained` and returns its folder.

    `width` is the share of Stable Diffusion's channels that each layer has: a multiple of 1/16, 1 for all of them.
    """
    torch.manual_seed(0)
    # How many words there are to choose from costs no arithmetic.
    tokenizer = word_tokenizer(PROMPTS, 77)
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=_text_encoder(len(tokenizer), width),
        vae=_vae(width, size),
        unet=_unet(width, size),
        scheduler=noise_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def _text_encoder(words: int, width: float) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=int(768 * width),
        intermediate_size=int(3072 * width),
        num_hidden_layers=12,
        num_attention_heads=12,
        # The last two tokens are a text's start and end.
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    return CLIPTextModel(config).eval()


def _vae(width: float, size: int) -> AutoencoderKL:
    channels = tuple(int(count * width) for count in (128, 256, 512, 512))
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=2,
        norm_num_groups=min(32, channels[0]),
        sample_size=size,
    ).eval()


def _unet(width: float, size: int) -> UNet2DConditionModel:
    channels = tuple(int(count * width) for count in (320, 640, 1280, 1280))
    return UNet2DConditionModel(
        sample_size=size // 8,
        block_out_channels=channels,
        layers_per_block=2,
        # As many channels in each group of a norm as there are, at most.
        norm_num_groups=min(32, int(64 * width)),
        # Of 1.x models that is the number of heads. Fewer of them, as wide as the real ones: narrow ones would spend
        # their time on exponentials.
        attention_head_dim=max(1, int(8 * width)),
        cross_attention_dim=int(768 * width),
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    )
