"""MS-SSIM: how alike the images of a set are, the mean over all its pairs; lower is more diverse.

As in Schaudt et al. 2023 (section 3.1; kernel 11, sigma 1.5), whose numbers are torchmetrics'
`MultiScaleStructuralSimilarityIndexMeasure(data_range=255)` on images of 299 pixels. That definition is kept to its
details (Wang, Simoncelli and Bovik 2003 leave them open): the contrast terms are means over the pixels whose window
lies inside the image, the last scale's SSIM is one over the whole, reflected at its borders; halving drops odd rows
and columns; negative terms count as 0. Other packages differ by up to 0.04.

Not its way: of the five blurs a pair needs, four concern one image, and are made once per image here, not once per
pair; the fifth, of the product, is separable. One channel of a grey image stands for all three. Everything a pair
touches stays in the processor's cache. OpenCV's threads are the process's own affair.
"""

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np

from synthworth.errors import StudyError
from synthworth.resizing import resize

READS = "images"
HAS_REFERENCE = False
NAMES = ("ms_ssim",)
SCALES = ("unit",)

SIZE = 299
WINDOW = 11
SIGMA = 1.5
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LUMINANCE_CONSTANT = (0.01 * 255) ** 2
CONTRAST_CONSTANT = (0.03 * 255) ** 2


def ms_ssim(images: np.ndarray) -> float:
    """The mean MS-SSIM, in [0, 1], over all pairs of uint8 images [n, height, width, 1 or 3]; StudyError for n < 2."""
    return on_subsets(images)(np.arange(len(images)))


def on_subsets(images: np.ndarray) -> Callable[[np.ndarray], float]:
    """A function of rows: the mean MS-SSIM over all pairs of those, from pairs made once."""
    pairs = np.zeros((len(images), len(images)))
    pairs[np.triu_indices(len(images), 1)] = ms_ssim_pairs(images)
    pairs += pairs.T

    def value(rows: np.ndarray) -> float:
        if len(rows) < 2:
            raise StudyError("MS-SSIM is not defined on this set.", [f"{len(rows)} image(s), at least 2 are needed"])
        return float(pairs[np.ix_(rows, rows)].sum() / (len(rows) * (len(rows) - 1)))

    return value


def ms_ssim_pairs(images: np.ndarray, size: int = SIZE, reflected: bool = True) -> np.ndarray:
    """MS-SSIM in [0, 1] of each pair, float64 [n (n - 1) / 2], in the order of `itertools.combinations`.

    `images` are uint8 [n, height, width, 1 or 3] of any size; they are resized to `size` pixels first. `reflected`:
    whether the last scale's SSIM is one over the whole image, or, as the contrasts, over the pixels whose window lies
    inside it.
    """
    check_images(images)
    planes = _planes(images, size)
    # Contrast does not see a shift of an image; about its own mean, single precision loses the least.
    levels = planes.mean(axis=(2, 3), keepdims=True)
    planes -= levels
    values = np.ones(len(images) * (len(images) - 1) // 2)
    for scale, exponent in enumerate(EXPONENTS):
        terms = _terms(planes, levels if scale == len(EXPONENTS) - 1 else None, reflected)
        values *= np.maximum(terms, 0) ** exponent
        planes = _halved(planes)
    return values


def check_images(images: np.ndarray) -> None:
    """ValueError for anything but uint8 images [n, height, width, 1 or 3]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"MS-SSIM takes uint8 images [n, height, width, 1 or 3], not {images.dtype} {images.shape}")


def _planes(images: np.ndarray, size: int) -> np.ndarray:
    """float32 [n, channels, size, size]; one channel where all are equal."""
    if (images == images[..., :1]).all():
        images = images[..., :1]
    return np.ascontiguousarray(resize(images, size).transpose(0, 3, 1, 2), dtype=np.float32)


def _halved(planes: np.ndarray) -> np.ndarray:
    height, width = (length // 2 * 2 for length in planes.shape[-2:])
    even, odd = planes[..., 0:height:2, :width], planes[..., 1:height:2, :width]
    rows = even + odd
    return (rows[..., 0::2] + rows[..., 1::2]) / np.float32(4)


def _terms(planes: np.ndarray, levels: np.ndarray | None, reflected: bool) -> np.ndarray:
    """One scale's term of each pair [n (n - 1) / 2], over all channels: mean contrast, or at the last mean SSIM.

    `levels` is what was taken from `planes` [n, channels, height, width]; given, this is the last scale. With blur G,
    means m, variances v and the contrast constant c, the contrast of images x and y at a pixel is
    (2 (G(x y) - m_x m_y) + c) / (v_x + v_y + c). A factor sqrt(2) in x and m, and c / 2 in v, leave the fewest passes.
    """
    n, channels, height, width = planes.shape
    means, variances = np.empty_like(planes), np.empty_like(planes)
    for plane, mean, variance in zip(*(x.reshape(-1, height, width) for x in (planes, means, variances)), strict=True):
        _blur(plane, mean)
        _blur(plane * plane, variance)
        np.maximum(variance - mean * mean, 0, out=variance)
    xs, ms = planes * np.float32(np.sqrt(2)), means * np.float32(np.sqrt(2))
    vs = variances + np.float32(CONTRAST_CONSTANT / 2)

    # Contrast is judged where the window lies inside the image.
    border = 0 if levels is not None and reflected else WINDOW // 2
    inside = np.s_[border : height - border, border : width - border]
    buffer, similarity = (np.empty((height, width), np.float32) for _ in range(2))
    terms = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        for k in range(channels):
            cv2.multiply(xs[i, k], xs[j, k], dst=buffer)
            _blur(buffer, similarity, offset=CONTRAST_CONSTANT)
            cv2.multiply(ms[i, k], ms[j, k], dst=buffer)
            cv2.subtract(similarity, buffer, dst=similarity)
            cv2.add(vs[i, k], vs[j, k], dst=buffer)
            cv2.divide(similarity, buffer, dst=similarity)
            if levels is not None:
                similarity *= _luminance(means[i, k] + levels[i, k], means[j, k] + levels[j, k])
            terms[i, j] += cv2.mean(similarity[inside])[0] / channels
    return terms[np.triu_indices(n, 1)]


def _blur(plane: np.ndarray, target: np.ndarray, offset: float = 0.0) -> None:
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_32F)
    cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel, dst=target, delta=offset, borderType=cv2.BORDER_REFLECT_101)


def _luminance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (2 * x * y + LUMINANCE_CONSTANT) / (x * x + y * y + LUMINANCE_CONSTANT)
