"""What extractors do to pixels before a network sees them."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images [n, height, width, c] with 1 or 3 channels: grey is repeated, colour becomes its luma (ITU-R 601)."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    return np.rint(images @ np.array([[0.299], [0.587], [0.114]])).astype(np.uint8)


def middle(images: np.ndarray, side: int, short: int) -> np.ndarray:
    """The middle square [n, side, side, c] of uint8 images whose short side was made `short` >= `side` pixels.

    By Pillow's bicubic filter; the long side is rounded down, and so is the place of the square.
    """
    height, width = images.shape[1:3]
    scaled = tuple(int(short * length / min(height, width)) for length in (height, width))
    top, left = ((length - side) // 2 for length in scaled)
    result = np.empty((len(images), side, side, images.shape[-1]), np.uint8)
    for image, target in zip(images, result, strict=True):
        for channel in range(image.shape[-1]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            plane = np.asarray(plane.resize(scaled[::-1], Image.Resampling.BICUBIC))
            target[..., channel] = plane[top : top + side, left : left + side]
    return result


def standardised(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """float32 [n, 3, height, width] of uint8 images [n, height, width, 1 or 3]: scaled to [0, 1], less `mean`, over
    `std` (of red, green and blue)."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
