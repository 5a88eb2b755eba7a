import numpy as np
import pandas as pd
import pytest
import torch

from synthworth.classifiers.augmentation import evaluation_transform
from synthworth.classifiers.data import (
    ImageDataset,
    oversampled,
    real_images,
    synthetic_images,
    training_images,
)
from synthworth.errors import StudyError
from synthworth.shards import write_shard

CLASSES = ["healthy", "viral", "fungal"]


def write_split(folder, classes, size=8, channels=1):
    """A split whose image i is of the value i throughout."""
    images = np.stack([np.full((size, size, channels), i, np.uint8) for i in range(len(classes))])
    np.save(folder / "images.npy", images)
    frame = pd.DataFrame({"image": [f"{i}.png" for i in range(len(classes))], "patient": "p", "class": classes})
    frame.to_csv(folder / "index.csv", index=False)
    return folder / "images.npy", folder / "index.csv"


def write_synthetic(path, label, indices, size=8):
    """A shard whose image of index i has the value 100 + i."""
    images = np.stack([np.full((size, size, 1), 100 + i, np.uint8) for i in indices])
    rows = pd.DataFrame({"index": indices}).assign(
        label=label, prompt="", generator="ddpm", scope=label, step=1, seed=0
    )
    write_shard(path, [images], rows)
    return path


@pytest.fixture
def shards(tmp_path):
    paths = []
    for label in CLASSES:
        # The later images come first, in both the list of files and the file.
        paths.append(write_synthetic(tmp_path / f"{label}-b.parquet", label, [5, 3, 4]))
        paths.append(write_synthetic(tmp_path / f"{label}-a.parquet", label, [2, 0, 1]))
    return paths


def content(table):
    return [(int(table.image(row)[0, 0, 0]), int(table.targets[row])) for row in range(len(table))]


def test_grey_images_get_three_channels_and_colour_stays(tmp_path):
    images, index = write_split(tmp_path, ["viral", "healthy"])
    table, frame = real_images(images, index, CLASSES)
    assert isinstance(table.sources[0], np.memmap)
    assert table.targets.tolist() == [1, 0]
    assert frame["image"].tolist() == ["0.png", "1.png"]
    assert table.image(1).shape == (8, 8, 3)
    pixels, target = ImageDataset(table, evaluation_transform())[(0, 1)]
    assert (pixels.shape, pixels.dtype, target) == ((3, 8, 8), torch.float32, 0)
    torch.testing.assert_close(
        pixels[:, 0, 0],
        torch.tensor([(1 / 255 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]),
    )
    colour = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.save(images, colour)
    table, _ = real_images(images, index, CLASSES)
    assert np.array_equal(table.image(1), colour[1])


def test_images_and_index_must_belong_together(tmp_path):
    images, index = write_split(tmp_path, ["viral", "healthy"])
    with pytest.raises(StudyError, match="bacterial"):
        write_split(tmp_path, ["viral", "bacterial"])
        real_images(images, index, CLASSES)
    np.save(images, np.zeros((3, 8, 8, 1), np.uint8))
    with pytest.raises(StudyError, match="holds 3 images"):
        real_images(images, index, CLASSES)


def test_synthetic_images_are_the_first_of_each_class_and_a_nested_prefix(shards):
    two, four = (content(synthetic_images(shards, CLASSES, k, 8)) for k in (2, 4))
    assert two == [(100, 0), (100, 1), (100, 2), (101, 0), (101, 1), (101, 2)]
    assert four[: len(two)] == two
    assert four[len(two) :] == [(value, target) for value in (102, 103) for target in range(3)]


def test_too_few_or_doubled_synthetic_images_are_an_error(shards, tmp_path):
    with pytest.raises(StudyError, match="class viral: 6 synthetic images, 7 are wanted"):
        synthetic_images(shards, CLASSES, 7, 8)
    with pytest.raises(StudyError, match="class fungal: 3 synthetic images") as error:
        synthetic_images(shards[:5], CLASSES, 4, 8)
    assert len(error.value.problems) == 1
    with pytest.raises(StudyError, match="class healthy: image 0 lies in two shards"):
        synthetic_images([*shards, write_synthetic(tmp_path / "twice.parquet", "healthy", [0])], CLASSES, 1, 8)
    with pytest.raises(StudyError, match="class viral: 0 synthetic images, 1 are wanted"):
        synthetic_images([], CLASSES, 1, 8)


def test_copies_are_left_out_and_nothing_takes_their_place(shards, tmp_path):
    flags = []
    for shard in shards:
        index = pd.read_parquet(shard, columns=["index"])["index"]
        # Of the first class images 0 and 5, wherever their rows are.
        flagged = index.isin([0, 5]) if "healthy" in shard.name else False
        flags.append(tmp_path / f"{shard.stem}.csv")
        pd.DataFrame({"index": index, "similarity": 0.5}).assign(flagged=flagged).sample(frac=1, random_state=0).to_csv(
            flags[-1], index=False
        )
    kept = content(synthetic_images(shards, CLASSES, 3, 8, flags))
    assert kept == [row for row in content(synthetic_images(shards, CLASSES, 3, 8)) if row != (100, 0)]
    assert len(kept) == 8
    for path in flags[2:4]:
        pd.read_csv(path).assign(flagged=True).to_csv(path, index=False)
    without = synthetic_images(shards, CLASSES, 3, 8, flags)
    assert set(without.targets) == {0, 2}


def test_shrinking_averages_instead_of_aliasing(tmp_path):
    stripes = np.zeros((1, 32, 32, 1), np.uint8)
    stripes[:, :, ::4] = 200
    rows = {"label": "viral", "prompt": "", "generator": "g", "scope": "viral", "step": 1, "index": 0, "seed": 0}
    write_shard(tmp_path / "s.parquet", [stripes], pd.DataFrame([rows]))
    shrunk = synthetic_images([tmp_path / "s.parquet"], ["viral"], 1, 8).image(0)[:, 1:-1]
    # Taking every fourth column would give 0 or 200 everywhere; at the borders the filter has less to average.
    assert np.abs(shrunk.astype(int) - 50).max() < 10
    assert synthetic_images([tmp_path / "s.parquet"], ["viral"], 1, 48).image(0).shape == (48, 48, 3)


def test_an_arm_adds_to_the_same_real_rows(tmp_path, shards):
    split = write_split(tmp_path, ["healthy", "healthy", "viral", "fungal"])
    baseline = content(training_images(*split, CLASSES))
    arm = content(training_images(*split, CLASSES, shards=shards, per_class=2))
    assert baseline == [(0, 0), (1, 0), (2, 1), (3, 2)]
    assert arm[:4] == baseline
    assert sorted(arm[4:]) == sorted((100 + i, target) for i in range(2) for target in range(3))


def test_oversampling_brings_every_class_to_the_largest(tmp_path):
    names = ["healthy"] * 20 + ["viral"] * 3 + ["fungal"] * 7
    split = write_split(tmp_path, names)
    table = training_images(*split, CLASSES, balance="oversample", run_seed=1)
    assert np.bincount(table.targets).tolist() == [20, 20, 20]
    assert content(table)[:30] == [(i, CLASSES.index(name)) for i, name in enumerate(names)]
    assert all(names[value] == CLASSES[target] for value, target in content(table))
    assert len({value for value, target in content(table)[30:] if target == 2}) > 2
    rows = [oversampled(table.targets[:30], run_seed).tolist() for run_seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_a_class_without_a_training_image_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="class fungal: no training image"):
        training_images(*write_split(tmp_path, ["healthy", "viral"]), CLASSES, balance="oversample")
