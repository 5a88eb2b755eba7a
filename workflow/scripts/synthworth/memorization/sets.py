"""A set of images as the audit takes it: features, pixels, and the names by which results are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from synthworth.errors import StudyError

SMALLEST_SIDE = 8


# Sets are told apart by being another one, so that what is made of one can be kept for it.
@dataclass(frozen=True, eq=False)
class ImageSet:
    """`features` float [n, d] of one extractor, `pixels` uint8 [n, height, width, 1 or 3], and for real images their
    `names` and `patients`, [n] each; by default an image is named by its place, and its patient is `image <name>`.
    """

    features: np.ndarray
    pixels: np.ndarray
    names: Sequence[str] = field(default=())
    patients: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.pixels)
        object.__setattr__(self, "names", list(self.names) or [str(place) for place in range(n)])
        object.__setattr__(self, "patients", list(self.patients) or [f"image {name}" for name in self.names])

    def __len__(self) -> int:
        return len(self.pixels)


def subset(images: ImageSet, rows: np.ndarray) -> ImageSet:
    """Some images of a set."""
    return ImageSet(
        images.features[rows],
        images.pixels[rows],
        [images.names[row] for row in rows],
        [images.patients[row] for row in rows],
    )


def check_sets(sets: Mapping[str, tuple[ImageSet, int]]) -> None:
    """StudyError that names all that is wrong with sets given by name, each with the fewest images it needs."""
    problems = []
    for name, (images, fewest) in sets.items():
        problems += _problems(name, images, fewest)
    widths = {name: images.features.shape[1] for name, (images, _) in sets.items() if images.features.ndim == 2}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{width} ({name})" for name, width in widths.items())
        problems.append(f"features per image differ: {listed}; two extractors made them, extract all anew with one")
    if problems:
        raise StudyError("The memorisation audit is not defined on these images.", problems)


def _problems(name: str, images: ImageSet, fewest: int) -> list[str]:
    features, pixels = images.features, images.pixels
    if features.ndim != 2:
        return [f"{name}: features have shape {features.shape}, not [n, d]"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        return [f"{name}: pixels are {pixels.dtype} {pixels.shape}, not uint8 [n, height, width, 1 or 3]"]
    problems = []
    lengths = {len(features), len(pixels), len(images.names), len(images.patients)}
    if len(lengths) > 1:
        counts = f"{len(features)} features, {len(images.names)} names and {len(images.patients)} patients"
        problems.append(f"{name}: {len(pixels)} images, but {counts}; make features and index anew from the images")
    if len(pixels) < fewest:
        problems.append(f"{name}: {len(pixels)} image(s), at least {fewest} needed; give the class more images")
    elif min(pixels.shape[1:3]) < SMALLEST_SIDE:
        problems.append(f"{name}: images of {pixels.shape[1:3]} pixels; give {SMALLEST_SIDE} or more a side")
    bad = np.count_nonzero(~np.isfinite(features).all(axis=1))
    if bad:
        problems.append(
            f"{name}: features of {bad} of {len(features)} images are not finite; check the extractor's weights"
        )
    return problems
