"""Which real images synthetic ones are held against: as published for the metrics, alike where origin counts."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from synthworth.config import compose
from synthworth.inputs import Inputs
from synthworth.study import Study

HOUSE = Path(__file__).parents[1]


@pytest.fixture
def of():
    """The inputs of the demo with an extractor of a kind, and a size of its own for one generator."""
    default, changes = (yaml.safe_load((HOUSE / f"config/{name}.yaml").read_text()) for name in ("config", "demo"))

    def of(kind, size=None):
        config = copy.deepcopy(compose(default, changes))
        config["fidelity"]["extractors"]["domain"]["kind"] = kind
        config["generators"]["lora"]["size"] = size
        return Inputs(Study(config, HOUSE))

    return of


def file_of(path):
    return path.split("/", 2)[2]


def test_metrics_have_real_images_as_the_extractor_looks_at_them_and_audits_as_generators_draw(of):
    inputs = of("xrv", 48)
    scored = inputs.scored(SimpleNamespace(generator="lora", scope="all", step="300", metric="fid"))
    assert file_of(scored["reference"]) == "fidelity/reference/domain/train-224.npz"
    floor = inputs.floor_images(SimpleNamespace(metric="fid"))
    assert {file_of(path) for path in floor.values()} == {"fidelity/reference/domain/train-224.npz"}
    names = list(inputs.config["generators"])
    sizes = {name: 48 if name == "lora" else 32 for name in names}
    assert [file_of(path) for path in inputs.detected(SimpleNamespace())["references"]] == [
        f"fidelity/reference/domain/select-{sizes[name]}.npz" for name in names
    ]
    for name in ("ddpm", "lora"):
        wildcards = SimpleNamespace(generator=name, label="viral", size=str(sizes[name]))
        beside = inputs.real_images_beside(wildcards)
        assert beside == inputs.real_images(wildcards)
        assert file_of(beside["train_images"]) == f"data/train/images-{sizes[name]}.npy"
        assert file_of(beside["held_out_features"]) == f"fidelity/reference/domain/select-{sizes[name]}.npz"
        flagging = inputs.flagging(wildcards)
        assert flagging["train_features"] == beside["train_features"]
        for path in (*inputs.memorization_references(wildcards), *flagging["references"]):
            assert file_of(path).startswith(f"memorization/reference/{sizes[name]}/")


def test_the_studys_own_extractor_has_one_reference_for_all(of):
    inputs = of("domain")
    scored = inputs.scored(SimpleNamespace(generator="lora", scope="all", step="300", metric="kid_held_out"))
    assert set(inputs.detected(SimpleNamespace())["references"]) == {scored["reference"]}
