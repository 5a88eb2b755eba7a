"""Generators: one module per method, and the contract that all of them keep.

A method is a module with three functions over plain arguments:

- `build(data, settings, seed, state)`: a trainer over a `TrainingSet`, fresh or resumed from the file `state`;
- `advance(trainer, step)`: trains it up to that optimiser step;
- `sample(checkpoint, conditions, settings, batch_size)`: yields uint8 batches [b, height, width, channels], one image
  per row of `conditions` (columns index, class, label, prompt, seed) and in their order, each a function of the
  checkpoint and of its row alone.

A trainer has accelerate's `accelerator` and `trained()`, its weights by name; `save_checkpoint(folder)` writes its
weights in the format that their ecosystem loads, `save_state(file)` all that a resumed training needs to go on bit for
bit (on CPU). The method `folder` has images that someone else made in place of a model: it is not trained and has
`sample` alone.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.generators.processes import launch
from synthworth.prompts import training_prompts

TRAINED = ("gan", "ddpm", "finetune", "lora", "dreambooth")
METHODS = (*TRAINED, "folder")


@dataclass(frozen=True)
class TrainingSet:
    """The images that a model is trained on, and what a method may need beside them.

    `images` are uint8 [n, size, size, channels], in `rows` of the training split; `classes` and `prompts` name what
    each shows. Methods that adapt a base model have its folder in `base`, in `encodings` the file of the latents of
    the whole split (`encodings.encode_images`) in place of `images`, which are None, and in `prior` that of images
    which the base model made.
    """

    images: np.ndarray | None
    rows: np.ndarray
    classes: list[str]
    prompts: list[str]
    base: Path | None = None
    encodings: Path | None = None
    prior: Path | None = None


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
    memory: dict[str, Any],
    processes: int = 1,
    base: str | None = None,
    encodings: str | None = None,
    prior: str | None = None,
) -> None:
    """One segment of a training: from `state` (None: from scratch) to `step`, written as checkpoint and next state.

    `images` is a uint8 array file [n, size, size, channels], `index` the CSV of its rows; the model sees the images
    of `classes`. `memory` are the keys of `settings["training"]` that say how it fits into memory. `base`,
    `encodings` and `prior` are as in `TrainingSet`. With several `processes`, one per GPU, each does its part of
    every batch.
    """
    index_rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    chosen = np.flatnonzero(index_rows["class"].isin(classes))
    shown = index_rows.iloc[chosen]
    # Here, not in each of the processes: they inherit it.
    generator = method(name)
    complete = settings | {"training": settings["training"] | memory}

    def segment() -> None:
        data = TrainingSet(
            images=np.load(images, mmap_mode="r")[chosen] if encodings is None else None,
            rows=chosen,
            classes=shown["class"].tolist(),
            prompts=training_prompts(settings.get("prompts"), shown),
            base=base and Path(base),
            encodings=encodings and Path(encodings),
            prior=prior and Path(prior),
        )
        trainer = generator.build(data, complete, seed, state and Path(state))
        generator.advance(trainer, step)
        _require_finite(trainer, step)
        if trainer.accelerator.is_main_process:
            with replacing(checkpoint) as folder:
                trainer.save_checkpoint(folder)
            with replacing(next_state) as file:
                trainer.save_state(file)

    launch(segment, processes)


def _require_finite(trainer: Any, step: int) -> None:
    """StudyError where the last updates have left weights that are no numbers: losses tell of the ones before only."""
    broken = [name for name, weights in trainer.trained().items() if not weights.isfinite().all()]
    if broken:
        raise StudyError(
            f"Training diverged: weights are not finite at step {step}. The checkpoints before it stay as they are.",
            [f"lower the learning rate of this generator ({len(broken)} weights, {broken[0]} among them)"],
        )


def sample(
    name: str, checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int
) -> Iterator[np.ndarray]:
    """Batches of images from a checkpoint, one image per row of `conditions`: uint8 [b, height, width, channels]."""
    return method(name).sample(checkpoint, conditions, settings, batch_size)
