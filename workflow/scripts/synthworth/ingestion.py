"""Ingestion: the images of a manifest, each decoded and checked, become an index and then arrays.

All that is wrong with a manifest's rows and images is found here, at once, before anything is trained.
"""

import difflib
import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from synthworth.errors import StudyError, counted
from synthworth.files import replacing
from synthworth.findings import MASKED, Unmentioned
from synthworth.images import decode, fit_image, perceptual_hash
from synthworth.manifest import REQUIRED, SPLITS, list_folder, read_index, read_manifest
from synthworth.progress import progress


def inspect_images(
    frame: pd.DataFrame,
    root: str | Path,
    classes: Mapping[str, str],
    threads: int = 1,
    external: bool = False,
    findings: Sequence[str] = (),
) -> pd.DataFrame:
    """The index of a manifest's images, in its order; every image is decoded once.

    `frame` as of `read_manifest`, its paths relative to `root`; `classes` is {name: label}; `findings` are columns.
    Columns: `image`, `patient`, `label`, `class`, the manifest's others (`split` only where it says something),
    `sha256` of the file, `hash` (`images.perceptual_hash`), `width` and `height` in pixels. Those of an `external` test
    set are all of one split, whatever theirs says, and need not be of all classes. Raises one StudyError that lists
    every problem: what is wrong with a file for each file, what rows say for each thing that they say.
    """
    frame = frame.reset_index(drop=True)
    if "split" in frame and (external or not frame["split"].any()):
        frame = frame.drop(columns="split")
    said = [*_field_problems(frame, classes, external), *_repetition_problems(frame)]
    inspect = partial(_inspect, Path(root))
    with ThreadPoolExecutor(threads) as pool:
        found = list(progress(pool.map(inspect, frame["image"]), "Reading images", total=len(frame)))
    files = [([place], facts) for place, facts in enumerate(found) if isinstance(facts, str)]
    facts = pd.DataFrame([{} if isinstance(facts, str) else facts for facts in found], index=frame.index)
    if "sha256" in facts:
        said += _copy_problems(frame, facts["sha256"], findings)
    problems = sorted([*files, *_by_problem(said)])
    absent = [label for label in classes.values() if label not in set(frame["label"]) and not external]
    if problems or absent:
        lines = [f"{_where(frame, places)}: {problem}" for places, problem in problems]
        lines += [
            f"no image has the label {label!r}; take it out of `dataset.classes`, or add images" for label in absent
        ]
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
    external: bool = False,
    findings: Sequence[str] = (),
    unmentioned: Unmentioned = "absent",
) -> None:
    """Inspects the images of a manifest or of a folder per class, as of `inspect_images`, and writes their index.

    `findings` and `unmentioned` are as of `read_manifest`.
    """
    read = partial(read_manifest, findings=findings, unmentioned=unmentioned)
    frame = read(manifest) if manifest is not None else list_folder(folder)
    index = inspect_images(frame, _root(manifest, folder), classes, threads, external, findings)
    with replacing(output) as temporary:
        index.to_csv(temporary, index=False)


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


def _by_problem(problems: Iterable[tuple[int, str]]) -> Iterator[tuple[list[int], str]]:
    """Each problem once, with all places that have it."""
    places: dict[str, list[int]] = {}
    for place, problem in sorted(problems):
        places.setdefault(problem, []).append(place)
    for problem, own in places.items():
        yield own, problem


def _where(frame: pd.DataFrame, places: Sequence[int]) -> str:
    images = [frame["image"][place] or "(no path)" for place in places]
    rows = [frame["row"][place] for place in places]
    if len(places) > 1:
        return counted(rows) if all(rows) else counted(images, "image")
    return f"row {rows[0]}, {images[0]}" if rows[0] else images[0]


def _field_problems(frame: pd.DataFrame, classes: Mapping[str, str], external: bool) -> Iterator[tuple[int, str]]:
    labels = list(classes.values())
    # Classes hang on what was trained on, not on what is tested.
    if external:
        remedy = "remove the row"
    else:
        left = "rows of {} out of the manifest" if frame["row"].all() else "images of {} out of the folder"
        remedy = f"add it to `dataset.classes`; leave {left.format('labels that are not to be studied')}"
    splits = frame["split"] if "split" in frame else ["train"] * len(frame)
    for place, (label, patient, split) in enumerate(zip(frame["label"], frame["patient"], splits, strict=True)):
        if not label:
            yield place, f"empty label; write one of {', '.join(labels)}, or remove the row"
        elif label not in labels:
            close = difflib.get_close_matches(label, labels, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the classes' labels are {', '.join(labels)}"
            yield place, f"label {label!r} is not in the config ({hint}); correct it, or {remedy}"
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
            yield place, f"the image stands {said} in {_where(frame, [first])}; remove one of the rows"
    for place, patient in enumerate(frame["patient"] if "split" in frame else []):
        first = patients.setdefault(patient, place)
        splits = frame["split"][first], frame["split"][place]
        if patient and all(splits) and splits[0] != splits[1]:
            yield (
                place,
                f"patient {patient!r} is in split {splits[1]!r} here and in {splits[0]!r} in {_where(frame, [first])}; "
                "put all images of a patient into one split",
            )


def _copy_problems(frame: pd.DataFrame, hashes: pd.Series, findings: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Files with the same content under two labels, or with a finding in one row and without it in another."""
    images = frame["image"].map(os.path.normpath)
    firsts: dict[str, int] = {}
    for place, digest in hashes.dropna().items():
        first = firsts.setdefault(digest, place)
        if images[first] == images[place]:
            continue
        if frame["label"][first] != frame["label"][place]:
            labels = frame["label"][place], frame["label"][first]
            said = "labelled {!r} here and {!r} in".format(*labels)
            yield place, f"the same picture is {said} {_where(frame, [first])}; keep the row whose label is right"
        for name in findings:
            here, there = frame[name][place], frame[name][first]
            if here != there and MASKED not in (here, there):
                said = f"has `{name}` {here} here and {there} in {_where(frame, [first])}"
                yield place, f"the same picture {said}; keep the row that is right"


def _inspect(root: Path, image: str) -> dict[str, str | int] | str:
    """What the index says of an image, or what is wrong with it."""
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
