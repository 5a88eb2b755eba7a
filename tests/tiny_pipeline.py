"""A Stable Diffusion pipeline of the real classes with tiny random weights, as tests need one."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from synthworth.tiny_base_model import noise_schedule

# The longest prompt, in tokens.
TOKENS = 16
LATENT_CHANNELS = 4


def tiny_pipeline(folder: Path, size: int = 32) -> Path:
    """Writes a pipeline for images of `size` pixels (a multiple of 16) by `save_pretrained` and returns its folder.

    The VAE reduces by 4 (32 px: latents [4, 8, 8]). Weights are random, the same at each call, and torch's global
    random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = StableDiffusionPipeline(
            tokenizer=_tokenizer(folder.with_name(f"{folder.name}-vocabulary")),
            text_encoder=_text_encoder(),
            vae=_vae(size),
            unet=_unet(size // 4),
            scheduler=noise_schedule(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte pairs without pairs: a token for each letter, and one for each letter that ends a word."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.-"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS)


def _text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=80,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        # CLIP's start of 0.02 would make all prompts look alike to a network so small.
        initializer_factor=10.0,
        bos_token_id=78,
        eos_token_id=79,
        pad_token_id=79,
    )
    return CLIPTextModel(config).eval()


def _vae(size: int) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=size,
    ).eval()


def _unet(side: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
    ).eval()
