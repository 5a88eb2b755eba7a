"""Ways to spoil a set of real images by a known amount.

A severity is a number in [0, 1]; 0 leaves the images as they are. Severities are nested: what a small one spoils, a
greater one spoils too, and no two differ by luck.

- `blur`: Gaussian, of a standard deviation up to `BLUR` times the images' width.
- `noise`: Gaussian, of a standard deviation up to `NOISE` grey levels, one field for all channels, as a grey image has.
- `mode_drop`: the severity's share of the images is replaced by repeats of `MODES` of them.
- `class_mix`: the share is replaced by images of other classes.
- `copies`: the share is replaced by images of the reference, as by a generator that has learnt them by heart.
"""

import cv2
import numpy as np

from synthworth.errors import StudyError
from synthworth.seeds import seed as seed_of

PIXELS = ("blur", "noise")
COMPOSITIONS = ("mode_drop", "class_mix", "copies")
KINDS = PIXELS + COMPOSITIONS
BLUR = 0.04
NOISE = 40.0
MODES = 3


def degrade_pixels(images: np.ndarray, kind: str, severity: float, seed: int) -> np.ndarray:
    """Each image [n, height, width, channels] spoilt for itself, by `blur` or `noise`, as uint8."""
    _check_severity(severity)
    if severity == 0:
        return images.copy()
    spoilt = np.empty_like(images)
    if kind == "blur":
        deviation = severity * BLUR * images.shape[2]
        for image, target in zip(images, spoilt, strict=True):
            target[:] = cv2.GaussianBlur(image, (0, 0), deviation, borderType=cv2.BORDER_REFLECT).reshape(image.shape)
    elif kind == "noise":
        for place, (image, target) in enumerate(zip(images, spoilt, strict=True)):
            random = np.random.default_rng(seed_of(seed, "noise", place))
            field = random.standard_normal((*image.shape[:2], 1), dtype=np.float32)
            target[:] = np.clip(np.rint(image + severity * NOISE * field), 0, 255)
    else:
        raise ValueError(f"{kind!r} is none of {PIXELS}")
    return spoilt


def replaced_rows(n: int, kind: str, severity: float, seed: int, others: int = 0) -> np.ndarray:
    """Which images a degraded set consists of, int [n]: rows of the n images followed by the others.

    Rows keep their places; round(severity n) of them, chosen by the seed, point elsewhere. Others, images of other
    classes (`class_mix`) or of the reference (`copies`), come once each before any comes again. StudyError where there
    are none, or no images at all.
    """
    _check_severity(severity)
    if kind not in COMPOSITIONS:
        raise ValueError(f"{kind!r} is none of {COMPOSITIONS}")
    if n < 1 or (kind != "mode_drop" and others < 1):
        what = "images" if n < 1 else {"class_mix": "images of another class", "copies": "reference images"}[kind]
        raise StudyError("A set of images cannot be degraded.", [f"{kind}: there are no {what}"])
    random = np.random.default_rng(seed_of(seed, kind))
    order = random.permutation(n)
    # Repeated are those that are replaced last, so that they are in the set at every severity.
    sources = order[-MODES:] if kind == "mode_drop" else n + random.permutation(others)
    replaced = order[: round(severity * n)]
    rows = np.arange(n)
    rows[replaced] = sources[np.arange(len(replaced)) % len(sources)]
    return rows


def _check_severity(severity: float) -> None:
    if not 0 <= severity <= 1:
        raise ValueError(f"a severity lies in [0, 1], not {severity}")
