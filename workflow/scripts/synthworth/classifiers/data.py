"""Images for a classifier: the real ones of a split, and an arm's synthetic ones and balancing for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from synthworth.classifiers.augmentation import Transform
from synthworth.errors import StudyError
from synthworth.resizing import resize
from synthworth.seeds import seed
from synthworth.shards import read_shard

Balance = Literal["none", "oversample"]


@dataclass(frozen=True)
class ImageTable:
    """uint8 images of one size and their class indices; a row may stand for an image that another row stands for.

    `sources` are arrays [n, size, size, 1 or 3]; row i is image `offsets[i]` of source `source[i]`, of class
    `targets[i]`.
    """

    sources: tuple[np.ndarray, ...]
    source: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> int:
        """The images' height and width in pixels."""
        return self.sources[0].shape[1]

    def image(self, row: int) -> np.ndarray:
        """The uint8 image [size, size, 3] of a row; grey is repeated."""
        image = self.sources[self.source[row]][self.offsets[row]]
        return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image)

    def rows(self, order: np.ndarray) -> "ImageTable":
        """The table of the rows in `order`."""
        return ImageTable(self.sources, self.source[order], self.offsets[order], self.targets[order])


class ImageDataset(torch.utils.data.Dataset):
    """A table of images as a torch dataset, indexed by (epoch, row): float32 [3, size, size] and the class index.

    The epoch travels with the index, so that it reaches workers that live for the whole training.
    """

    def __init__(self, table: ImageTable, transform: Transform) -> None:
        self.table = table
        self.transform = transform

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, row = item
        image = self.transform(self.table.image(row), epoch, row)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), int(self.table.targets[row])


def real_images(images: Path, index: Path, classes: Sequence[str]) -> tuple[ImageTable, pd.DataFrame]:
    """The images of a split (.npy, uint8 [n, size, size, channels], memory-mapped) and the rows of its index.

    Raises StudyError where the two files are not of the same length, or a class is none of `classes`.
    """
    pixels = np.load(images, mmap_mode="r")
    frame = pd.read_csv(index, dtype={"image": str, "patient": str, "class": str}, keep_default_na=False)
    if len(pixels) != len(frame):
        raise StudyError(
            "Images and index do not belong together",
            [f"{images} holds {len(pixels)} images, {index} {len(frame)} rows: delete both, to have them made anew"],
        )
    return _table(pixels, _targets(frame["class"], classes, index)), frame


def synthetic_images(
    shards: Sequence[Path], classes: Sequence[str], per_class: int, size: int, copies: Sequence[Path] = ()
) -> ImageTable:
    """The first `per_class` images of each class in the order of their `index`, whatever shard they lie in.

    The rows go by index, then class: those of a smaller `per_class` are the first ones of a larger. Images of
    another size are resized to `size` pixels. The shards' `label` is the class. `copies`, one CSV for each shard where
    they are given, say which images are copies of training images (columns index and flagged): of the `per_class`
    these are left out, and nothing takes their place. Raises StudyError where there are too few, and where an image of
    a class comes twice.
    """
    rows = pd.concat(
        [pd.read_parquet(path, columns=["label", "index"]).assign(shard=i) for i, path in enumerate(shards)]
        or [pd.DataFrame({"label": [], "index": [], "shard": []})],
        ignore_index=True,
    )
    rows["row"] = rows.groupby("shard").cumcount()
    rows["copy"] = False
    for position, path in enumerate(copies):
        flagged = pd.read_csv(path).set_index("index")["flagged"]
        own = rows["shard"] == position
        rows.loc[own, "copy"] = flagged.loc[rows.loc[own, "index"]].to_numpy(bool)
    rows["target"] = _targets(rows["label"], classes, "the shards")
    problems = [
        f"class {name}: {found} synthetic images, {per_class} are wanted: raise the number that is synthesized, or "
        "lower the arm's"
        for name, found in zip(classes, np.bincount(rows["target"], minlength=len(classes)), strict=True)
        if found < per_class
    ]
    twice = rows[rows.duplicated(["label", "index"])]
    problems += [f"class {row.label}: image {row.index} lies in two shards" for row in twice.itertuples(index=False)]
    if problems:
        raise StudyError("The synthetic images do not suffice", problems)
    rows = rows.sort_values(["target", "index"])
    rows["rank"] = rows.groupby("target").cumcount()
    rows = rows[(rows["rank"] < per_class) & ~rows["copy"]].sort_values(["rank", "target"], ignore_index=True)
    sources = []
    for position in sorted(rows["shard"].unique()):
        wanted = rows["shard"] == position
        images, _ = read_shard(shards[int(position)], columns=["label"])
        sources.append(resize(images[rows.loc[wanted, "row"]], size))
        rows.loc[wanted, "shard"] = len(sources) - 1
        rows.loc[wanted, "row"] = np.arange(wanted.sum())
    return ImageTable(
        tuple(sources), rows["shard"].to_numpy(int), rows["row"].to_numpy(int), rows["target"].to_numpy(int)
    )


def training_images(
    images: Path,
    index: Path,
    classes: Sequence[str],
    *,
    shards: Sequence[Path] = (),
    copies: Sequence[Path] = (),
    per_class: int = 0,
    balance: Balance = "none",
    run_seed: int = 0,
) -> ImageTable:
    """A run's training set: the real images, `per_class` synthetic ones of each class, and copies that balance it.

    `shards` and `copies` are as of `synthetic_images`.
    Real images come first, at the same rows in every arm. `oversample` adds rows of each minority class, drawn
    with replacement by `run_seed`, up to the count of the largest class.
    """
    real, _ = real_images(images, index, classes)
    counts = np.bincount(real.targets, minlength=len(classes))
    absent = [f"class {name}: no training image" for name, count in zip(classes, counts, strict=True) if count == 0]
    if absent:
        raise StudyError("A class cannot be learned", absent)
    table = real
    if per_class > 0:
        synthetic = synthetic_images(shards, classes, per_class, real.size, copies)
        table = ImageTable(
            real.sources + synthetic.sources,
            np.concatenate([real.source, synthetic.source + len(real.sources)]),
            np.concatenate([real.offsets, synthetic.offsets]),
            np.concatenate([real.targets, synthetic.targets]),
        )
    return table.rows(oversampled(table.targets, run_seed)) if balance == "oversample" else table


def oversampled(targets: np.ndarray, run_seed: int) -> np.ndarray:
    """All rows of `targets`, then rows of each minority class, drawn at random, until all classes are as large."""
    counts = np.bincount(targets)
    extra = [
        np.random.default_rng(seed(run_seed, "oversampling", target)).choice(
            np.flatnonzero(targets == target), counts.max() - count
        )
        for target, count in enumerate(counts)
    ]
    return np.concatenate([np.arange(len(targets)), *extra])


def _table(pixels: np.ndarray, targets: np.ndarray) -> ImageTable:
    return ImageTable((pixels,), np.zeros(len(pixels), int), np.arange(len(pixels)), targets)


def _targets(names: pd.Series, classes: Sequence[str], where: Path | str) -> np.ndarray:
    unknown = sorted(set(names) - set(classes))
    if unknown:
        known = ", ".join(classes)
        raise StudyError("Classes are not in the config", [f"{where}: {name} is none of {known}" for name in unknown])
    return names.map({name: target for target, name in enumerate(classes)}).to_numpy(int)
