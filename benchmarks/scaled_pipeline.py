"""Stable Diffusion v1-4's shape at any width, with random weights: what it costs is that of the real one."""

import json
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

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
    with tempfile.TemporaryDirectory() as vocabulary:
        tokenizer = _tokenizer(Path(vocabulary))
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=_text_encoder(len(tokenizer), width),
        vae=_vae(width, size),
        unet=_unet(width, size),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            set_alpha_to_one=False,
            skip_prk_steps=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """Tokens are letters: how many there are to choose from costs no arithmetic."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.-"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def _text_encoder(words: int, width: float) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=int(768 * width),
        intermediate_size=int(3072 * width),
        num_hidden_layers=12,
        num_attention_heads=12,
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
