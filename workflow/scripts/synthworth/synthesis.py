"""Synthesis: images from a checkpoint, each by its own seed, written as shards."""

from pathlib import Path
from typing import Any

import pandas as pd

from synthworth.errors import StudyError
from synthworth.generators import sample
from synthworth.seeds import seed
from synthworth.selected import read_selection
from synthworth.shards import write_shard


def conditions(study_seed: int, generator: str, name: str, label: str, first: int, last: int) -> pd.DataFrame:
    """What is asked of a sampler: a row per image `first` to `last` (both included) of the class `name`.

    Columns index, class, label, prompt and seed. The seed of an image hangs on (study seed, generator, class, index)
    alone: an image is the same in whichever shard, batch or job it is made.
    """
    return pd.DataFrame(
        {
            "index": range(first, last + 1),
            "class": name,
            "label": label,
            "prompt": "",
            "seed": [seed(study_seed, "image", generator, name, index) for index in range(first, last + 1)],
        }
    )


def sample_checkpoint(
    checkpoint: str,
    output: str,
    names: dict[str, Any],
    first: int,
    last: int,
    settings: dict[str, Any],
    batch_size: int,
) -> None:
    """Draws the images `first` to `last` of a class from a checkpoint folder and writes them as a shard.

    `names` identifies the images: study_seed, generator, method, scope, step, name (the class) and label.
    """
    rows = conditions(names["study_seed"], names["generator"], names["name"], names["label"], first, last)
    images = sample(names["method"], Path(checkpoint), rows, settings, batch_size)
    columns = {"generator": names["generator"], "scope": names["scope"], "step": names["step"], "label": names["name"]}
    write_shard(output, images, rows.assign(**columns))


def synthesize_shard(
    selected: str,
    checkpoints: str,
    output: str,
    names: dict[str, Any],
    first: int,
    last: int,
    settings: dict[str, Any],
    batch_size: int,
) -> None:
    """Draws the images `first` to `last` of a class from the checkpoint chosen for it in `selected` (JSON).

    `checkpoints` is the folder of the generator's checkpoints, `<scope>/step-<step>` under it.
    """
    choice = read_selection(selected)[names["name"]]
    chosen = {"scope": choice["scope"], "step": choice["step"]}
    folder = Path(checkpoints) / choice["scope"] / f"step-{choice['step']}"
    if not folder.is_dir():
        raise StudyError("The chosen checkpoint is gone.", [f"make it again with: snakemake {folder}"])
    sample_checkpoint(str(folder), output, names | chosen, first, last, settings, batch_size)
