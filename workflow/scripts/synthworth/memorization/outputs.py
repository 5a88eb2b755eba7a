"""The audit's files: a split's images as a set, and its tables, CSV each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.features import load_features
from synthworth.files import replacing
from synthworth.memorization.comparison import Reference
from synthworth.memorization.nearest import WITHOUT_COLUMNS
from synthworth.memorization.sets import ImageSet

# A patient "007" is not number 7, and one named "NA" is there.
_TEXT = dict.fromkeys(
    [
        *("image", "patient", "nearest_image", "nearest_patient", "similar_image", "similar_patient", "other_image"),
        *("kind", "perturbation", "source", "score", "power_of", "generator", "class", "scope"),
    ],
    str,
)


def read_split(files: Mapping[str, str]) -> tuple[ImageSet, np.ndarray]:
    """The images of a split and the class of each, str [n]: `images` (uint8 array), `index` (CSV), `features` (npz)."""
    rows = pd.read_csv(files["index"], dtype=str, keep_default_na=False)
    images, features = np.load(files["images"], mmap_mode="r"), load_features(Path(files["features"])).features
    names, patients = rows["image"].tolist(), rows["patient"].tolist()
    return ImageSet(features, images, names, patients), rows["class"].to_numpy(str)


def read_reference(comparisons: str | Path, twins: str | Path) -> Reference:
    """The reference of a class from its two files."""
    return Reference(read_table(comparisons), read_table(twins))


def read_table(path: str | Path) -> pd.DataFrame:
    """Any of the audit's tables, with names as text and numbers to the last digit."""
    return pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=dict.fromkeys(WITHOUT_COLUMNS, [""]))


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Writes any of the audit's tables."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def named(frame: pd.DataFrame, names: Mapping[str, object]) -> pd.DataFrame:
    """A table with columns of one value each in front."""
    return frame.assign(**names)[[*names, *frame.columns]]


def collect(paths: Sequence[str], output: str) -> None:
    """The same table of several generators, or shards, as one CSV."""
    write_csv(pd.concat([read_table(path) for path in paths]), output)
