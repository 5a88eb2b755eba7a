"""The method `folder`: sampled from as any generator is."""

import json

import numpy as np
import pytest

from synthworth.errors import StudyError
from synthworth.generators import sample
from synthworth.shards import read_shard
from synthworth.synthesis import conditions, sample_checkpoint, synthesize_shard

NAMES = {
    "study_seed": 1,
    "generator": "roentgen",
    "method": "folder",
}
VIRAL = {"name": "viral", "label": "Viral", "prompts": None}


@pytest.fixture
def checkpoints(tmp_path):
    """The imported images of a class; image i has the value i."""
    folder = tmp_path / "viral" / "step-0"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.repeat(np.arange(30, dtype=np.uint8), 64).reshape(30, 8, 8, 1))
    return tmp_path


def test_an_image_is_the_row_of_its_index(checkpoints):
    rows = conditions(NAMES | VIRAL, [], 10, 19)
    for batch_size in (1, 4, 50):
        batches = list(sample("folder", checkpoints / "viral" / "step-0", rows, {}, batch_size))
        assert [len(batch) for batch in batches] == [min(batch_size, 10)] * (10 // batch_size) + [10 % batch_size] * (
            10 % batch_size > 0
        )
        images = np.concatenate(batches)
        assert images.shape == (10, 8, 8, 1)
        assert images.dtype == np.uint8
        assert images[:, 0, 0, 0].tolist() == list(range(10, 20))


def test_shards_and_samples_are_made_as_from_a_model(checkpoints, tmp_path):
    sample_checkpoint(
        str(checkpoints / "viral" / "step-0"),
        str(tmp_path / "a.parquet"),
        NAMES | {"scope": "viral", "step": 0},
        [VIRAL],
        0,
        4,
        {},
        2,
    )
    chosen = {"scope": "viral", "step": 0, "metric": "fid", "extractor": "", "reference": "", "value": 1.0}
    (tmp_path / "selected.json").write_text(json.dumps({"checkpoints": {"viral": chosen}, "rule": ""}))
    synthesize_shard(
        str(tmp_path / "selected.json"), str(checkpoints), str(tmp_path / "b.parquet"), NAMES, VIRAL, 20, 29, {}, 4
    )
    for file, expected in (("a.parquet", range(5)), ("b.parquet", range(20, 30))):
        images, rows = read_shard(tmp_path / file)
        assert images[:, 0, 0, 0].tolist() == rows["index"].tolist() == list(expected)
        assert set(rows["step"]) == {0}


def test_more_images_than_there_are_cannot_be_had(checkpoints, tmp_path):
    with pytest.raises(StudyError, match="class viral: 30 images, but 31 are needed"):
        list(sample("folder", checkpoints / "viral" / "step-0", conditions(NAMES | VIRAL, [], 21, 30), {}, 8))
