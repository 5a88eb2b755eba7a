"""The manifest: which images there are, of whom, and what they show. The Snakefile reads it, so imports stay light."""

import csv
import difflib
import hashlib
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.progress import progress

REQUIRED = ("image", "patient", "label")
SPLITS = ("train", "select", "test")
# Columns that the index adds; `row` is the line of the manifest, for messages.
ADDED = ("class", "sha256", "hash", "width", "height")
RESERVED = (*ADDED, "row")

EXAMPLE = """A manifest is a CSV file with a row per image, paths relative to it:
    image,patient,label
    images/0001.png,p001,healthy
    images/0002.dcm,p002,viral"""
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_manifest(path: str | Path) -> pd.DataFrame:
    """A manifest as a frame of text columns, stripped of surrounding spaces, and `row`, the line in the file (int).

    Columns `image`, `patient` and `label`, and whatever else the file has; fields that are empty stay empty text.
    Raises StudyError where the file has not the structure of a manifest; what its fields say is not looked at.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"There is no manifest {path}.", ["correct the config key `dataset.manifest`; " + EXAMPLE])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = "the file is no UTF-8 text; in a spreadsheet program save it as `CSV UTF-8 (comma delimited)`"
        raise StudyError(f"The manifest {path} cannot be read.", [problem]) from None
    header, *records = _records(path, text) or [(1, [])]
    columns = header[1]
    problems = list(_column_problems(columns))
    if not problems and not records:
        problems = ["it lists no images; " + EXAMPLE]
    problems += [
        f"row {row}: {len(fields)} fields, but the header has {len(columns)}; put a field that holds a comma into "
        'double quotes ("...")'
        for row, fields in records
        if len(fields) != len(columns) and not problems
    ]
    if problems:
        raise StudyError(f"The manifest {path} cannot be read.", problems)
    frame = pd.DataFrame([fields for _, fields in records], columns=columns, dtype=str)
    frame["row"] = [row for row, _ in records]
    return frame


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


def inspect_images(frame: pd.DataFrame, root: str | Path, classes: Mapping[str, str], threads: int = 1) -> pd.DataFrame:
    """The index of a manifest's images, in its order; every image is decoded once.

    `frame` as of `read_manifest`, its paths relative to `root`; `classes` is {name: label}. Columns: `image`,
    `patient`, `label`, `class`, the manifest's others (`split` only where it says something), `sha256` of the file,
    `hash` (`images.perceptual_hash`), `width` and `height` in pixels. Raises one StudyError that lists every problem.
    """
    frame = frame.reset_index(drop=True)
    if "split" in frame and not frame["split"].any():
        frame = frame.drop(columns="split")
    problems = [*_field_problems(frame, classes), *_repetition_problems(frame)]
    inspect = partial(_inspect, Path(root))
    with ThreadPoolExecutor(threads) as pool:
        found = list(progress(pool.map(inspect, frame["image"]), "Reading images", total=len(frame)))
    problems += [(place, facts) for place, facts in enumerate(found) if isinstance(facts, str)]
    facts = pd.DataFrame([{} if isinstance(facts, str) else facts for facts in found], index=frame.index)
    if "sha256" in facts:
        problems += _copy_problems(frame, facts["sha256"])
    if problems:
        lines = [f"{_where(frame, place)}: {problem}" for place, problem in sorted(problems)]
        raise StudyError(f"The images cannot be used as they are (problems: {len(lines)}).", lines)
    names = {label: name for name, label in classes.items()}
    others = [column for column in frame if column not in (*REQUIRED, "row")]
    return pd.concat([frame[list(REQUIRED)], frame["label"].map(names).rename("class"), frame[others], facts], axis=1)


def write_index(
    output: str | Path,
    classes: Mapping[str, str],
    manifest: str | Path | None = None,
    folder: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Inspects the images of a manifest or of a folder per class and writes their index as CSV."""
    frame = read_manifest(manifest) if manifest is not None else list_folder(folder)
    index = inspect_images(frame, _root(manifest, folder), classes, threads)
    with replacing(output) as temporary:
        index.to_csv(temporary, index=False)


def read_index(path: str | Path) -> pd.DataFrame:
    """An index as written: text columns (a patient `007` stays so, a label `NA` too), `width` and `height` int."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.astype({"width": int, "height": int})


def write_images(
    index: str | Path,
    output: str | Path,
    size: int,
    channels: int,
    fit: str,
    manifest: str | Path | None = None,
    folder: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Writes the images of an index CSV as one array: uint8 [n, size, size, channels] in a .npy file, in its order.

    `fit` and `channels` as of `images.fit_image`; `manifest` or `folder` is where the index came from. The array need
    not fit into memory. Raises StudyError that lists the files that are no more what the index says.
    """
    from synthworth.images import decode, fit_image

    rows = read_index(index)
    root = _root(manifest, folder)

    def render(place: int, image: str, sha256: str) -> str | None:
        try:
            path = locate(root, image)
            if _sha256(path) != sha256:
                raise ValueError("the file has changed since it was inspected; restore it, or have the index made anew")
            pixels[place] = fit_image(decode(path), size, fit, channels)
        except (ValueError, OSError) as error:
            return f"{image}: {error}"
        return None

    with replacing(output) as temporary, ThreadPoolExecutor(threads) as pool:
        shape = (len(rows), size, size, channels)
        pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        results = pool.map(render, range(len(rows)), rows["image"], rows["sha256"])
        problems = [problem for problem in progress(results, "Rendering images", total=len(rows)) if problem]
        if problems:
            raise StudyError("Images are not as they were when they were inspected.", problems)
        pixels.flush()


def locate(root: Path, image: str) -> Path:
    """The file of a manifest's `image`, which must lie under `root`, links resolved; ValueError where it does not.

    A name is also found in the other Unicode form of its accents: macOS writes the one, most else the other.
    """
    if Path(image).is_absolute() or PureWindowsPath(image).drive:
        raise ValueError("an absolute path; give it relative to the manifest, and keep the images beside or under it")
    forms = [image, *(unicodedata.normalize(form, image) for form in ("NFC", "NFD"))]
    path = next((root / form for form in forms if (root / form).exists()), root / image)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            "the path (or what it links to) is outside of the manifest's folder; move or copy the image into it"
        )
    if not path.exists():
        hint = "write / between folders" if "\\" in image else "correct the path, or remove the row"
        raise ValueError(f"there is no such file; {hint}")
    if not path.is_file():
        raise ValueError("a folder, not a file; give a row to each of its images")
    return path


def _root(manifest: str | Path | None, folder: str | Path | None) -> Path:
    return Path(manifest).parent if manifest is not None else Path(folder)


def _records(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """The records of a CSV with the line that each begins in, fields stripped; records without any text left out."""
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    records, line = [], 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if any(stripped):
                records.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        problem = f"row {line}: {error}; check the double quotes from that row on"
        raise StudyError(f"The manifest {path} cannot be read.", [problem]) from None
    return records


def _column_problems(columns: list[str]) -> Iterator[str]:
    if not columns:
        yield "the file is empty; " + EXAMPLE
        return
    missing = [column for column in REQUIRED if column not in columns]
    delimiter = max(DELIMITERS, key=lambda mark: sum(column.count(mark) for column in columns))
    if missing and any(delimiter in column for column in columns):
        yield f"its columns are separated by {DELIMITERS[delimiter]}, not by commas; save it as a CSV with commas"
        return
    for column in missing:
        spelt = [name for name in columns if name.casefold() == column]
        hint = f"rename {spelt[0]!r}" if spelt else f"columns found: {', '.join(columns)}"
        yield f"column `{column}` is missing ({hint}); " + EXAMPLE
    for place, column in enumerate(columns):
        if not column:
            yield f"column {place + 1} has no name; name it, or delete it"
        elif column in columns[:place]:
            yield f"column `{column}` stands there twice; delete or rename one"
        elif column in RESERVED:
            yield f"column `{column}` has a name that the study uses itself; rename or delete it"


def _where(frame: pd.DataFrame, place: int) -> str:
    image = frame["image"][place] or "(no path)"
    return f"row {frame['row'][place]}, {image}" if frame["row"][place] else image


def _field_problems(frame: pd.DataFrame, classes: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    labels = list(classes.values())
    splits = frame["split"] if "split" in frame else ["train"] * len(frame)
    for place, (label, patient, split) in enumerate(zip(frame["label"], frame["patient"], splits, strict=True)):
        if not label:
            yield place, f"empty label; write one of {', '.join(labels)}, or remove the row"
        elif label not in labels:
            close = difflib.get_close_matches(label, labels, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the classes' labels are {', '.join(labels)}"
            yield place, f"label {label!r} is not in the config ({hint}); correct it, or add it to `dataset.classes`"
        if not patient:
            yield place, "empty patient; without it the splits cannot keep patients apart: write an id for each patient"
        if not split:
            yield place, "empty split, while other rows have one; fill the column in all rows, or delete it"
        elif split not in SPLITS:
            yield place, f"unknown split {split!r}; write one of {', '.join(SPLITS)}, or delete the column"


def _repetition_problems(frame: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Images that are listed twice, and patients in two splits."""
    images: dict[str, int] = {}
    patients: dict[str, int] = {}
    for place, image in enumerate(frame["image"]):
        first = images.setdefault(unicodedata.normalize("NFC", os.path.normpath(image)), place)
        if first != place and image:
            labels = frame["label"][first], frame["label"][place]
            said = "with two labels, {!r} and {!r}".format(*labels) if labels[0] != labels[1] else "already"
            yield place, f"the image stands {said} in {_where(frame, first)}; remove one of the rows"
    for place, patient in enumerate(frame["patient"] if "split" in frame else []):
        first = patients.setdefault(patient, place)
        splits = frame["split"][first], frame["split"][place]
        if patient and all(splits) and splits[0] != splits[1]:
            yield (
                place,
                f"patient {patient!r} is in split {splits[1]!r} here and in {splits[0]!r} in {_where(frame, first)}; "
                "put all images of a patient into one split",
            )


def _copy_problems(frame: pd.DataFrame, hashes: pd.Series) -> Iterator[tuple[int, str]]:
    """Files with the same content under two labels."""
    images = frame["image"].map(os.path.normpath)
    firsts: dict[str, int] = {}
    for place, digest in hashes.dropna().items():
        first = firsts.setdefault(digest, place)
        if images[first] != images[place] and frame["label"][first] != frame["label"][place]:
            labels = frame["label"][place], frame["label"][first]
            said = "labelled {!r} here and {!r} in".format(*labels)
            yield place, f"the same picture is {said} {_where(frame, first)}; keep the row whose label is right"


def _inspect(root: Path, image: str) -> dict[str, str | int] | str:
    """What the index says of an image, or what is wrong with it."""
    from synthworth.images import decode, perceptual_hash

    try:
        if not image:
            raise ValueError("empty image path; fill it in, or remove the row")
        path = locate(root, image)
        pixels = decode(path)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot be opened ({error.strerror}); check the file and who may read it"
    height, width = pixels.shape[:2]
    return {"sha256": _sha256(path), "hash": perceptual_hash(pixels), "width": width, "height": height}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
