"""Images for a classifier: the real ones of a split, and synthetic ones from shards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from synthworth.classifiers.augmentation import Transform
from synthworth.errors import StudyError
from synthworth.findings import finding_matrix


@dataclass(frozen=True)
class ImageTable:
    """uint8 images of one size and their class indices; a row may stand for an image that another row stands for.

    `sources` are arrays [n, size, size, 1 or 3]; row i is image `offsets[i]` of source `source[i]`, of class
    `targets[i]`. `findings` are those of a multi-label study, float32 [n, F] (`findings.finding_matrix`).
    """

    sources: tuple[np.ndarray, ...]
    source: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray
    findings: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> int:
        """The images' height and width in pixels."""
        return self.sources[0].shape[1]

    def image(self, row: int) -> np.ndarray:
        """The uint8 image [size, size, 3] of a row; grey is repeated."""
        image = self.sources[self.source[row]][self.offsets[row]]
        # 20 times as fast as numpy's `repeat`.
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[-1] == 1 else np.ascontiguousarray(image)

    def rows(self, order: np.ndarray) -> "ImageTable":
        """The table of the rows in `order`."""
        findings = None if self.findings is None else self.findings[order]
        return ImageTable(self.sources, self.source[order], self.offsets[order], self.targets[order], findings)

    def joined(self, other: "ImageTable") -> "ImageTable":
        """This table's rows, then those of a table of images of the same size."""
        return ImageTable(
            self.sources + other.sources,
            np.concatenate([self.source, other.source + len(self.sources)]),
            np.concatenate([self.offsets, other.offsets]),
            np.concatenate([self.targets, other.targets]),
            None if self.findings is None else np.concatenate([self.findings, other.findings]),
        )

    def labelled_as(self, targets: np.ndarray, agreed: np.ndarray | None) -> "ImageTable":
        """The same images with other `targets`, each with the findings of its class (`findings.agreed_findings`)."""
        return replace(self, targets=targets, findings=None if agreed is None else agreed[targets])


class ImageDataset(torch.utils.data.Dataset):
    """A table of images as a torch dataset, indexed by (epoch, row): uint8 [size, size, 3] and the class index.

    And its findings, float32 [F], where the table has them. The epoch travels with the index, so that it reaches
    workers that live for the whole training.
    """

    def __init__(self, table: ImageTable, transform: Transform) -> None:
        self.table = table
        self.transform = transform

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, int] | tuple[torch.Tensor, int, np.ndarray]:
        epoch, row = item
        image = self.transform(self.table.image(row), epoch, row)
        findings = () if self.table.findings is None else (self.table.findings[row],)
        return torch.from_numpy(np.ascontiguousarray(image)), int(self.table.targets[row]), *findings


def real_images(
    images: Path, index: Path, classes: Sequence[str], findings: Sequence[str] = ()
) -> tuple[ImageTable, pd.DataFrame]:
    """The images of a split (.npy, uint8 [n, size, size, channels], memory-mapped) and the rows of its index.

    `findings` are columns of the index. Raises StudyError where the two files are not of the same length, or a class is
    none of `classes`.
    """
    pixels = np.load(images, mmap_mode="r")
    text = dict.fromkeys(["image", "patient", "class", *findings], str)
    frame = pd.read_csv(index, dtype=text, keep_default_na=False)
    if len(pixels) != len(frame):
        raise StudyError(
            "Images and index do not belong together",
            [f"{images} holds {len(pixels)} images, {index} {len(frame)} rows: delete both, to have them made anew"],
        )
    table = _table(pixels, _targets(frame["class"], classes, index))
    return replace(table, findings=finding_matrix(frame, findings) if findings else None), frame


def synthetic_images(
    shards: Sequence[Path],
    rendered: Sequence[Path],
    classes: Sequence[str],
    per_class: int | Sequence[int],
    copies: Sequence[Path] = (),
    first: int = 0,
) -> ImageTable:
    """The `per_class` images of each class (a number for all, or one for each) from number `first` on.

    `rendered` are the shards' images as arrays (.npy, as of `shards.render_shard`), one for each of `shards`; they are
    mapped into memory, not read. An image's number is its `index`, whatever shard it lies in; its class is the shards'
    `label`. The rows go by number, then class: those of a smaller `per_class` are the first ones of a larger.
    `copies`, one CSV for each shard where they are given, say which images are copies of training images (columns index
    and flagged): of the `per_class` these are left out, and nothing takes their place.
    Raises StudyError where there are too few, and where an image of a class comes twice.
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
    wanted = np.broadcast_to(per_class, len(classes))
    rows = rows[rows["index"].between(first, first + wanted[rows["target"]], inclusive="left")]
    problems = [
        f"class {name}: {found} synthetic images from number {first} on, {count} are wanted: raise the number that is "
        "synthesized, or lower the arm's"
        for name, found, count in zip(classes, np.bincount(rows["target"], minlength=len(classes)), wanted, strict=True)
        if found < count
    ]
    twice = rows[rows.duplicated(["label", "index"])]
    problems += [f"class {row.label}: image {row.index} lies in two shards" for row in twice.itertuples(index=False)]
    if problems:
        raise StudyError("The synthetic images do not suffice", problems)
    rows = rows[~rows["copy"]].sort_values(["index", "target"], ignore_index=True)
    sources = tuple(np.load(path, mmap_mode="r") for path in rendered)
    return ImageTable(sources, rows["shard"].to_numpy(int), rows["row"].to_numpy(int), rows["target"].to_numpy(int))


def _table(pixels: np.ndarray, targets: np.ndarray) -> ImageTable:
    return ImageTable((pixels,), np.zeros(len(pixels), int), np.arange(len(pixels)), targets)


def _targets(names: pd.Series, classes: Sequence[str], where: Path | str) -> np.ndarray:
    unknown = sorted(set(names) - set(classes))
    if unknown:
        known = ", ".join(classes)
        raise StudyError("Classes are not in the config", [f"{where}: {name} is none of {known}" for name in unknown])
    return names.map({name: target for target, name in enumerate(classes)}).to_numpy(int)
