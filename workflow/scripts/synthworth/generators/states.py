"""Training states as safetensors: a tree of tensors and plain values in one file. Nothing is unpickled."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save_state(file: Path, state: Any) -> None:
    """Writes a tree of dicts (keys str or int), lists, tensors, numbers, texts, booleans and None.

    The tensors are the file's own, by number; the tree that holds them is JSON in its metadata. Tuples come back as
    lists.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = json.dumps(_fold(state, tensors))
    save_file(tensors, file, metadata={"tree": tree})


def load_state(file: Path) -> Any:
    """The tree that `save_state` wrote, its tensors on the CPU."""
    with safe_open(file, framework="pt", device="cpu") as stored:
        return _unfold(json.loads(stored.metadata()["tree"]), stored.get_tensor)


def _fold(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(node, torch.Tensor):
        name = str(len(tensors))
        # A copy where memory is shared (tied weights, views): safetensors stores each tensor by itself.
        tensors[name] = node.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(node, dict):
        # Pairs, because JSON's keys are texts and an optimiser's are numbers.
        return {"pairs": [[key, _fold(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"items": [_fold(value, tensors) for value in node]}
    if node is None or isinstance(node, bool | int | float | str):
        return {"value": node}
    raise TypeError(f"a training state cannot hold {type(node).__name__}")


def _unfold(node: dict[str, Any], tensor: Any) -> Any:
    if "tensor" in node:
        return tensor(node["tensor"])
    if "pairs" in node:
        return {key: _unfold(value, tensor) for key, value in node["pairs"]}
    if "items" in node:
        return [_unfold(value, tensor) for value in node["items"]]
    return node["value"]
