from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from synthworth.config import compose, read_changes, validate
from synthworth.errors import StudyError

HOUSE = Path(__file__).parents[1]
SCHEMA = HOUSE / "workflow" / "schemas" / "config.schema.yaml"
DEFAULT = yaml.safe_load((HOUSE / "config" / "config.yaml").read_text())
CONFIGS = sorted(HOUSE.glob("config/*.yaml")) + sorted(HOUSE.glob("tests/configs/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_in_the_house_is_valid(path):
    validate(compose(DEFAULT, yaml.safe_load(path.read_text())), SCHEMA)


def test_settings_are_replaced_at_any_depth():
    config = compose(DEFAULT, {"dataset": {"size": 128}, "generators": {"ddpm": {"training": {"learning_rate": 0.5}}}})
    assert config["dataset"]["size"] == 128
    assert config["dataset"]["fit"] == DEFAULT["dataset"]["fit"]
    assert config["generators"]["ddpm"]["training"]["learning_rate"] == 0.5
    assert config["generators"]["ddpm"]["training"]["batch_size"] == 8


def test_named_entries_are_the_ones_that_run():
    config = compose(DEFAULT, {"classifiers": {"resnet50": {"dropout": 0.1}, "mine": {"architecture": "resnet18"}}})
    assert list(config["classifiers"]) == ["resnet50", "mine"]
    assert config["classifiers"]["resnet50"]["dropout"] == 0.1
    assert config["classifiers"]["mine"]["training"] == DEFAULT["classifiers"]["defaults"]["training"]


def test_defaults_alone_choose_nothing():
    config = compose(DEFAULT, {"classifiers": {"defaults": {"dropout": 0.3}}})
    assert len(config["classifiers"]) == 5
    assert {entry["dropout"] for entry in config["classifiers"].values()} == {0.3}


def test_arms_of_the_default_go_with_what_they_lean_on():
    assert compose(DEFAULT, {"classifiers": {"resnet50": {}}})["arms"]["oversampling"]["classifiers"] is None
    chosen = {"classifiers": {"convnext_small": {}}}
    assert compose(DEFAULT, chosen)["arms"]["oversampling"]["classifiers"] == ["convnext_small"]
    other = {"generators": {"other": DEFAULT["generators"]["ddpm"]}}
    without = [name for name, arm in DEFAULT["arms"].items() if "generator" not in arm]
    assert without[:2] == ["baseline", "oversampling"]
    assert list(compose(DEFAULT, other)["arms"]) == without
    # What the user names stays, and is reported where it is wrong.
    assert "ddpm" in compose(DEFAULT, other | {"arms": {"baseline": {}, "ddpm": {}}})["arms"]


@pytest.mark.parametrize("spelling", ["off", "Off", '"off"', "'OFF'", "no", "false"])
def test_copies_are_not_looked_for_however_off_is_spelt(spelling, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"memorization: {{filter_copies: {spelling}}}\n")
    told = {"memorization": {"filter_copies": spelling.strip("\"'")}}
    for changes in (read_changes([tmp_path / "mine.yaml"], {}), read_changes([], told)):
        config = compose(DEFAULT | {"memorization": DEFAULT["memorization"] | {"filter_copies": "drop"}}, changes)
        assert config["memorization"]["filter_copies"] == "off"
        validate(config, SCHEMA)
    with pytest.raises(StudyError, match="filter_copies"):
        validate(compose(DEFAULT, {"memorization": {"filter_copies": True}}), SCHEMA)


def test_an_entry_that_is_false_goes_and_chooses_nothing():
    arms = compose(DEFAULT, {"arms": {"mixup": False}, "generators": {"gan": False, "lora": False}})["arms"]
    assert list(arms) == [name for name in DEFAULT["arms"] if name not in ("mixup", "gan", "lora")]
    chosen = compose(DEFAULT, {"arms": {"mixup": False, "baseline": {}, "ddpm": {}}, "classifiers": {"resnet50": {}}})
    assert list(chosen["arms"]) == ["baseline", "ddpm"]


def test_compose_changes_neither_part():
    default, changes = deepcopy(DEFAULT), {"arms": {"baseline": {}}}
    compose(default, changes)
    assert default == DEFAULT
    assert changes == {"arms": {"baseline": {}}}


def test_later_files_and_then_the_command_line_are_believed(tmp_path):
    (tmp_path / "a.yaml").write_text("study: a\ndataset: {size: 64, fit: pad}\n")
    (tmp_path / "b.yaml").write_text("dataset: {size: 96}\n")
    # Within braces Snakemake hands numbers and null over as text.
    line = {
        "dataset": {"size": "32", "classes": "null"},
        "seeds": {"runs": ["1", "2"]},
        "threads": 2,
        "classifiers": {"a": {"training": {"mixed_precision": "no", "learning_rate": "1e-3"}, "pretrained": "false"}},
    }
    assert read_changes([tmp_path / "a.yaml", tmp_path / "b.yaml"], line) == {
        "study": "a",
        "dataset": {"size": 32, "fit": "pad", "classes": None},
        "seeds": {"runs": [1, 2]},
        "threads": 2,
        "classifiers": {"a": {"training": {"mixed_precision": "no", "learning_rate": 0.001}, "pretrained": False}},
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": {"sise": 64}}, ["dataset", "`sise`", "did you mean `size`"]),
        ({"protocol": "fair"}, ["protocol", "fair", "honest"]),
        ({"study": "my study"}, ["study", "'my study'", "letters, digits"]),
        ({"study": "../up"}, ["study", "letters, digits"]),
        ({"seeds": {"runs": []}}, ["seeds.runs"]),
        (
            {"generators": {"ddpm": {"training": {"learning_rate": -1}}}},
            ["ddpm.training.learning_rate", "-1"],
        ),
        (
            {"generators": {"ddpm": {"training": {"learning_rate": float("nan")}}}},
            ["ddpm.training.learning_rate", "nan"],
        ),
        ({"generators": {"ddpm": {"training": {"learning_rate": "1e-4"}}}}, ["ddpm.training.learning_rate", "1.0e-4"]),
        ({"generators": {"ddpm": {"training": {"betas": [0.9, 1.5]}}}}, ["ddpm.training.betas", "1.5"]),
        ({"generators": {"new": {"method": "ddpm"}}}, ["generators.new", "missing key", "`training`"]),
        (
            {"fidelity": {"metrics": {"fid": {"metric": "fid", "extracter": "x"}}}},
            ["metrics.fid", "extracter"],
        ),
        ({"arms": {"x": {"generator": "ddpm"}}}, ["arms.x", "per_class"]),
        ({"arms": {"x": {"real_share": 1.5}}}, ["arms.x.real_share", "1.5"]),
        ({"arms": {"x.draw-2": {}}}, ["arms", "'x.draw-2'", "leave ends like `.seed-2` to `seeds`"]),
        ({"generators": {"ddpm.seed-2": DEFAULT["generators"]["ddpm"]}}, ["generators", "'ddpm.seed-2'"]),
        ({"seeds": {"generators": [2, 3]}}, ["seeds.generators.0", "1 was expected"]),
        ({"seeds": {"draws": [1, 0]}}, ["seeds.draws.1", "0"]),
        ({"assessment": {"modes": ["single", "double"]}}, ["assessment.modes.1", "double"]),
        ({"assessment": {"real_share": 1}}, ["assessment.real_share", "1"]),
        ({"assessment": {"rating": ["a.csv"]}}, ["`rating`", "did you mean `ratings`"]),
        ({"classifiers": {"resnet50": {"training": {"budget": "images"}}}}, ["resnet50.training.budget", "images"]),
    ],
)
def test_mistakes_are_named_by_key(changes, words):
    with pytest.raises(StudyError) as error:
        validate(compose(DEFAULT, changes), SCHEMA)
    for word in words:
        assert word in str(error.value)


def test_all_mistakes_come_at_once():
    with pytest.raises(StudyError) as error:
        validate(compose(DEFAULT, {"protocol": "fair", "threads": 0, "dataset": {"fit": "squash"}}), SCHEMA)
    assert len(error.value.problems) == 3
