"""Augmentation of classifier images: Table 4 of Schaudt et al. 2023, with Albumentations."""

import os
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthworth.seeds import seed

if TYPE_CHECKING:
    import albumentations

# Albumentations looks for a newer version of itself on the network at import: a stall on a machine without one.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# uint8 image [size, size, 3], epoch, position in the training set -> uint8 [size, size, 3].
Transform = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class SeededTransform:
    """A pipeline of Albumentations whose random numbers depend on run, epoch and position alone."""

    pipeline: "albumentations.Compose"
    run_seed: int

    def __call__(self, image: np.ndarray, epoch: int, position: int) -> np.ndarray:
        """The augmented image of a position in an epoch."""
        # Albumentations ignores the seeds of numpy, random and torch, and repeats its own stream in every worker. Its
        # `set_random_seed` would start each transform's own stream anew, at one number: all choices would be the same.
        own = seed(self.run_seed, "augmentation", epoch, position)
        self.pipeline.set_random_state(np.random.default_rng(own), random.Random(own))
        return self.pipeline(image=image)["image"]


def training_augmentation(
    *,
    shift_limit: float,
    scale_limit: float,
    rotate_limit: float,
    clahe_clip_limit: float,
    clahe_grid: int,
    brightness_limit: float,
    contrast_limit: float,
    gamma_limit: tuple[float, float],
    sharpen_alpha: tuple[float, float],
    sharpen_lightness: tuple[float, float],
    blur_limit: int,
    hue_shift_limit: float,
    saturation_shift_limit: float,
    value_shift_limit: float,
    one_of_probability: float,
    run_seed: int,
) -> SeededTransform:
    """The paper's augmentation (Table 4 but for the resize, which was done before), seeded for each image.

    An affine map always (shift and scale as fractions, rotation in degrees, black border); then with
    `one_of_probability` (0.9) each: CLAHE, brightness and contrast, or gamma (in percent); sharpen, blur or motion
    blur (kernels from 3 to `blur_limit` pixels); brightness and contrast, or hue, saturation and value (of 255).
    Images stay uint8: `normalised` does the rest. The result is a function of image, `run_seed`, epoch and position
    alone: the same in 0, 1 or 2 workers, another in each epoch.
    """
    # Only training needs them: evaluation starts without.
    import albumentations
    import cv2

    brightness_and_contrast = {
        "brightness_limit": brightness_limit,
        "contrast_limit": contrast_limit,
        "brightness_by_max": True,
        "p": 1.0,
    }
    with warnings.catch_warnings():
        # It advises `Affine` in place of `ShiftScaleRotate`; the paper's transform it is.
        warnings.filterwarnings("ignore", message="ShiftScaleRotate is a special case")
        affine = albumentations.ShiftScaleRotate(
            shift_limit=shift_limit,
            scale_limit=scale_limit,
            rotate_limit=rotate_limit,
            border_mode=cv2.BORDER_CONSTANT,
            fill=0,
            p=1.0,
        )
    pipeline = albumentations.Compose(
        [
            affine,
            albumentations.OneOf(
                [
                    albumentations.CLAHE(clip_limit=clahe_clip_limit, tile_grid_size=(clahe_grid, clahe_grid), p=1.0),
                    albumentations.RandomBrightnessContrast(**brightness_and_contrast),
                    albumentations.RandomGamma(gamma_limit=tuple(gamma_limit), p=1.0),
                ],
                p=one_of_probability,
            ),
            albumentations.OneOf(
                [
                    albumentations.Sharpen(alpha=tuple(sharpen_alpha), lightness=tuple(sharpen_lightness), p=1.0),
                    albumentations.Blur(blur_limit=blur_limit, p=1.0),
                    albumentations.MotionBlur(blur_limit=blur_limit, p=1.0),
                ],
                p=one_of_probability,
            ),
            albumentations.OneOf(
                [
                    albumentations.RandomBrightnessContrast(**brightness_and_contrast),
                    albumentations.HueSaturationValue(
                        hue_shift_limit=hue_shift_limit,
                        sat_shift_limit=saturation_shift_limit,
                        val_shift_limit=value_shift_limit,
                        p=1.0,
                    ),
                ],
                p=one_of_probability,
            ),
        ]
    )

    return SeededTransform(pipeline, run_seed)
