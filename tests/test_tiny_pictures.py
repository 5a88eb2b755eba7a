from collections import Counter

import numpy as np
import pytest

from synthworth.tiny_pictures import CAPTIONS, EXPOSURES, SPOTS, TONES, draw_pictures

GREY = 100


def even(images=10, channels=1):
    return np.full((images, 32, 32, channels), GREY, np.uint8)


def test_pictures_are_a_function_of_the_seed():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    first, captions = draw_pictures(pixels, 20, 3)
    again, same = draw_pictures(pixels, 20, 3)
    assert captions == same
    assert first.equal(again)
    assert draw_pictures(pixels, 20, 4)[1] != captions


def test_every_image_comes_equally_often():
    pixels = np.zeros((7, 8, 8, 1), np.uint8) + np.arange(0, 210, 30, dtype=np.uint8)[:, None, None, None]
    pictures, captions = draw_pictures(pixels, 16, 1)
    shown = Counter()
    for picture, caption in zip(pictures, captions, strict=True):
        factor, offset = EXPOSURES[caption.split()[1]]
        tone = TONES[caption.split()[2]]
        # A corner, which spots hardly reach, tells the image.
        value = ((int(picture[0, 0, 0]) / 127.5 - 1 - offset) / factor * tone + 1) * 127.5
        shown[round(value / 30)] += 1
    assert sorted(shown) == list(range(7))
    assert sorted(shown.values()) == [2, 2, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_colour_images(channels):
    pictures, _ = draw_pictures(even(channels=channels), 12, 1)
    assert pictures.shape == (12, 3, 32, 32)
    assert str(pictures.dtype) == "torch.uint8"


def test_captions_say_what_was_done():
    pictures, captions = draw_pictures(even(), 200, 1)
    assert set(captions) == set(CAPTIONS)
    bright = {spots: [] for spots in SPOTS}
    for picture, caption in zip(pictures.numpy(), captions, strict=True):
        _, exposure, tone, _, spots = caption.split(" ", 4)
        factor, offset = EXPOSURES[exposure]
        level = ((GREY / 127.5 - 1) * TONES[tone] * factor + offset + 1) * 127.5
        # A corner shows exposure and tone alone.
        assert abs(int(picture[0, 0, 0]) - level) <= 3
        if (exposure, tone) == ("clear", "positive"):
            bright[spots].append((picture[0] > GREY + 30).sum())
    assert max(bright["without spots"]) == 0
    assert min(bright["with one large spot"]) > 10
    assert min(bright["with many small spots"]) > 5


def test_all_captions_are_about_equally_likely():
    _, captions = draw_pictures(even(), 900, 1)
    counts = Counter(captions)
    assert len(counts) == len(EXPOSURES) * len(TONES) * len(SPOTS)
    assert 25 < min(counts.values()) <= max(counts.values()) < 80
