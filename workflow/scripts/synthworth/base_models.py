"""Base models: Stable Diffusion from the hub or from a folder, as a local pipeline that trainings start from."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.pipeline_folder import check_folder, is_hub_id

CLASSES = {"text_encoder": CLIPTextModel, "vae": AutoencoderKL, "unet": UNet2DConditionModel}
# The safety checker takes X-rays for what they are not (Schaudt et al. 2023, section 3.3.1).
LEFT_OUT = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}


def fetch_base_model(source: str, output: Path, config_key: str) -> None:
    """Writes the Stable Diffusion model `source`, a hub id or a folder, to the folder `output`.

    `output` is complete: `StableDiffusionPipeline.from_pretrained` loads it without network. Weights are safetensors
    in float32; there is no safety checker. Nothing is unpickled.

    Raises StudyError that names `config_key` (as `base_models.stable_diffusion`) and the remedy where there is no
    such model, its parts are not those of Stable Diffusion 1.x or 2.x, or one does not load.
    """
    folder = _download(source, config_key) if is_hub_id(source) else Path(source)
    _require(check_folder(folder), config_key)
    parts: dict[str, Any] = {}
    problems = []
    for name in ("tokenizer", *CLASSES):
        try:
            parts[name] = _load_part(folder, name)
        # A damaged file ends in errors of four libraries; to the user it is one thing.
        except Exception as error:
            problems.append(f"{folder / name} does not load ({_cause(error)}); fetch that part again")
    _require(problems, config_key)
    _require(_mismatches(folder, parts), config_key)
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder, **parts, **LEFT_OUT, requires_safety_checker=False, local_files_only=True
        )
    # As above: what is left to load is the scheduler.
    except Exception as error:
        _require([f"{folder / 'scheduler'} does not load ({_cause(error)}); fetch that part again"], config_key)
    with replacing(output) as temporary:
        pipeline.save_pretrained(temporary)


def _download(source: str, config_key: str) -> Path:
    try:
        return Path(StableDiffusionPipeline.download(source, use_safetensors=True, **LEFT_OUT))
    # No network, no such model, no leave to read it, no safetensors: errors of three libraries.
    except Exception as error:
        raise StudyError(
            f"The base model {source} could not be fetched.",
            [
                f"{config_key}: there is no folder {source} here, and the hub did not give a model of that name "
                f"({_cause(error.__cause__ or error)})",
                f"on a machine with network, `hf download {source} --include '*.json' --include '*.txt' "
                "--include '*.safetensors' --local-dir <folder>` fetches it (`hf auth login` before it, where its "
                f"owner asks for consent): copy the folder here and set `{config_key}` to its path",
            ],
        ) from error


def _load_part(folder: Path, name: str) -> Any:
    if name == "tokenizer":
        return CLIPTokenizer.from_pretrained(folder / name, local_files_only=True)
    precision = {"dtype" if name == "text_encoder" else "torch_dtype": torch.float32}
    part, found = CLASSES[name].from_pretrained(
        folder / name, use_safetensors=True, local_files_only=True, output_loading_info=True, **precision
    )
    # What is missing would be random.
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise ValueError(f"{len(missing)} of its weights are missing, as {missing[0]}")
    return part


def _mismatches(folder: Path, parts: dict[str, Any]) -> list[str]:
    """Where parts that load do not belong together, or to a model that makes images of text alone."""
    unet, vae, text_encoder = (parts[name].config for name in ("unet", "vae", "text_encoder"))
    problems = []
    if unet.in_channels != vae.latent_channels:
        problems.append(
            f"{folder / 'unet'} takes {unet.in_channels} channels, the VAE gives {vae.latent_channels}: a model for "
            "inpainting or for editing is no base model"
        )
    if unet.cross_attention_dim != text_encoder.hidden_size:
        problems.append(
            f"{folder / 'unet'} attends to texts of {unet.cross_attention_dim} numbers a token, the text encoder gives "
            f"{text_encoder.hidden_size}: they are of different models"
        )
    if unet.addition_embed_type is not None or unet.class_embed_type is not None:
        problems.append(f"{folder / 'unet'} wants more than a text: base models are Stable Diffusion 1.x and 2.x")
    if len(parts["tokenizer"]) > text_encoder.vocab_size:
        problems.append(
            f"{folder / 'tokenizer'} has {len(parts['tokenizer'])} tokens, the text encoder {text_encoder.vocab_size}: "
            "they are of different models"
        )
    return problems


def _require(problems: list[str], config_key: str) -> None:
    if problems:
        raise StudyError("A base model cannot be used:", [f"{config_key}: {problem}" for problem in problems])


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
