"""The comparisons of a study's images, from its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.features import load_extractor, load_features
from synthworth.memorization.comparison import compare_real, compare_synthetic
from synthworth.memorization.outputs import read_split, write_csv
from synthworth.memorization.sets import ImageSet, subset
from synthworth.seeds import seed as seed_of
from synthworth.shards import read_shard


def compare_real_images(
    train: Mapping[str, str],
    held_out: Mapping[str, str],
    weights: Path,
    comparisons: str,
    twins: str,
    name: str,
    kind: str,
    sources: int,
    seed: int,
) -> None:
    """The reference of the class `name` (`comparison.compare_real`) as two CSVs.

    `train` and `held_out` have the files of a split (`outputs.read_split`). A copy may be one of a training image of
    any class. `seed` must be that of the comparisons of synthetic images.
    """
    trained_on, classes = read_split(train)
    seen, seen_classes = read_split(held_out)
    reference = compare_real(
        trained_on,
        subset(seen, np.flatnonzero(seen_classes == name)),
        load_extractor(kind, weights),
        seed_of(seed, name),
        sources,
        np.flatnonzero(classes == name),
    )
    write_csv(reference.comparisons, comparisons)
    write_csv(reference.twins, twins)


def compare_synthetic_images(
    train: Mapping[str, str],
    held_out: Mapping[str, str],
    samples: str,
    features: str,
    output: str,
    classes: Sequence[str],
    seed: int,
) -> None:
    """The comparisons of the classes of a checkpoint (`comparison.compare_synthetic`) as one CSV, `class` before them.

    `samples` is the shard of its images, `features` the npz of theirs.
    """
    trained_on, trained_classes = read_split(train)
    seen, seen_classes = read_split(held_out)
    pixels, rows = read_shard(samples, columns=["label", "index"])
    found = load_features(Path(features))
    frames = []
    for name in classes:
        own = (rows["label"] == name).to_numpy()
        images = ImageSet(found.features[own], pixels[own], rows["index"][own].astype(str).tolist())
        others = subset(seen, np.flatnonzero(seen_classes == name))
        same = np.flatnonzero(trained_classes == name)
        frame = compare_synthetic(images, trained_on, others, seed_of(seed, name), same)
        frame.insert(0, "class", name)
        frames.append(frame)
    write_csv(pd.concat(frames), output)
