from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from synthworth.errors import StudyError
from synthworth.fidelity.ms_ssim import EXPONENTS, ms_ssim, ms_ssim_pairs

XRAYS = Path(__file__).parents[2] / "shared/data/cxr4"


def resized(images):
    """As the paper has them: RGB, 299 pixels by Pillow; float64 [n, 3, 299, 299]."""
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    pixels = np.stack([np.asarray(Image.fromarray(image).resize((299, 299))) for image in images])
    return pixels.transpose(0, 3, 1, 2).astype(float)


def by_torchmetrics(images):
    """Each pair's value as the paper computes it, in single precision, whose rounding costs it up to 1e-5."""
    pixels = torch.from_numpy(resized(images)).float()
    metric = MultiScaleStructuralSimilarityIndexMeasure(data_range=255, kernel_size=11, sigma=1.5)
    return [float(metric(pixels[i : i + 1], pixels[j : j + 1])) for i, j in combinations(range(len(images)), 2)]


def by_definition(images):
    """Each pair's value, in double precision and by nothing but the definition (torchmetrics is slow in it)."""

    def blur(x):
        for axis in (1, 2):
            x = gaussian_filter1d(x, 1.5, axis=axis, radius=5, mode="mirror")
        return x

    def value(x, y):
        result = 1
        for exponent in EXPONENTS:
            mx, my = blur(x), blur(y)
            vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
            contrast = (2 * cov + 58.5225) / (vx + vy + 58.5225)
            luminance = (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
            last = exponent == EXPONENTS[-1]
            term = (contrast * luminance).mean() if last else contrast[:, 5:-5, 5:-5].mean()
            result *= max(term, 0) ** exponent
            even = np.s_[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
            x, y = (p[even].reshape(3, p.shape[1] // 2, 2, p.shape[2] // 2, 2).mean(axis=(2, 4)) for p in (x, y))
        return result

    return [value(x, y) for x, y in combinations(resized(images), 2)]


def pictures(n, size, channels, seed=0):
    """A smooth scene that all share, with its own blobs and grain in each: values from alike to unlike."""
    rng = np.random.default_rng(seed)
    shared = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), size / 8)
    images = []
    for i in range(n):
        own = cv2.GaussianBlur(rng.normal(size=(size, size, channels)), (0, 0), size / 20).reshape(size, size, channels)
        image = shared[..., None] / shared.std() + (0.3 + i) * own / own.std() + 0.1 * rng.normal(size=own.shape)
        images.append(np.clip(120 + 50 * image, 0, 255))
    return np.stack(images).astype(np.uint8)


@pytest.mark.parametrize(("size", "channels"), [(64, 1), (299, 3)])
def test_equals_torchmetrics(size, channels):
    images = pictures(3, size, channels)
    assert np.abs(ms_ssim_pairs(images) - by_torchmetrics(images)).max() < 1e-5
    assert np.abs(ms_ssim_pairs(images) - by_definition(images)).max() < 5e-7
    assert ms_ssim(images) == pytest.approx(np.mean(by_torchmetrics(images)), abs=5e-6)


def test_equals_torchmetrics_in_double_precision():
    images = pictures(2, 64, 1)
    x, y = torch.from_numpy(resized(images))[:, :1].split(1)
    metric = MultiScaleStructuralSimilarityIndexMeasure(data_range=255, kernel_size=11, sigma=1.5)
    assert float(metric(x, y)) == pytest.approx(by_definition(images)[0], abs=1e-7)
    assert float(metric(x, y)) == pytest.approx(ms_ssim_pairs(images)[0], abs=5e-7)


@pytest.mark.skipif(not XRAYS.is_dir(), reason="no X-rays on this machine")
def test_equals_torchmetrics_on_xrays():
    files = sorted((XRAYS / "images").iterdir())[::160]
    images = np.stack([np.asarray(Image.open(file).convert("L").resize((256, 256))) for file in files])[..., None]
    assert np.abs(ms_ssim_pairs(images) - by_definition(images)).max() < 5e-7
    assert np.abs(ms_ssim_pairs(images) - by_torchmetrics(images)).max() < 1e-5


def test_negatives_and_flat_images():
    """A negative's contrast terms are below 0, and count as 0; black against white is nearly 0, alike is 1."""
    image = pictures(1, 299, 1)[0]
    images = np.stack([image, 255 - image, np.zeros_like(image), np.full_like(image, 255), image])
    values = ms_ssim_pairs(images)
    assert np.abs(values - by_definition(images)).max() < 5e-7
    assert values[0] == 0
    assert values[3] == pytest.approx(1, abs=1e-6)


def test_grey_is_equal_in_one_and_in_three_channels_and_one_colour_image_uses_all():
    grey = pictures(3, 64, 1)
    rgb = np.repeat(grey, 3, axis=-1)
    np.testing.assert_array_equal(ms_ssim_pairs(grey), ms_ssim_pairs(rgb))
    larger = pictures(2, 400, 1)
    assert np.abs(ms_ssim_pairs(larger) - by_definition(larger)).max() < 5e-7
    rgb[0, ..., 1] //= 2
    assert np.abs(ms_ssim_pairs(rgb) - by_definition(rgb)).max() < 5e-7
    assert (ms_ssim_pairs(rgb) - ms_ssim_pairs(grey))[:2].max() < -1e-3


def test_leaves_the_threads_of_opencv_alone():
    before = cv2.getNumThreads()
    ms_ssim(pictures(2, 32, 1))
    assert cv2.getNumThreads() == before


def test_says_what_it_cannot_score():
    with pytest.raises(StudyError, match="at least 2"):
        ms_ssim(pictures(1, 32, 1))
    with pytest.raises(ValueError, match="uint8"):
        ms_ssim(pictures(2, 32, 1) / 255)
