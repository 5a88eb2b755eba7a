import json

import numpy as np
import pytest

from synthworth import synthesis
from synthworth.errors import StudyError
from synthworth.shards import read_shard

NAMES = {
    "study_seed": 1,
    "generator": "ddpm",
    "method": "ddpm",
}
COVID19 = {"name": "covid19", "label": "COVID-19", "prompts": None}
VIRAL = {"name": "viral", "label": "viral", "prompts": None}


@pytest.fixture(autouse=True)
def sampler(monkeypatch):
    """A sampler whose image shows its seed, and which remembers the checkpoints it was given."""
    used = []

    def sample(method, checkpoint, conditions, settings, batch_size):
        used.append(checkpoint)
        for first in range(0, len(conditions), batch_size):
            seeds = conditions["seed"].iloc[first : first + batch_size]
            yield np.stack([np.full((8, 8, 1), seed % 251, np.uint8) for seed in seeds])

    monkeypatch.setattr(synthesis, "sample", sample)
    return used


def test_an_image_hangs_on_its_names_alone():
    whole = synthesis.conditions(NAMES | COVID19, [], 0, 99)
    part = synthesis.conditions(NAMES | COVID19, [], 50, 74)
    assert list(part["seed"]) == list(whole["seed"][50:75])
    assert whole["seed"].is_unique
    for change in ({"study_seed": 2}, {"generator": "gan"}, {"name": "fungal"}):
        assert synthesis.conditions(NAMES | COVID19 | change, [], 0, 0)["seed"][0] != whole["seed"][0]


def test_images_are_asked_for_with_the_texts_of_their_class(tmp_path, monkeypatch):
    asked = []

    def sample(method, checkpoint, conditions, settings, batch_size):
        asked.extend(conditions["prompt"])
        yield np.zeros((len(conditions), 8, 8, 1), np.uint8)

    monkeypatch.setattr(synthesis, "sample", sample)
    index = tmp_path / "index.csv"
    index.write_text("class,text\ncovid19,one lung\ncovid19,two lungs\nviral,a heart\n")
    names = NAMES | {"scope": "all", "step": 1}
    subjects = [COVID19 | {"prompts": {"source": "text", "template": "", "classes": {}}}]
    synthesis.sample_checkpoint("c", str(tmp_path / "a.parquet"), names, subjects, 0, 29, {}, 30, texts=str(index))
    assert set(asked) == {"one lung", "two lungs"}
    assert list(read_shard(tmp_path / "a.parquet")[1]["prompt"]) == asked


def test_a_shard_comes_from_the_chosen_checkpoint(tmp_path, sampler):
    chosen = {"scope": "covid19", "step": 240, "metric": "fid", "extractor": "", "reference": "", "value": 1.0}
    selected = tmp_path / "selected.json"
    selected.write_text(json.dumps({"checkpoints": {"covid19": chosen}, "rule": ""}))
    arguments = (
        str(selected),
        str(tmp_path / "models"),
        str(tmp_path / "shard.parquet"),
        NAMES,
        COVID19,
        30,
        59,
        {},
        8,
    )
    with pytest.raises(StudyError, match="chosen checkpoint is gone"):
        synthesis.synthesize_shard(*arguments)
    checkpoint = tmp_path / "models" / "covid19" / "step-240"
    checkpoint.mkdir(parents=True)
    synthesis.synthesize_shard(*arguments)
    assert sampler == [checkpoint]
    images, rows = read_shard(tmp_path / "shard.parquet")
    assert list(rows["index"]) == list(range(30, 60))
    assert set(rows["step"]) == {240}
    assert set(rows["label"]) == {"covid19"}
    assert list(images[:, 0, 0, 0]) == [seed % 251 for seed in rows["seed"]]


def test_samples_of_a_checkpoint_are_the_first_images_of_its_classes(tmp_path):
    names = NAMES | {"scope": "all", "step": 120}
    drawn = {}
    for last, subjects in ((4, [COVID19, VIRAL]), (9, [VIRAL, COVID19])):
        shard = tmp_path / f"{last}.parquet"
        synthesis.sample_checkpoint("models/all/step-120", str(shard), names, subjects, 0, last, {}, 8 - last // 2)
        images, rows = read_shard(shard)
        drawn[last] = {name: images[rows["label"] == name] for name in ("covid19", "viral")}
        assert set(rows["scope"]) == {"all"}
    for name, few in drawn[4].items():
        assert len(few) == 5
        np.testing.assert_array_equal(few, drawn[9][name][:5])
    assert not np.array_equal(drawn[4]["viral"], drawn[4]["covid19"])
