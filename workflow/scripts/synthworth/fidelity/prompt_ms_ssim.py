"""MS-SSIM within prompt: how alike the images are that were asked for with the same words; lower is more diverse.

As in Chambon et al. 2022 (RoentGen, section 5: kernel 11, sigma 1.5), whose numbers are those of
`pytorch_msssim.ms_ssim(data_range=1)` on pairs of grey images of 512 pixels: the mean over the pairs of a prompt, then
over prompts. Other than in the other paper's (`ms_ssim`, by torchmetrics' definition) the last scale's SSIM, too, is a
mean over the pixels whose window lies inside the image. Images are compared as they are there, statistics made once per
image: on a processor some 20 times as fast as the package.

The paper draws four images of each prompt. Here all pairs of a prompt count, however many its images are, and each
prompt counts once; images that share their prompt with none do not. Images asked for by their class alone (an empty
prompt, or one prompt for a class) all share it. Images of other sizes are resized to 512 pixels, so that generators of
different sizes, and real images, can be compared; of fewer than 161 the package has no value at all.
"""

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np

from synthworth.errors import StudyError
from synthworth.fidelity.ms_ssim import check_images, ms_ssim_pairs

READS = "prompted"
HAS_REFERENCE = False
NAMES = ("prompt_ms_ssim",)
SCALES = ("unit",)

SIZE = 512


def prompt_ms_ssim(synthetic: np.ndarray) -> float:
    """The mean over prompts, in [0, 1], of the mean MS-SSIM of a prompt's pairs.

    `synthetic` is a structured array [n] with the fields `image` (uint8 [height, width, 1 or 3]) and `prompt` (text),
    or the images alone, [n, height, width, 1 or 3], which then share one prompt. StudyError where no two share one.
    """
    return on_subsets(synthetic)(np.arange(len(synthetic)))


def on_subsets(synthetic: np.ndarray) -> Callable[[np.ndarray], float]:
    """A function of rows (each at most once): the score of those, from pairs made once."""
    images, prompts = _parts(synthetic)
    check_images(images)
    numbers = np.unique(prompts, return_inverse=True)[1]
    groups = [np.flatnonzero(numbers == number) for number in range(numbers.max(initial=-1) + 1)]
    pairs = np.array([pair for group in groups for pair in combinations(group, 2)], int).reshape(-1, 2)
    prompt_of_pair = np.repeat(np.arange(len(groups)), [len(group) * (len(group) - 1) // 2 for group in groups])
    values = [ms_ssim_pairs(_grey(images[group]), SIZE, reflected=False) for group in groups if len(group) > 1]
    values = np.concatenate([*values, []])

    def value(rows: np.ndarray) -> float:
        kept = np.isin(pairs, rows).all(axis=1)
        if not kept.any():
            problem = "no two of the images share their prompt; raise fidelity.images"
            raise StudyError("MS-SSIM within prompt is not defined on this set.", [problem])
        counts = np.bincount(prompt_of_pair[kept])
        sums = np.bincount(prompt_of_pair[kept], values[kept])
        return float(np.mean(sums[counts > 0] / counts[counts > 0]))

    return value


def _parts(synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if synthetic.dtype.names:
        return synthetic["image"], synthetic["prompt"]
    return synthetic, np.zeros(len(synthetic), int)


def _grey(images: np.ndarray) -> np.ndarray:
    """uint8 [n, height, width, 1]."""
    if images.shape[-1] == 1:
        return images
    return np.stack([cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in images])[..., None]
