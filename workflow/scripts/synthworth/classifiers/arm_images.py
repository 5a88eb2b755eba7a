"""An arm's training images: real ones, added ones, and which of them each stage of a training sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from synthworth.classifiers.data import ImageTable, real_images, synthetic_images
from synthworth.errors import StudyError
from synthworth.findings import agreed_findings
from synthworth.hold_back import held_back
from synthworth.seeds import seed

Regime = Literal["mix", "replace", "pretrain_then_finetune"]
Balance = Literal["none", "oversample", "to_majority"]


@dataclass(frozen=True)
class ArmImages:
    """What an arm's training sees.

    `table` has all real training images first, at the same rows in every arm, also where the arm holds them back or
    replaces them; then those that it adds. Augmentation, order and first weights go by the run's seed, which hangs on
    the arm's name: they differ between arms, also of the same images. `training` (int) are the rows that the arm is
    trained on, `pretraining` those of a first stage, empty where there is none. `real` is the number of real training
    images of the split.
    """

    table: ImageTable
    training: np.ndarray
    pretraining: np.ndarray
    real: int


def arm_images(
    images: Path,
    index: Path,
    classes: Sequence[str],
    *,
    findings: Sequence[str] = (),
    shards: Sequence[Path] = (),
    rendered: Sequence[Path] = (),
    copies: Sequence[Path] = (),
    per_class: int = 0,
    first: int = 0,
    regime: Regime = "mix",
    balance: Balance = "none",
    repeat_training_images: bool = False,
    shuffle_seed: int | None = None,
    real_share: float = 1.0,
    hold_back_seed: int = 0,
    run_seed: int = 0,
) -> ArmImages:
    """The images of an arm, from those of the split `train` and its `shards` (with `rendered` and `copies` as of
    `synthetic_images`).

    Real images: all, or those of the share `real_share` of the patients of each class (`held_back`).

    Added images: of each class the `per_class` synthetic ones from number `first` on; with `repeat_training_images`
    as many training images again, drawn with replacement by `run_seed`. With `shuffle_seed` the synthetic ones' labels
    are permuted over all of them, so that the classes keep their numbers. In a study of `findings` a synthetic image
    has those on which all certain training images of its class agree, and the others masked.

    `regime`: `mix` trains on both; `replace` on the added ones; `pretrain_then_finetune` on the added ones first, then
    on the real ones. `balance`: `oversample` adds rows of each minority class to a stage, drawn with replacement by
    `run_seed`, up to the count of its largest; `to_majority` takes of each class only as many synthetic images as its
    real ones lack to the largest class.

    Raises StudyError where a class has no image to train on, where `per_class` does not suffice to balance the
    classes, and as `synthetic_images`.
    """
    real, frame = real_images(images, index, classes, findings)
    _require_all(real.targets, classes)
    kept = held_back(frame["patient"], real.targets, real_share, hold_back_seed)
    table = real
    if per_class > 0 and repeat_training_images:
        table = real.joined(real.rows(_repeats(kept, real.targets[kept], per_class, run_seed)))
    elif per_class > 0:
        counts = np.bincount(real.targets[kept], minlength=len(classes))
        wanted = _lacking(counts, classes, per_class) if balance == "to_majority" else per_class
        synthetic = synthetic_images(shards, rendered, classes, wanted, copies, first)
        targets = synthetic.targets
        if shuffle_seed is not None:
            targets = np.random.default_rng(shuffle_seed).permutation(targets)
        agreed = agreed_findings(real.findings, real.targets, len(classes)) if findings else None
        table = real.joined(synthetic.labelled_as(targets, agreed))
    added = np.arange(len(real), len(table))
    training = {"mix": np.concatenate([kept, added]), "replace": added, "pretrain_then_finetune": kept}[regime]
    pretraining = added if regime == "pretrain_then_finetune" else added[:0]
    for rows in (training, pretraining) if regime == "pretrain_then_finetune" else (training,):
        _require_all(table.targets[rows], classes)
    if balance == "oversample":
        table, training = _oversampled(table, training, run_seed)
        table, pretraining = _oversampled(table, pretraining, run_seed)
    return ArmImages(table, training, pretraining, len(real))


def oversampled(targets: np.ndarray, run_seed: int) -> np.ndarray:
    """All rows of `targets`, then rows of each minority class, drawn at random, until all classes are as large."""
    counts = np.bincount(targets)
    extra = [
        np.random.default_rng(seed(run_seed, "oversampling", target)).choice(
            np.flatnonzero(targets == target), counts.max() - count
        )
        for target, count in enumerate(counts)
        if count
    ]
    return np.concatenate([np.arange(len(targets)), *extra])


def _oversampled(table: ImageTable, rows: np.ndarray, run_seed: int) -> tuple[ImageTable, np.ndarray]:
    """The table with the rows that balance `rows`, and these with them; drawn rows are augmented on their own."""
    if len(rows) == 0:
        return table, rows
    extra = rows[oversampled(table.targets[rows], run_seed)[len(rows) :]]
    larger = table.rows(np.concatenate([np.arange(len(table)), extra]))
    return larger, np.concatenate([rows, np.arange(len(table), len(larger))])


def _repeats(rows: np.ndarray, targets: np.ndarray, per_class: int, run_seed: int) -> np.ndarray:
    drawn = [
        np.random.default_rng(seed(run_seed, "repeats", int(target))).choice(rows[targets == target], per_class)
        for target in np.unique(targets)
    ]
    return np.concatenate(drawn)


def _lacking(counts: np.ndarray, classes: Sequence[str], per_class: int) -> np.ndarray:
    lacking = counts.max() - counts
    problems = [
        f"class {name}: {need} images are lacking to the {counts.max()} of the largest class, the arm has "
        f"{per_class}: raise its `per_class` to {lacking.max()}"
        for name, need in zip(classes, lacking, strict=True)
        if need > per_class
    ]
    if problems:
        raise StudyError("The synthetic images do not suffice to balance the classes", problems)
    return lacking


def _require_all(targets: np.ndarray, classes: Sequence[str]) -> None:
    counts = np.bincount(targets, minlength=len(classes))
    absent = [f"class {name}: no training image" for name, count in zip(classes, counts, strict=True) if count == 0]
    if absent:
        raise StudyError("A class cannot be learned", absent)
