"""Folders that a Stable Diffusion pipeline was saved in, as far as one can tell without loading anything."""

import json
import re
from pathlib import Path

INDEX = "model_index.json"

# Parts of Stable Diffusion 1 and 2 and the classes that they may be of (none named: any).
PARTS: dict[str, tuple[str, ...]] = {
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel",),
    "vae": ("AutoencoderKL",),
    "unet": ("UNet2DConditionModel",),
    "scheduler": (),
}
WITH_WEIGHTS = ("text_encoder", "vae", "unet")
# Parts that a pipeline can have and that change what its U-Net is told.
FOREIGN = ("text_encoder_2", "text_encoder_3", "transformer", "prior", "image_encoder", "controlnet")

# diffusers' pipeline takes images whose sides are multiples of this alone, whatever its VAE.
SIDES = 8

REMEDY = "give a folder that diffusers' `StableDiffusionPipeline.save_pretrained` wrote"


def is_hub_id(source: str) -> bool:
    """Whether a text can be the name of a model on the Hugging Face hub (`owner/name`) and is no folder here."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source) is not None and not Path(source).is_dir()


def check_folder(path: str | Path) -> list[str]:
    """What keeps a folder from being a base model, each with its remedy; empty where nothing is seen.

    Looks at `model_index.json` and at the names of files: no library of models is imported, no weights are read.
    """
    path = Path(path)
    if not path.is_dir():
        return [f"no folder {path}; {REMEDY}, or a hub id (owner/name)"]
    if not (path / INDEX).is_file():
        return [f"{path} has no {INDEX}, so it is no diffusers pipeline; {REMEDY}"]
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        parts = {name: entry[1] for name, entry in index.items() if isinstance(entry, list) and entry[1] is not None}
    except (ValueError, AttributeError, IndexError):
        return [f"{path / INDEX} cannot be read; {REMEDY}"]
    kind = index.get("_class_name", "unknown class")
    foreign = [name for name in FOREIGN if name in parts]
    if foreign:
        return [f"{path} is a {kind} with {', '.join(foreign)}; base models are those of Stable Diffusion 1.x and 2.x"]
    missing = [name for name in PARTS if name not in parts or not (path / name).is_dir()]
    problems = [f"{path} lacks {', '.join(missing)}; {REMEDY}"] if missing else []
    for name, classes in PARTS.items():
        if name in missing:
            continue
        if classes and parts[name] not in classes:
            problems.append(
                f"{path / name} is a {parts[name]}, not a {classes[0]}; base models are those of Stable Diffusion 1.x "
                "and 2.x"
            )
        elif name in WITH_WEIGHTS:
            problems += _check_weights(path, name)
    if "tokenizer" not in missing and not _has_vocabulary(path / "tokenizer"):
        problems.append(
            f"{path / 'tokenizer'} has no vocabulary (tokenizer.json, or vocab.json and merges.txt); {REMEDY}"
        )
    return problems


def _has_vocabulary(tokenizer: Path) -> bool:
    """Without one transformers makes a tokenizer that knows no words and says nothing."""
    files = {file.name for file in tokenizer.iterdir()}
    return "tokenizer.json" in files or {"vocab.json", "merges.txt"} <= files


def _check_weights(path: Path, name: str) -> list[str]:
    files = [file.name for file in (path / name).iterdir()]
    if any(file.endswith(".safetensors") for file in files):
        return []
    if not any(file.endswith((".bin", ".ckpt", ".pt")) for file in files):
        return [f"{path / name} has no weights (*.safetensors); {REMEDY}"]
    return [
        f"{path / name} has its weights only as a pickle, which can run code as it is read; if you trust the file, "
        "write it as safetensors: StableDiffusionPipeline.from_pretrained(folder, use_safetensors=False)"
        ".save_pretrained(new_folder)"
    ]
