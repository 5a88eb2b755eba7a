"""Images that someone else made, brought in once: each class becomes a folder that stands for a checkpoint."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth import seeds
from synthworth.duplicates import near_own_images
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.images import decode, fit_image, perceptual_hash
from synthworth.manifest import read_index
from synthworth.outside_sources import OutsideImage, find_class
from synthworth.progress import progress

# What stands for a checkpoint: uint8 [n, size, size, channels], and a row per image (its place in the source, the
# SHA-256 of its file, its perceptual hash, its width and height there).
IMAGES = "images.npy"
ROWS = "images.csv"
COLUMNS = ["image", "sha256", "hash", "width", "height"]
REMEDY = "add images, or lower `fidelity.images` and `per_class` in the arms of this generator"


def import_images(
    source: str | Path,
    index: str | Path,
    splits: Sequence[str | Path],
    checkpoint: str | Path,
    *,
    name: str,
    classes: Mapping[str, str],
    size: int,
    fit: str,
    channels: int,
    seed: int,
    needed: int,
    threads: int = 1,
) -> None:
    """Writes all images of the class `name` in `source` as the folder `checkpoint`, in an order drawn from `seed`.

    So the first 100 are 100 at random, and are among the first 200. `source` and `classes` are as of
    `outside_sources.find_class`; images are decoded and fitted to `size` px as the real ones are (`images.fit_image`).
    Raises one StudyError that lists every problem: for all classes a layout that cannot be read and fewer images than
    are `needed`; for this one files that cannot be read, those that are, byte for byte, real images of the study
    (`index`, the CSV of all of them), and those that are nearly the same as one of its test images: whichever are in
    none of `splits`, the CSVs of the others (no CSV where folds test on all images). The log names those that are
    nearly the same as an image of `select`.
    """
    listed = {each: find_class(source, each, classes) for each in classes}
    problems = list(dict.fromkeys(problem for found in listed.values() for problem in found.problems))
    problems += [
        f"class {each}: {found.count} images, but {needed} are needed; {REMEDY}"
        for each, found in listed.items()
        if found.count < needed and not found.problems
    ]
    own = _with_splits(index, splits)
    render = partial(_render, real=own.set_index("sha256")["image"].to_dict(), size=size, fit=fit, channels=channels)
    count = listed[name].count
    ranks = np.random.default_rng(seeds.seed(seed, "order")).permutation(count)
    facts: list[dict[str, str | int]] = [{}] * count
    with replacing(checkpoint) as folder, ThreadPoolExecutor(threads) as pool:
        folder.mkdir()
        pixels = _empty_images(folder / IMAGES, (count, size, size, channels))
        rendered = (image for batch in listed[name].batches for image in pool.map(render, batch))
        for rank, image in zip(ranks, progress(rendered, f"Reading {name}", total=count), strict=True):
            if isinstance(image, str):
                problems.append(image)
            else:
                pixels[rank], facts[rank] = image
        # Nothing is known of a file that cannot be read, and of no image whose it is.
        rows = pd.DataFrame([known for known in facts if known], columns=COLUMNS)
        near = near_own_images(rows.assign(patient=""), own)
        problems += _leaks(near)
        if problems:
            raise StudyError(
                f"The images in {source} cannot be used as they are (problems: {len(problems)}).", problems
            )
        rows.to_csv(folder / ROWS, index=False)
    _report(name, rows, size, near, listed[name].ignored)


def _with_splits(index: str | Path, splits: Sequence[str | Path]) -> pd.DataFrame:
    """The index of all images of the study, with the split of each; those in none of `splits` are test images."""
    split_of = {image: split for path in splits for image, split in read_index(path)[["image", "split"]].to_numpy()}
    images = read_index(index)
    return images.assign(split=[split_of.get(image, "test") for image in images["image"]])


def _leaks(near: pd.DataFrame) -> list[str]:
    """What is wrong with images that are nearly the same as test images, from pairs as of `near_own_images`."""
    return [
        f"{row.image}: nearly the same picture as the study's own {row.own_image}, a test image ({row.distance} of 256 "
        "bits differ); remove it here"
        for row in near[near["own_split"] == "test"].drop_duplicates("image").itertuples()
    ]


def _render(
    image: OutsideImage, real: Mapping[str, str], size: int, fit: str, channels: int
) -> tuple[np.ndarray, dict[str, str | int]] | str:
    """The image as the study sees it and what is recorded of it; or what is wrong with it."""
    try:
        data = image.read()
        digest = hashlib.sha256(data).hexdigest()
        if digest in real:
            raise ValueError(f"the file is a real image of the study itself, {real[digest]}; remove it here")
        pixels = decode(image.file) if image.file is not None else _decode_bytes(data, image.suffix)
    except ValueError as error:
        return f"{image.place}: {error}"
    except OSError as error:
        return f"{image.place}: cannot be opened ({error.strerror}); check the file and who may read it"
    height, width = pixels.shape[:2]
    record = dict(zip(COLUMNS, (image.place, digest, perceptual_hash(pixels), width, height), strict=True))
    return fit_image(pixels, size, fit, channels), record


def _decode_bytes(data: bytes, suffix: str) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        return decode(file.name)


def _empty_images(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An array in a file, so that it need not fit into memory. (Of no images there is nothing to map.)"""
    return np.lib.format.open_memmap(path, "w+", np.uint8, shape) if shape[0] else np.empty(shape, np.uint8)


def _report(name: str, rows: pd.DataFrame, size: int, near: pd.DataFrame, ignored: Sequence[str]) -> None:
    """What a reader of the log may want to know of a class's images."""
    print(f"{len(rows)} images of class {name}.")
    widths, heights = ([rows[side].min(), rows[side].max()] for side in ("width", "height"))
    print("  {} to {} px wide, {} to {} px high".format(*widths, *heights))
    if enlarged := int((rows[["width", "height"]].min(axis=1) < size).sum()):
        print(f"  {enlarged} are smaller than {size} px and are enlarged")
    if copies := int(rows["sha256"].duplicated().sum()):
        print(f"  {copies} are copies, byte for byte, of others among them")
    for row in near[near["own_split"] == "select"].drop_duplicates("image").itertuples():
        print(
            f"  {row.image} is nearly the same picture as the study's own {row.own_image}, by which checkpoints and "
            f"classifiers are chosen ({row.distance} of 256 bits differ)"
        )
    for what in ignored:
        print(f"Ignored, no class of this study: {what}")
