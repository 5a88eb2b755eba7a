"""What all runs of a study said of the same test images, as aligned arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError

NAMES = ["classifier", "arm", "generator", "dose", "seed"]


@dataclass(frozen=True)
class Predictions:
    """Probabilities of R runs for the same n test images of K classes.

    `runs`: frame of R rows with columns classifier, arm, generator, dose, seed.
    `classes`: the K class names, in the order of the probabilities.
    `truth`: int [n], the class of each image as its position in `classes`.
    `patients`: int [n], the patient of each image, 0 ... P-1.
    `probabilities`: float [R, n, K], in [0, 1]; row r belongs to row r of `runs`.
    """

    runs: pd.DataFrame
    classes: tuple[str, ...]
    truth: np.ndarray
    patients: np.ndarray
    probabilities: np.ndarray

    @property
    def n_images(self) -> int:
        """Test images."""
        return len(self.truth)

    @cached_property
    def n_patients(self) -> int:
        """Patients of the test images."""
        return len(np.unique(self.patients))


def read_predictions(runs: Iterable[Mapping[str, Any]]) -> Predictions:
    """Reads the prediction files of runs, each named by classifier, arm, generator, dose, seed and `path`.

    A file is a CSV with columns `image`, `patient`, `class` and one `p_<class>` per class; the order of its rows is
    of no importance. Raises StudyError as `align`.
    """
    runs = list(runs)
    # Converters, since a class may be called "None" or "NA".
    frames = [pd.read_csv(run["path"], converters=dict.fromkeys(["image", "patient", "class"], str)) for run in runs]
    return align(runs, frames)


def align(runs: Iterable[Mapping[str, Any]], frames: Iterable[pd.DataFrame]) -> Predictions:
    """The runs' predictions in one common order of images; `frames` are as `read_predictions` describes its files.

    Raises StudyError where a run is named twice or where images, patients or classes differ between runs, or a
    probability is missing: paired comparisons need the same test set throughout.
    """
    runs, frames = list(runs), [frame.set_index("image").sort_index() for frame in frames]
    if not runs:
        raise StudyError("There are no predictions to compare.")
    table = pd.DataFrame([{name: run[name] for name in NAMES} for run in runs])
    first = frames[0]
    columns = [column for column in first.columns if column.startswith("p_")]
    problems = []
    for run, frame in zip(runs, frames, strict=True):
        name = str(run.get("path") or Path(run["classifier"], run["arm"], str(run["seed"])))
        if [column for column in frame.columns if column.startswith("p_")] != columns:
            problems.append(f"{name}: other classes than in the first file; all runs need the classes of the config")
        elif not frame.index.is_unique:
            problems.append(f"{name}: an image stands twice; each test image is predicted once")
        elif not frame[["patient", "class"]].equals(first[["patient", "class"]]):
            problems.append(f"{name}: other images, patients or classes than in the first file; predict again")
        elif not np.isfinite(frame[columns].to_numpy(float)).all():
            problems.append(f"{name}: a probability is missing or infinite; did the training diverge?")
    for row in table[table.duplicated(["classifier", "arm", "seed"])].itertuples():
        problems.append(f"{row.classifier}, {row.arm}, seed {row.seed}: named twice")
    classes = tuple(column.removeprefix("p_") for column in columns)
    for unknown in sorted(set(first["class"]) - set(classes)):
        problems.append(f"class {unknown}: has test images but no column p_{unknown}")
    if problems:
        raise StudyError("The predictions cannot be compared:", problems)
    return Predictions(
        runs=table,
        classes=classes,
        truth=first["class"].map({name: index for index, name in enumerate(classes)}).to_numpy(int),
        patients=pd.factorize(first["patient"])[0],
        probabilities=np.stack([frame[columns].to_numpy(float) for frame in frames]),
    )
