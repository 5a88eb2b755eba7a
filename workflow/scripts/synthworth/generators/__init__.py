"""Generators: one module per method, and the contract that all of them keep.

A method is a module with three functions over plain arguments:

- `build(images, classes, settings, seed, state)`: a trainer, fresh or resumed from the file `state`;
- `advance(trainer, step)`: trains it up to that optimiser step;
- `sample(checkpoint, conditions, settings, batch_size)`: uint8 images [n, height, width, channels], one per row of
  `conditions` (columns index, class, label, prompt, seed), each a function of the checkpoint and of its row alone.

A trainer has accelerate's `accelerator`; `save_checkpoint(folder)` writes its weights in the format that their
ecosystem loads, `save_state(file)` all that a resumed training needs to go on bit for bit (on CPU).
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from synthworth.files import replacing
from synthworth.generators.processes import launch

METHODS = ("ddpm",)


def method(name: str) -> ModuleType:
    """The module of a method."""
    if name not in METHODS:
        raise ValueError(f"no generator method {name!r}; there are {', '.join(METHODS)}")
    return importlib.import_module(f"synthworth.generators.{name}")


def train_generator(
    images: str,
    index: str,
    state: str | None,
    checkpoint: str,
    next_state: str,
    name: str,
    classes: list[str],
    step: int,
    settings: dict[str, Any],
    seed: int,
    processes: int = 1,
) -> None:
    """One segment of a training: from `state` (None: from scratch) to `step`, written as checkpoint and next state.

    `images` is a uint8 array file [n, size, size, channels], `index` the CSV of its rows; the model sees the images
    of `classes`. With several `processes`, one per GPU, each does its part of every batch.
    """
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    chosen = np.flatnonzero(rows["class"].isin(classes))
    labels = rows["class"].iloc[chosen].tolist()

    def segment() -> None:
        pixels = np.load(images, mmap_mode="r")[chosen]
        trainer = method(name).build(pixels, labels, settings, seed, state and Path(state))
        method(name).advance(trainer, step)
        if trainer.accelerator.is_main_process:
            with replacing(checkpoint) as folder:
                trainer.save_checkpoint(folder)
            with replacing(next_state) as file:
                trainer.save_state(file)

    launch(segment, processes)


def sample(
    name: str, checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int
) -> np.ndarray:
    """Images from a checkpoint, one per row of `conditions`: uint8 [n, height, width, channels]."""
    return method(name).sample(checkpoint, conditions, settings, batch_size)
