import numpy as np
import pandas as pd
import pytest
import torch

from synthworth.classifiers.arm_images import arm_images, oversampled
from synthworth.classifiers.data import ImageDataset, real_images, synthetic_images
from synthworth.errors import StudyError
from synthworth.shards import render_shard, write_shard

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


def drawn(shards, size=8):
    rendered = [shard.with_suffix(".npy") for shard in shards]
    for shard, images in zip(shards, rendered, strict=True):
        render_shard(shard, images, size)
    return {"shards": shards, "rendered": rendered}


def synthetic(shards, classes, per_class, size=8, **options):
    return synthetic_images(**drawn(shards, size), classes=classes, per_class=per_class, **options)


def content(table):
    return [(int(table.image(row)[0, 0, 0]), int(table.targets[row])) for row in range(len(table))]


def test_grey_images_get_three_channels_and_colour_stays(tmp_path):
    images, index = write_split(tmp_path, ["viral", "healthy"])
    table, frame = real_images(images, index, CLASSES)
    assert isinstance(table.sources[0], np.memmap)
    assert table.targets.tolist() == [1, 0]
    assert frame["image"].tolist() == ["0.png", "1.png"]
    assert table.image(1).shape == (8, 8, 3)
    pixels, target = ImageDataset(table, lambda image, epoch, row: image + epoch + row)[(3, 1)]
    assert (pixels.shape, pixels.dtype, target) == ((8, 8, 3), torch.uint8, 0)
    assert (pixels == 5).all()
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
    two, four = (content(synthetic(shards, CLASSES, k)) for k in (2, 4))
    assert two == [(100, 0), (100, 1), (100, 2), (101, 0), (101, 1), (101, 2)]
    assert four[: len(two)] == two
    assert four[len(two) :] == [(value, target) for value in (102, 103) for target in range(3)]


def test_a_later_draw_goes_on_where_the_first_ends_in_whatever_shard(shards):
    second = content(synthetic(shards, CLASSES, 2, first=2))
    assert second == [(100 + index, target) for index in (2, 3) for target in range(3)]
    later = [shard for shard in shards if shard.stem.endswith("b")]
    assert content(synthetic(later, CLASSES, 1, first=4)) == [(104, target) for target in range(3)]
    assert content(synthetic(shards, CLASSES, [0, 2, 1], first=1)) == [(101, 1), (101, 2), (102, 1)]
    with pytest.raises(StudyError, match="class viral: 1 synthetic images from number 5 on, 2 are wanted"):
        synthetic(shards, CLASSES, [1, 2, 0], first=5)


def test_too_few_or_doubled_synthetic_images_are_an_error(shards, tmp_path):
    with pytest.raises(StudyError, match="class viral: 6 synthetic images from number 0 on, 7 are wanted"):
        synthetic(shards, CLASSES, 7)
    with pytest.raises(StudyError, match="class fungal: 1 synthetic images") as error:
        synthetic(shards[:5], CLASSES, 4)
    assert len(error.value.problems) == 1
    with pytest.raises(StudyError, match="class healthy: image 0 lies in two shards"):
        synthetic([*shards, write_synthetic(tmp_path / "twice.parquet", "healthy", [0])], CLASSES, 1)
    with pytest.raises(StudyError, match="class viral: 0 synthetic images from number 0 on, 1 are wanted"):
        synthetic([], CLASSES, 1)


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
    kept = content(synthetic(shards, CLASSES, 3, copies=flags))
    assert kept == [row for row in content(synthetic(shards, CLASSES, 3)) if row != (100, 0)]
    assert len(kept) == 8
    for path in flags[2:4]:
        pd.read_csv(path).assign(flagged=True).to_csv(path, index=False)
    without = synthetic(shards, CLASSES, 3, copies=flags)
    assert set(without.targets) == {0, 2}


def test_shrinking_averages_instead_of_aliasing(tmp_path):
    stripes = np.zeros((1, 32, 32, 1), np.uint8)
    stripes[:, :, ::4] = 200
    rows = {"label": "viral", "prompt": "", "generator": "g", "scope": "viral", "step": 1, "index": 0, "seed": 0}
    write_shard(tmp_path / "s.parquet", [stripes], pd.DataFrame([rows]))
    shrunk = synthetic([tmp_path / "s.parquet"], ["viral"], 1).image(0)[:, 1:-1]
    # Taking every fourth column would give 0 or 200 everywhere; at the borders the filter has less to average.
    assert np.abs(shrunk.astype(int) - 50).max() < 10
    assert synthetic([tmp_path / "s.parquet"], ["viral"], 1, size=48).image(0).shape == (48, 48, 3)


def seen(arm, rows):
    return content(arm.table.rows(rows))


def test_an_arm_adds_to_the_same_real_rows(tmp_path, shards):
    split = write_split(tmp_path, ["healthy", "healthy", "viral", "fungal"])
    baseline = arm_images(*split, CLASSES)
    arm = arm_images(*split, CLASSES, **drawn(shards), per_class=2)
    assert content(baseline.table) == seen(baseline, baseline.training) == [(0, 0), (1, 0), (2, 1), (3, 2)]
    assert content(arm.table)[:4] == content(baseline.table)
    assert sorted(content(arm.table)[4:]) == sorted((100 + i, target) for i in range(2) for target in range(3))
    assert arm.training.tolist() == list(range(10))
    assert len(arm.pretraining) == 0
    assert baseline.real == arm.real == 4


def test_regimes_say_which_images_a_stage_sees(tmp_path, shards):
    split = write_split(tmp_path, ["healthy", "healthy", "viral", "fungal"])
    images = {**drawn(shards), "per_class": 2, "first": 1}
    added = [(value, target) for value in (101, 102) for target in range(3)]
    replace = arm_images(*split, CLASSES, regime="replace", **images)
    assert seen(replace, replace.training) == added
    assert len(replace.pretraining) == 0
    pretrain = arm_images(*split, CLASSES, regime="pretrain_then_finetune", **images)
    assert seen(pretrain, pretrain.pretraining) == added
    assert seen(pretrain, pretrain.training) == [(0, 0), (1, 0), (2, 1), (3, 2)]
    assert content(replace.table)[:4] == content(pretrain.table)[:4] == seen(pretrain, pretrain.training)


def test_synthetic_images_fill_up_to_the_majority(tmp_path, shards):
    split = write_split(tmp_path, ["healthy"] * 5 + ["viral"] * 4 + ["fungal"])
    arm = arm_images(*split, CLASSES, **drawn(shards), per_class=4, balance="to_majority")
    assert seen(arm, arm.training)[10:] == [(100, 1), (100, 2), (101, 2), (102, 2), (103, 2)]
    with pytest.raises(StudyError, match="class fungal: 4 images are lacking to the 5 .* `per_class` to 4") as error:
        arm_images(*split, CLASSES, **drawn(shards), per_class=3, balance="to_majority")
    assert len(error.value.problems) == 1


def test_shuffled_labels_are_a_permutation_over_all_synthetic_images(tmp_path, shards):
    split = write_split(tmp_path, ["healthy"] * 7 + ["viral"] * 4 + ["fungal"])
    images = {**drawn(shards), "per_class": 6, "balance": "to_majority"}
    true, shuffled, again, other = (
        arm_images(*split, CLASSES, **images, shuffle_seed=seed, run_seed=run_seed)
        for seed, run_seed in ((None, 1), (1, 1), (1, 2), (2, 1))
    )
    assert content(shuffled.table)[:12] == content(true.table)[:12]
    labels = [[target for _, target in content(arm.table)[12:]] for arm in (true, shuffled, again, other)]
    values = [[value for value, _ in content(arm.table)[12:]] for arm in (true, shuffled)]
    assert values[0] == values[1]
    for each in labels:
        assert np.bincount(each).tolist() == [0, 3, 6]
    assert labels[1] == labels[2]
    assert len({tuple(each) for each in labels}) == 3


def test_repeats_are_training_images_drawn_by_the_run(tmp_path):
    names = ["healthy"] * 20 + ["viral"] * 3 + ["fungal"] * 7
    split = write_split(tmp_path, names)
    arms = [
        arm_images(*split, CLASSES, repeat_training_images=True, per_class=10, run_seed=run_seed)
        for run_seed in (1, 1, 2)
    ]
    repeats = content(arms[0].table)[30:]
    assert arms[0].training.tolist() == list(range(60))
    assert np.bincount([target for _, target in repeats]).tolist() == [10, 10, 10]
    assert all(names[value] == CLASSES[target] for value, target in repeats)
    assert len({value for value, target in repeats if target == 0}) > 3
    assert content(arms[0].table) == content(arms[1].table) != content(arms[2].table)
    frame = pd.read_csv(split[1])
    frame.assign(patient=[f"p{i}" for i in range(30)]).to_csv(split[1], index=False)
    held = arm_images(
        *split, CLASSES, repeat_training_images=True, per_class=10, run_seed=1, real_share=0.5, hold_back_seed=1
    )
    kept = {value for value, _ in seen(held, held.training[:-30])}
    assert len(kept) == 10 + 2 + 4
    assert {value for value, _ in seen(held, held.training[-30:])} <= kept


def test_an_arm_holds_back_real_images_and_leaves_their_rows(tmp_path):
    names = ["healthy"] * 8 + ["viral"] * 4 + ["fungal"] * 4
    images, index = write_split(tmp_path, names)
    frame = pd.read_csv(index)
    frame.assign(patient=[f"p{i}" for i in range(16)]).to_csv(index, index=False)
    arm = arm_images(images, index, CLASSES, real_share=0.5, hold_back_seed=1)
    assert len(arm.table) == arm.real == 16
    assert np.bincount(arm.table.targets[arm.training]).tolist() == [4, 2, 2]
    assert content(arm.table) == content(arm_images(images, index, CLASSES).table)


def test_oversampling_brings_every_class_of_a_stage_to_the_largest(tmp_path, shards):
    names = ["healthy"] * 20 + ["viral"] * 3 + ["fungal"] * 7
    split = write_split(tmp_path, names)
    arm = arm_images(*split, CLASSES, balance="oversample", run_seed=1)
    assert arm.training.tolist() == list(range(60))
    assert np.bincount(arm.table.targets).tolist() == [20, 20, 20]
    assert content(arm.table)[:30] == [(i, CLASSES.index(name)) for i, name in enumerate(names)]
    assert all(names[value] == CLASSES[target] for value, target in content(arm.table))
    assert len({value for value, target in content(arm.table)[30:] if target == 2}) > 2
    rows = [oversampled(arm.table.targets[:30], run_seed).tolist() for run_seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]
    replace = arm_images(*split, CLASSES, **drawn(shards), per_class=2, balance="oversample", regime="replace")
    assert all(value >= 100 for value, _ in seen(replace, replace.training))
    staged = arm_images(
        *split, CLASSES, **drawn(shards), per_class=2, balance="oversample", regime="pretrain_then_finetune", run_seed=1
    )
    assert (len(staged.training), len(staged.pretraining)) == (60, 6)
    assert all(value < 100 for value, _ in seen(staged, staged.training))


def test_a_class_without_a_training_image_is_an_error(tmp_path, shards):
    with pytest.raises(StudyError, match="class fungal: no training image"):
        arm_images(*write_split(tmp_path, ["healthy", "viral"]), CLASSES, balance="oversample")
    split = write_split(tmp_path, ["healthy", "viral", "fungal"])
    flags = []
    for shard in shards:
        flags.append(tmp_path / f"{shard.stem}.csv")
        index = pd.read_parquet(shard, columns=["index"])["index"]
        pd.DataFrame({"index": index, "flagged": "viral" in shard.name}).to_csv(flags[-1], index=False)
    images = {**drawn(shards), "copies": flags, "per_class": 2}
    assert len(arm_images(*split, CLASSES, **images).training) == 3 + 4
    for regime in ("replace", "pretrain_then_finetune"):
        with pytest.raises(StudyError, match="class viral: no training image"):
            arm_images(*split, CLASSES, **images, regime=regime)
