"""The manifest: which images there are, of whom, and what they show. The Snakefile reads it, so imports stay light."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from synthworth.csv_files import other_delimiter, read_records
from synthworth.errors import StudyError, counted
from synthworth.findings import Unmentioned, as_indexed, field_problems, joint_labels

REQUIRED = ("image", "patient", "label")
SPLITS = ("train", "select", "test")
# Columns that the index adds; `row` is the line of the manifest, for messages.
ADDED = ("class", "sha256", "hash", "width", "height")
RESERVED = (*ADDED, "row")
# Columns that mean something where a manifest has them.
USED = (*REQUIRED, "split", "view", "age", "sex", "text")

EXAMPLE = """A manifest is a CSV file with a row per image, paths relative to it:
    image,patient,label
    images/0001.png,p001,healthy
    images/0002.dcm,p002,viral"""
EXAMPLE_OF_FINDINGS = """A manifest of findings has a column for each of dataset.findings:
    image,patient,effusion,edema
    images/0001.png,p001,1,0
    images/0002.dcm,p002,-1,"""


def read_manifest(
    path: str | Path,
    key: str = "dataset.manifest",
    findings: Sequence[str] = (),
    unmentioned: Unmentioned = "absent",
) -> pd.DataFrame:
    """A manifest as a frame of text columns, stripped of surrounding spaces, and `row`, the line in the file (int).

    Columns `image`, `patient` and `label`, and whatever else the file has; fields that are empty stay empty text. Those
    of `findings` are as an index has them (`findings.as_indexed`), and where the file has no `label` it is that of the
    findings together (`findings.joint_label`). Raises StudyError where the file, which the config's `key` names, has
    not the structure of a manifest, and for fields of findings; what other fields say is not looked at.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"There is no manifest {path}.", [f"correct the config key `{key}`. " + EXAMPLE])
    header, *records = read_records(path, f"The manifest {path} cannot be read.") or [(1, [])]
    columns = header[1]
    problems = list(_column_problems(columns, findings))
    if not problems and not records:
        problems = ["it lists no images. " + EXAMPLE]
    lengths = [len(fields) for _, fields in records]
    problems += [
        f"{counted([row for row, fields in records if len(fields) == length])}: {length} fields, but the header has "
        f'{len(columns)}; put a field that holds a comma into double quotes ("...")'
        for length in dict.fromkeys(lengths)
        if length != len(columns) and not problems
    ]
    if problems:
        raise StudyError(f"The manifest {path} cannot be read.", problems)
    frame = pd.DataFrame([fields for _, fields in records], columns=columns, dtype=str)
    frame["row"] = [row for row, _ in records]
    problems = list(field_problems(frame, findings))
    if problems:
        raise StudyError(f"Findings in the manifest {path} cannot be read (problems: {len(problems)}).", problems)
    frame = as_indexed(frame, findings, unmentioned)
    return frame if "label" in frame else frame.assign(label=joint_labels(frame, findings))


def list_folder(folder: str | Path) -> pd.DataFrame:
    """A folder with a sub-folder per class as the frame of `read_manifest`, sorted; `row` is 0, there being no rows.

    The label is the sub-folder's name. No patient being known, each image is a patient of its own, named by its path
    without the suffix. Hidden files are left out, and nothing else is: `inspect_images` speaks of what is no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"There is no folder {folder}.", ["correct the config key `dataset.folder`"])
    found, problems = [], []
    for place, folders, files in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [here / name for name in sorted(files) if not name.startswith(".")]
        for name in folders:
            if (folder / here / name).is_symlink():
                problems.append(
                    f"{here / name}: a link to a folder is not followed; copy the folder, or use a manifest"
                )
        if here == Path():
            problems += [f"{path}: lies in no class's sub-folder; move it into one, or remove it" for path in paths]
        elif not paths and not folders:
            problems.append(f"{here}: an empty folder; put images into it, or remove it")
        elif len(here.parts) > 1 and paths:
            problems.append(
                f"{here}: images lie deeper than in a class's folder; whose they are only a manifest can say: "
                "write one, or move them up"
            )
        found += paths
    if not found and not problems:
        problems = ["it is empty; make a sub-folder per class, named as the class, and put its images there"]
    if problems:
        raise StudyError(f"The folder {folder} cannot be read as a folder per class.", problems)
    rows = [(path.as_posix(), path.with_suffix("").as_posix(), path.parts[0], 0) for path in sorted(found)]
    return pd.DataFrame(rows, columns=[*REQUIRED, "row"]).astype(dict.fromkeys(REQUIRED, str))


def derive_classes(labels: Iterable[str]) -> dict[str, str]:
    """{name: label} of the labels that occur, in the order in which they do.

    A class's name is its label with everything but letters, digits, `_`, `-` and `.` made `_`, so that it can stand
    in a path; it begins with a letter or digit. Empty labels are left out (`inspect_images` reports them). Raises
    StudyError where two labels give one name (or two that differ in case alone), or a label gives none.
    """
    classes: dict[str, str] = {}
    seen: dict[str, str] = {}
    problems = []
    for label in dict.fromkeys(label for label in labels if label):
        name = re.sub(r"^[\W_]+|[\W_]+$", "", re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", label)))
        if not name or name.casefold() == "all":
            problems.append(f"label {label!r} gives no name for a class; use letters or digits, and not `all`")
        elif name.casefold() in seen:
            problems.append(
                f"labels {seen[name.casefold()]!r} and {label!r} give the same class name; spell them alike, or name "
                "the classes in the config (dataset.classes: {name: label})"
            )
        else:
            classes[name] = seen[name.casefold()] = label
    if problems:
        raise StudyError("The labels cannot be told apart as classes.", problems)
    return classes


def read_index(path: str | Path) -> pd.DataFrame:
    """An index as written: text columns (a patient `007` stays so, a label `NA` too), `width` and `height` int."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.astype({"width": int, "height": int})


def _column_problems(columns: list[str], findings: Sequence[str]) -> Iterator[str]:
    if not columns:
        yield "the file is empty. " + EXAMPLE
        return
    required = [column for column in REQUIRED if column != "label" or not findings]
    missing = [column for column in (*required, *findings) if column not in columns]
    example = EXAMPLE_OF_FINDINGS if findings else EXAMPLE
    delimiter = other_delimiter(columns)
    if missing and delimiter:
        yield f"its columns are separated by {delimiter}, not by commas; save it as a CSV with commas"
        return
    for column in missing:
        spelt = [name for name in columns if name.casefold() == column.casefold()]
        hint = f"rename {spelt[0]!r}" if spelt else f"columns found: {', '.join(columns)}"
        yield f"column `{column}` is missing ({hint}). " + example
    for place, column in enumerate(columns):
        if not column:
            yield f"column {place + 1} has no name; name it, or delete it"
        elif column in columns[:place]:
            yield f"column `{column}` stands there twice; delete or rename one"
        elif column in RESERVED:
            yield f"column `{column}` has a name that the study uses itself; rename or delete it"
