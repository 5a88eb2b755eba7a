"""Vision networks of transformers, from the Hugging Face hub or from a folder."""

from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import PreTrainedModel

from synthworth.pipeline_folder import is_hub_id

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
REMEDY = (
    "on a machine with network, `hf download {hub_id} --include config.json --include "
    f"{SAFETENSORS} --include {PICKLE} "
    "--local-dir <folder>` fetches the published weights: copy the folder here and give its path as {{key}}"
)


def fetch(network_class: type[PreTrainedModel], source: str, folder: Path) -> None:
    """Puts a network into `folder` as `config.json` and `model.safetensors`, in float32.

    `source` is a hub id or a local folder as `save_pretrained` writes it. Weights are read from safetensors where
    there are such; else (OpenAI's CLIP was published so) from torch's file, by `torch.load(weights_only=True)`, which
    takes tensors and runs nothing.
    """
    load(network_class, _download(source) if is_hub_id(source) else Path(source)).save_pretrained(folder)


def load(network_class: type[PreTrainedModel], folder: Path) -> PreTrainedModel:
    """The network in a local folder, in float32; ValueError where some of its weights are missing."""
    files = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if "config.json" not in files or not files & {SAFETENSORS, PICKLE}:
        raise FileNotFoundError(f"there is no folder {folder} with config.json and {SAFETENSORS}")
    network, found = network_class.from_pretrained(
        folder,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=SAFETENSORS in files,
        output_loading_info=True,
    )
    # What is missing would be random.
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise ValueError(f"{len(missing)} of its weights are missing, as {missing[0]}")
    return network


def _download(hub_id: str) -> Path:
    try:
        path = Path(snapshot_download(hub_id, allow_patterns=["config.json", SAFETENSORS]))
        if not (path / SAFETENSORS).is_file():
            path = Path(snapshot_download(hub_id, allow_patterns=["config.json", PICKLE]))
    # No network, no such model, no leave to read it: errors of three libraries.
    except Exception as error:
        raise FileNotFoundError(
            f"there is no such folder here, and the hub has no model of that name: {error}"
        ) from error
    return path
