"""Synthesis: images from a checkpoint, each by its own seed, written as shards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthworth.errors import StudyError
from synthworth.generators import sample
from synthworth.prompts import sampling_prompts
from synthworth.seeds import seed
from synthworth.selected import read_selection
from synthworth.shards import write_shard


def conditions(names: Mapping[str, Any], texts: Sequence[str], first: int, last: int) -> pd.DataFrame:
    """What is asked of a sampler: a row per image `first` to `last` (both included) of a class.

    `names` are study_seed, generator, name (the class), label and prompts (the generator's key, or None); `texts`
    those of the class's training images, where prompts are taken from them. Columns index, class, label, prompt and
    seed. The seed of an image hangs on (study seed, generator, class, index) alone: an image is the same in whichever
    shard, batch or job it is made.
    """
    indices = range(first, last + 1)
    seeds = [seed(names["study_seed"], "image", names["generator"], names["name"], index) for index in indices]
    return pd.DataFrame(
        {
            "index": indices,
            "class": names["name"],
            "label": names["label"],
            "prompt": sampling_prompts(names["prompts"], names["name"], names["label"], seeds, texts),
            "seed": seeds,
        }
    )


def sample_checkpoint(
    checkpoint: str,
    output: str,
    names: dict[str, Any],
    subjects: list[dict[str, Any]],
    first: int,
    last: int,
    settings: dict[str, Any],
    batch_size: int,
    texts: str | None = None,
) -> None:
    """Draws the images `first` to `last` of some classes from a checkpoint folder and writes them as a shard.

    `names` identifies the images: study_seed, generator, method, scope and step; so does, of each class, its entry in
    `subjects`: name, label and prompts. `texts` is the index (CSV) of the training images, where their texts are the
    prompts.
    """
    parts = [conditions(names | subject, _texts(texts, subject["name"]), first, last) for subject in subjects]
    rows = pd.concat(parts, ignore_index=True)
    batches = sample(names["method"], Path(checkpoint), rows, settings, batch_size)
    columns = {"generator": names["generator"], "scope": names["scope"], "step": names["step"]}
    write_shard(output, batches, rows.assign(label=rows["class"], **columns))


def synthesize_shard(
    selected: str,
    checkpoints: str,
    output: str,
    names: dict[str, Any],
    subject: dict[str, Any],
    first: int,
    last: int,
    settings: dict[str, Any],
    batch_size: int,
    texts: str | None = None,
) -> None:
    """Draws the images `first` to `last` of a class from the checkpoint chosen for it in `selected` (JSON).

    `names` are study_seed, generator and method, `subject` the name, label and prompts of the class. `checkpoints` is
    the folder of the generator's checkpoints, `<scope>/step-<step>` under it.
    """
    choice = read_selection(selected)[subject["name"]]
    chosen = {"scope": choice["scope"], "step": choice["step"]}
    folder = Path(checkpoints) / choice["scope"] / f"step-{choice['step']}"
    if not folder.is_dir():
        raise StudyError("The chosen checkpoint is gone.", [f"make it again with: snakemake {folder}"])
    sample_checkpoint(str(folder), output, names | chosen, [subject], first, last, settings, batch_size, texts)


def _texts(index: str | None, name: str) -> list[str]:
    if index is None:
        return []
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    return sorted(set(rows.loc[rows["class"] == name, "text"]))
