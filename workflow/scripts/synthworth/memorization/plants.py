"""Planted copies: training images, as they are and changed as a generator's copies are, by which power is measured."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from synthworth.seeds import seed as seed_of

PLANT_COLUMNS = ["perturbation", "strength", "source"]

# Of each perturbation the strengths, from mild to what is hard to see through. Shifts, crops and blurs are
# shares of the image's side, brightness and noise (standard deviation) of the grey range, JPEG its quality.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "exact": (0,),
    "flip": (0,),
    "shift": (0.03, 0.08),
    "brightness": (0.15, 0.4),
    "jpeg": (30, 5),
    "crop": (0.05, 0.2),
    "noise": (0.04, 0.15),
    "blur": (0.01, 0.03),
    "combined": (0,),
}


def plant_copies(images: np.ndarray, seed: int, sources: int = 50) -> tuple[np.ndarray, pd.DataFrame]:
    """Copies of `sources` of the images (of all, if fewer), drawn by `seed`, with every perturbation and strength.

    `images` are uint8 [n, height, width, 1 or 3]. Gives the copies, uint8 [plants, height, width, channels], and a row
    for each: `perturbation`, `strength`, and `source`, the place in `images` of what it is a copy of.
    """
    generator = np.random.default_rng(seed_of(seed, "plants"))
    places = np.sort(generator.choice(len(images), min(sources, len(images)), replace=False))
    rows = [
        (name, strength, place) for name, strengths in STRENGTHS.items() for strength in strengths for place in places
    ]
    copies = np.stack(
        [
            perturb(
                images[place], name, strength, np.random.default_rng(seed_of(seed, name, str(strength), int(place)))
            )
            for name, strength, place in rows
        ]
    )
    return copies, pd.DataFrame(rows, columns=PLANT_COLUMNS)


def perturb(image: np.ndarray, name: str, strength: float, generator: np.random.Generator) -> np.ndarray:
    """An image, uint8 [height, width, channels], changed by the perturbation of a name; directions are drawn."""
    changed = _PERTURBATIONS[name](image, strength, generator)
    return np.ascontiguousarray(changed).reshape(image.shape)


def _shift(image: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    across, down = generator.choice([-1, 1], 2) * share * np.array([width, height])
    move = np.array([[1, 0, across], [0, 1, down]], np.float32)
    return cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _brightness(image: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Brighter or darker, with as much less contrast."""
    level = 255 * share * generator.choice([-1, 1])
    return _as_image(127.5 + (image - 127.5) * (1 - share) + level)


def _jpeg(image: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.imdecode(code, cv2.IMREAD_UNCHANGED)


def _crop(image: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """What is left when a share of the side is cut off, from a random side more than from the other, enlarged."""
    height, width = image.shape[:2]
    top, left = (round(length * share * generator.uniform(0.25, 0.75)) for length in (height, width))
    part = image[top : top + round(height * (1 - share)), left : left + round(width * (1 - share))]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)


def _noise(image: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    return _as_image(image + generator.normal(0, 255 * share, image.shape))


def _blur(image: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), share * image.shape[0])


def _combined(image: np.ndarray, _: float, generator: np.random.Generator) -> np.ndarray:
    for name, strength in [("flip", 0), ("crop", 0.05), ("shift", 0.03), ("brightness", 0.15), ("noise", 0.04)]:
        image = perturb(image, name, strength, generator)
    return image


def _as_image(values: np.ndarray) -> np.ndarray:
    return np.clip(values.round(), 0, 255).astype(np.uint8)


_PERTURBATIONS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "exact": lambda image, _, __: image,
    "flip": lambda image, _, __: image[:, ::-1],
    "shift": _shift,
    "brightness": _brightness,
    "jpeg": _jpeg,
    "crop": _crop,
    "noise": _noise,
    "blur": _blur,
    "combined": _combined,
}
