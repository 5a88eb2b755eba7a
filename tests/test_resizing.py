import numpy as np
from PIL import Image

from synthworth.images import fit_image
from synthworth.resizing import resize


def test_real_and_synthetic_images_are_resized_alike():
    image = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    real = fit_image(image, 40, "stretch", 1)
    np.testing.assert_array_equal(resize(image[None, ..., None], 40)[0], real)


def test_channels_are_kept_apart_and_an_equal_size_is_left_alone():
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    assert resize(images, 20) is images
    larger = resize(images, 30)
    assert larger.shape == (2, 30, 30, 3)
    expected = Image.fromarray(images[1, ..., 2]).resize((30, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(larger[1, ..., 2], np.asarray(expected))
