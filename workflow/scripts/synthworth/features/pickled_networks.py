"""Networks that torch saved whole, by `torch.save(network)`: their tensors, without running what is in the file.

Such a file is a pickle that names classes and functions and has them called; whoever wrote it can have anything called.
`torch.load(weights_only=True)` refuses it, and for files from before torch 1.6 knows no exceptions. Here nothing is
called but what puts tensors together; each other name stands for an object that keeps what it is given.
"""

import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

HARMLESS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}


def load_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The state of the network in a file: parameters and buffers, each by its name within the network, on the CPU.

    The file holds a whole network or its state dict. ValueError where it holds neither.
    """
    reader = SimpleNamespace(
        __name__="pickled_networks", Unpickler=_Unpickler, load=lambda *a, **k: _Unpickler(*a, **k).load()
    )
    with warnings.catch_warnings():
        # Classes whose source has changed since: none of them is used.
        warnings.simplefilter("ignore")
        found = torch.load(file, map_location="cpu", pickle_module=reader, weights_only=False)
    tensors = dict(found) if isinstance(found, dict) else dict(_tensors(found))
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ValueError(f"{file} is neither a network nor its state dict")
    return {name: value.detach() for name, value in tensors.items()}


class _Thing:
    """Stands for an object of any class, and for any function: takes what it is given and does nothing."""

    # What torch asks of a network's class before it compares its source.
    dump_patches = False

    def __new__(cls, *arguments: Any, **keywords: Any) -> "_Thing":
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return HARMLESS.get((module, name), _Thing)


def _tensors(part: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a `torch.nn.Module`, as its attributes hold them, and of those within it."""
    fields = vars(part) if isinstance(part, _Thing) else {}
    for kind in ("_parameters", "_buffers"):
        own = fields.get(kind) or {}
        yield from ((prefix + name, value) for name, value in own.items() if value is not None)
    for name, child in (fields.get("_modules") or {}).items():
        yield from _tensors(child, f"{prefix}{name}.")
