"""What all runs of a study said of the same test images, as aligned arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError

# What may be repeated, the outermost first: the cross-validation, the training of a generator, the draw of its images
# and the training of a classifier on them. A name of a run that is absent counts as 1.
LEVELS = ["repeat", "generator_seed", "draw", "seed"]
NAMES = ["classifier", "arm", "generator", "dose", *LEVELS]


@dataclass(frozen=True)
class Predictions:
    """Probabilities of R runs for the same n test images of K classes, or of K findings.

    `runs`: frame of R rows with columns classifier, arm, generator, dose and LEVELS.
    `classes`: the K names of classes or findings, in the order of the probabilities.
    `truth`: int [n], the class of each image as its position in `classes`; or float [n, K], its findings: 1 present, 0
    absent, NaN masked.
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


def run_title(run: Mapping[str, Any]) -> str:
    """A run in words, for messages: its files, where it has any."""
    path = run.get("path") or Path(run["classifier"], run["arm"], str(run["seed"]))
    return str(path) if isinstance(path, str | Path) else ", ".join(map(str, path))


def full_name(run: Mapping[str, Any]) -> dict[str, Any]:
    """All NAMES of a run, in their order; a level that it does not name is 1."""
    return {name: run.get(name, 1) if name in LEVELS[:-1] else run[name] for name in NAMES}


def name_files(names: Sequence[Mapping[str, Any]], files: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The runs with their prediction files as `path`: of each its folds', in the order of `names`.

    Raises ValueError where the files cannot be dealt out evenly.
    """
    folds, rest = divmod(len(files), len(names))
    if rest or not folds:
        raise ValueError(f"{len(files)} files of predictions for {len(names)} runs")
    return [{**name, "path": list(files[place * folds :][:folds])} for place, name in enumerate(names)]


def read_predictions(runs: Iterable[Mapping[str, Any]]) -> Predictions:
    """Reads the predictions of runs, each named by NAMES (see `full_name`) and `path`, as of `read_run`.

    Raises StudyError as `align`.
    """
    runs = list(runs)
    return align(runs, [read_run(run["path"]) for run in runs])


def read_run(path: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """What a run said of the test images: its file, or the files of its folds, as one frame in the images' order.

    A file is a CSV with columns `image`, `patient`, `class` and one `p_<class>` per class, or per finding one
    `p_<finding>` and one `y_<finding>` (1, 0, or empty: masked); the order of its rows is of no importance.
    """
    paths = [path] if isinstance(path, str | Path) else path
    # A class may be called "None" or "NA".
    names = {"dtype": dict.fromkeys(["image", "patient", "class"], str), "keep_default_na": False, "na_values": [""]}
    frame = pd.concat([pd.read_csv(file, **names) for file in paths])
    return frame.sort_values("image", kind="stable", ignore_index=True)


def align(runs: Iterable[Mapping[str, Any]], frames: Iterable[pd.DataFrame]) -> Predictions:
    """The runs' predictions in one common order of images; `frames` are as `read_predictions` describes its files.

    Raises StudyError where a run is named twice or where images, patients, classes or findings differ between runs, or
    a probability is missing: paired comparisons need the same test set throughout.
    """
    runs, frames = list(runs), [frame.set_index("image").sort_index() for frame in frames]
    if not runs:
        raise StudyError("There are no predictions to compare.")
    table = pd.DataFrame([full_name(run) for run in runs])
    first = frames[0]
    columns = [column for column in first.columns if column.startswith("p_")]
    classes = tuple(column.removeprefix("p_") for column in columns)
    found = [column for column in first.columns if column.startswith("y_")]
    facts = ["patient", "class", *found]
    problems = []
    for run, frame in zip(runs, frames, strict=True):
        name = run_title(run)
        if [column for column in frame.columns if column.startswith("p_")] != columns:
            problems.append(f"{name}: other classes than in the first file; all runs need the classes of the config")
        elif not frame.index.is_unique:
            problems.append(f"{name}: an image stands twice; each test image is predicted once, in one fold")
        elif not set(facts) <= set(frame) or not frame[facts].equals(first[facts]):
            problems.append(f"{name}: other images, patients or classes than in the first file; predict again")
        elif not np.isfinite(frame[columns].to_numpy(float)).all():
            problems.append(f"{name}: a probability is missing or infinite; did the training diverge?")
    for row in table[table.duplicated(["classifier", "arm", *LEVELS])].itertuples():
        problems.append(f"{row.classifier}, {row.arm}, seed {row.seed}: named twice")
    if not found:
        for unknown in sorted(set(first["class"]) - set(classes)):
            problems.append(f"class {unknown}: has test images but no column p_{unknown}")
    if problems:
        raise StudyError("The predictions cannot be compared:", problems)
    return Predictions(
        runs=table,
        classes=classes,
        truth=_findings(first, classes) if found else first["class"].map(classes.index).to_numpy(int),
        patients=pd.factorize(first["patient"])[0],
        probabilities=np.stack([frame[columns].to_numpy(float) for frame in frames]),
    )


def _findings(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    return frame[[f"y_{name}" for name in names]].to_numpy(float)
