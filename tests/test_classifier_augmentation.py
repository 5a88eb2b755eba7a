import importlib

import albumentations
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from synthworth.classifiers.augmentation import training_augmentation
from synthworth.classifiers.data import ImageDataset, real_images
from synthworth.classifiers.normalisation import normalised
from synthworth.ingestion import write_images, write_index
from synthworth.resizing import resize

# Table 4 of Schaudt et al. 2023.
PAPER = {
    "shift_limit": 0.1,
    "scale_limit": 0.5,
    "rotate_limit": 10,
    "clahe_clip_limit": 4.0,
    "clahe_grid": 8,
    "brightness_limit": 0.2,
    "contrast_limit": 0.2,
    "gamma_limit": (80, 120),
    "sharpen_alpha": (0.2, 0.5),
    "sharpen_lightness": (0.5, 1.0),
    "blur_limit": 7,
    "hue_shift_limit": 20,
    "saturation_shift_limit": 30,
    "value_shift_limit": 20,
    "one_of_probability": 0.9,
}


def image(size=64):
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_the_pipeline_is_the_papers_table_4():
    transform = training_augmentation(**PAPER, run_seed=0)
    affine, tone, detail, colour = transform.pipeline.transforms
    assert (type(affine), affine.p) == (albumentations.ShiftScaleRotate, 1)
    assert affine.translate_percent == {"x": (-0.1, 0.1), "y": (-0.1, 0.1)}
    assert affine.scale == {"x": (0.5, 1.5), "y": (0.5, 1.5)}
    assert affine.rotate == (-10, 10)
    assert (affine.border_mode, affine.fill) == (0, 0)
    for choice in (tone, detail, colour):
        assert (type(choice), choice.p) == (albumentations.OneOf, 0.9)
        assert {transform.p for transform in choice.transforms} == {1.0}
    names = [[type(t).__name__ for t in choice.transforms] for choice in (tone, detail, colour)]
    assert names == [
        ["CLAHE", "RandomBrightnessContrast", "RandomGamma"],
        ["Sharpen", "Blur", "MotionBlur"],
        ["RandomBrightnessContrast", "HueSaturationValue"],
    ]
    clahe, brightness, gamma = tone.transforms
    assert (clahe.clip_limit, clahe.tile_grid_size) == ((1, 4), (8, 8))
    assert (brightness.brightness_limit, brightness.contrast_limit) == ((-0.2, 0.2), (-0.2, 0.2))
    assert brightness.brightness_by_max
    assert gamma.gamma_limit == (80, 120)
    sharpen, blur, motion = detail.transforms
    assert (sharpen.alpha, sharpen.lightness) == ((0.2, 0.5), (0.5, 1.0))
    assert blur.blur_limit == motion.blur_limit == (3, 7)
    hue = colour.transforms[1]
    assert (hue.hue_shift_limit, hue.sat_shift_limit, hue.val_shift_limit) == ((-20, 20), (-30, 30), (-20, 20))


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, value in PAPER.items() if key not in ("one_of_probability",)],
)
def test_each_number_of_the_config_reaches_the_pipeline(key, value):
    changed = {
        "gamma_limit": (20, 30),
        "sharpen_alpha": (0.9, 1.0),
        "sharpen_lightness": (0.1, 0.2),
        "clahe_grid": 2,
        "blur_limit": 21,
        "clahe_clip_limit": 30.0,
    }.get(key, value / 4 if not isinstance(value, tuple) else None)
    before = training_augmentation(**PAPER, run_seed=0)
    after = training_augmentation(**{**PAPER, key: changed}, run_seed=0)
    assert any(not np.array_equal(before(image(), 0, i), after(image(), 0, i)) for i in range(20))


def test_an_image_is_a_function_of_seed_epoch_and_position():
    transform, again, other = (training_augmentation(**PAPER, run_seed=run_seed) for run_seed in (3, 3, 4))
    first = transform(image(), 1, 5)
    transform(image(), 7, 7)
    assert np.array_equal(first, transform(image(), 1, 5))
    assert np.array_equal(first, again(image(), 1, 5))
    for different in (transform(image(), 2, 5), transform(image(), 1, 6), other(image(), 1, 5)):
        assert not np.array_equal(first, different)


def test_normalising_is_that_of_albumentations_bit_for_bit():
    every_value = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    pixels = np.concatenate([every_value, image(16)[None], image(16)[None, ::-1]])
    normalize = albumentations.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), max_pixel_value=255.0)
    result = normalised(torch.from_numpy(pixels))
    assert (result.dtype, result.shape, result.is_contiguous()) == (torch.float32, (3, 3, 16, 16), True)
    for own, picture in zip(result, pixels, strict=True):
        assert np.array_equal(own.permute(1, 2, 0).numpy(), normalize(image=picture)["image"])
    expected = (every_value[0, 5, 7] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(result[0, :, 5, 7], expected, atol=1e-5)


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory):
    """A manifest of six files as the published ones are, RGB although grey, larger than any array, not square."""
    folder = tmp_path_factory.mktemp("radiographs")
    rows = []
    for number in range(6):
        generator = np.random.default_rng(number)
        anatomy = Image.fromarray(generator.integers(0, 256, (9, 9), dtype=np.uint8)).resize((410, 370))
        pixels = np.clip(np.asarray(anatomy, float) + generator.normal(0, 8, (370, 410)), 0, 255).astype(np.uint8)
        name = f"{number}.{('png', 'jpg')[number % 2]}"
        Image.fromarray(pixels).convert("RGB").save(folder / name)
        rows.append({"image": name, "patient": f"p{number}", "label": ("a", "b")[number // 3]})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


def published(path, augmentation, row, size):
    """A file's tensor as the published loop makes it: decoded, resized, augmented and normalised, each time anew."""
    pixels = np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    normalize = albumentations.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), max_pixel_value=255.0)
    return torch.from_numpy(normalize(image=augmentation(pixels, 1, row))["image"]).permute(2, 0, 1)


def of_a_study(radiographs, augmentation, size):
    """The same tensors from a study's memory-mapped array of `size` px, made as its rules make it."""
    index, images = radiographs / "index.csv", radiographs / f"images-{size}.npy"
    manifest = radiographs / "manifest.csv"
    write_index(index, {"a": "a", "b": "b"}, manifest=manifest)
    write_images(index, images, size=size, channels=1, fit="stretch", manifest=manifest)
    table, frame = real_images(images, index, ["a", "b"])
    assert isinstance(table.sources[0], np.memmap)
    dataset = ImageDataset(table, augmentation)
    batch = torch.stack([dataset[1, row][0] for row in range(len(table))])
    return normalised(batch), [radiographs / name for name in frame["image"]]


def test_a_study_s_tensors_are_the_published_ones_bit_for_bit(radiographs):
    augmentation = training_augmentation(**PAPER, run_seed=3)
    tensors, files = of_a_study(radiographs, augmentation, 224)
    assert len(files) == 6
    for row, (tensor, file) in enumerate(zip(tensors, files, strict=True)):
        assert tensor.shape == (3, 224, 224)
        assert torch.equal(tensor, published(file, augmentation, row, 224))


def test_an_array_of_256_pixels_does_not_have_them(radiographs):
    # As if images were kept at one size and brought to the network's own afterwards.
    augmentation = training_augmentation(**PAPER, run_seed=3)

    def smaller(image, epoch, row):
        return augmentation(resize(image[None], 224)[0], epoch, row)

    tensors, files = of_a_study(radiographs, smaller, 256)
    for row, (tensor, file) in enumerate(zip(tensors, files, strict=True)):
        assert tensor.shape == (3, 224, 224)
        assert not torch.equal(tensor, published(file, augmentation, row, 224))


def test_the_choices_of_an_image_are_drawn_each_on_its_own(monkeypatch):
    transform = training_augmentation(**PAPER, run_seed=0)
    drawn = []
    for place, choice in enumerate(transform.pipeline.transforms[1:]):
        for option in choice.transforms:
            own = (place, type(option).__name__)
            monkeypatch.setattr(option, "get_params", lambda own=own, get=option.get_params: drawn.append(own) or get())
    combinations = []
    for position in range(300):
        drawn.clear()
        assert transform(image(16), 1, position).dtype == np.uint8
        combinations.append(tuple(drawn))
    # 3 x 3 x 2 full ones, and those with a stage left out, each in a tenth of the images.
    assert len(set(combinations)) > 18
    for place in range(3):
        assert 0.83 < np.mean([place in {stage for stage, _ in combination} for combination in combinations]) < 0.96
    assert np.mean([combination == () for combination in combinations]) < 0.02


def test_albumentations_does_not_ask_the_network_for_a_newer_version(monkeypatch):
    asked = []
    monkeypatch.setattr("albumentations.check_version.check_for_updates", lambda: asked.append(True))
    importlib.reload(albumentations)
    assert not asked
