"""Pictures of images as one might meet them in the wild, and captions that say what was done to them.

A base model learns from these what such images look like and that words matter, without the names of classes.
"""

import itertools

import numpy as np
import torch

# Factor and offset on grey values in [-1, 1].
EXPOSURES = {"clear": (1.0, 0.0), "dark": (0.4, -0.5), "pale": (0.4, 0.5)}
TONES = {"positive": 1, "negative": -1}
# Range of their number, and of their radius in image sides.
SPOTS = {
    "without spots": ((0, 0), (0.0, 0.0)),
    "with one large spot": ((1, 1), (0.08, 0.13)),
    "with many small spots": ((4, 7), (0.030, 0.045)),
}
# How much of the image a spot covers at its middle, and the grey value there.
COVER = (0.6, 1.0)
SPOT_VALUE = 0.75
# Spots keep this far from the image's border, in image sides.
MARGIN = 0.15

CAPTIONS = tuple(
    f"a {exposure} {tone} picture, {spots}" for exposure, tone, spots in itertools.product(EXPOSURES, TONES, SPOTS)
)


def draw_pictures(images: np.ndarray, count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """`count` pictures, uint8 [count, 3, size, size], of uint8 images [n, size, size, 1 or 3], and their captions.

    All images come equally often, to one. Exposure, tone and spots are drawn for each picture, all equally likely.
    """
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(len(images)) for _ in range(-(-count // len(images)))])[:count]
    pictures = np.empty((count, *images.shape[1:3], 3), np.uint8)
    captions = []
    for picture, row in zip(pictures, order, strict=True):
        exposure, tone, spots = (str(generator.choice(list(names))) for names in (EXPOSURES, TONES, SPOTS))
        cover = _spots(generator, images.shape[1], *SPOTS[spots]) * generator.uniform(*COVER)
        values = images[row] / 127.5 - 1
        values = TONES[tone] * (values * (1 - cover) + SPOT_VALUE * cover)
        factor, offset = EXPOSURES[exposure]
        picture[:] = np.rint((np.clip(factor * values + offset, -1, 1) + 1) * 127.5)
        captions.append(f"a {exposure} {tone} picture, {spots}")
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), captions


def _spots(
    generator: np.random.Generator, size: int, number: tuple[int, int], radius: tuple[float, float]
) -> np.ndarray:
    """How much spots at random places cover of each pixel: float [size, size, 1] in [0, 1]."""
    y, x = (np.arange(size)[:, None] + 0.5) / size, (np.arange(size)[None, :] + 0.5) / size
    cover = np.zeros((size, size))
    for _ in range(generator.integers(number[0], number[1] + 1)):
        middle_y, middle_x = generator.uniform(MARGIN, 1 - MARGIN, 2)
        distance = ((y - middle_y) ** 2 + (x - middle_x) ** 2) / generator.uniform(*radius) ** 2
        cover = np.maximum(cover, np.exp(-distance))
    return cover[..., None]
