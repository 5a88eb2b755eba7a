"""Which real images synthetic ones are held against: as published for the metrics, alike where origin counts."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from synthworth.config import compose
from synthworth.inputs import Inputs
from synthworth.specs import Specs
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


@pytest.fixture
def paper():
    """The study of the published protocol, with changes."""
    default, own = (yaml.safe_load((HOUSE / f"config/{name}.yaml").read_text()) for name in ("config", "paper"))

    def paper(**changes):
        return Study(compose(default, {**copy.deepcopy(own), **changes}), HOUSE)

    return paper


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


def test_a_kit_has_held_out_images_and_first_shards_at_the_smallest_size(of):
    inputs = of("domain", 24)
    rated = inputs.rated(SimpleNamespace(mode="single"))
    assert {key: file_of(rated[key]) for key in ("images", "index")} == {
        "images": "data/select/images-24.npy",
        "index": "data/select/index.csv",
    }
    generators, classes = list(inputs.config["generators"]), list(inputs.study.classes)
    assert [file_of(path) for path in rated["shards"]] == [
        f"synthesis/{generator}/{name}/images-0-31.parquet" for generator in generators for name in classes
    ]
    prompted = inputs.rated(SimpleNamespace(mode="prompt"))["shards"]
    assert {path.split("/")[3] for path in prompted} == {"finetune", "lora", "dreambooth"}
    # As many shards as the images are in.
    inputs.config["synthesis"]["shard_size"] = 10
    inputs.config["assessment"]["images"] = 11
    assert len(inputs.rated(SimpleNamespace(mode="single"))["shards"]) == 2 * 15


def test_a_kit_of_the_published_protocol_has_training_images_and_one_of_folds_is_of_the_first(paper):
    rated = Inputs(paper()).rated(SimpleNamespace(mode="single"))
    assert file_of(rated["images"]) == "data/train/images-256.npy"
    folds = paper(protocol="honest", splits={"folds": 3, "fractions": {"train": 0.6, "select": 0.2, "test": 0.2}})
    assert Inputs(folds).kits == ["results/critical-assessment-paper/repeat-1-fold-1/assessment/single/kit"]


def test_images_from_outside_are_held_against_all_images_where_each_is_a_test_image_of_some_fold(paper):
    theirs = {"generators": {"theirs": {"method": "folder", "images": "tests"}}}
    theirs["arms"] = {"baseline": {}, "theirs": {"generator": "theirs", "per_class": [5]}}
    files = Inputs(paper(**theirs)).other_splits(SimpleNamespace())
    assert [file.rpartition("data/")[2] for file in files] == ["train/index.csv"]
    folds = {"folds": 3, "fractions": {"train": 0.6, "select": 0.2, "test": 0.2}}
    assert Inputs(paper(protocol="honest", splits=folds, **theirs)).other_splits(SimpleNamespace()) == []


def test_a_kit_has_images_that_someone_else_made_and_one_training_of_each_generator(paper):
    own = {"ddpm": {}, "theirs": {"method": "folder", "images": "tests"}}
    arms = {"baseline": {}, "ddpm": {}, "theirs": {"generator": "theirs", "per_class": [5, 40]}}
    study = paper(generators=own, arms=arms, seeds={"generators": [1, 2]})
    shards = Inputs(study).rated(SimpleNamespace(mode="single"))["shards"]
    assert {file_of(path).replace("viral", "healthy") for path in shards if "healthy" in path} == {
        "synthesis/ddpm/healthy/images-0-249.parquet",
        "synthesis/theirs/healthy/images-0-4.parquet",
        "synthesis/theirs/healthy/images-5-39.parquet",
    }


def test_a_larger_dose_leaves_a_kit_as_it_is_but_of_images_that_someone_else_made(paper):
    own = {"ddpm": {}, "theirs": {"method": "folder", "images": "tests"}}

    def made_of(doses, generator):
        study = paper(generators=own, arms={"baseline": {}, "arm": {"generator": generator, "per_class": doses}})
        single = SimpleNamespace(study=study.name, mode="single")
        return Inputs(study).rated(single), Specs(study).make_rating_kit(single)

    # Of the smaller dose, too, the whole shard is there to draw from.
    assert made_of([10], "ddpm") == made_of([10, 1000], "ddpm")
    assert made_of([10], "ddpm")[0]["shards"][0].endswith("images-0-249.parquet")
    assert made_of([10], "theirs") != made_of([10, 1000], "theirs")


def test_the_report_has_kits_until_there_are_ratings(of, tmp_path):
    inputs = of("domain")
    wildcards = SimpleNamespace(study="demo")
    assert inputs.report(wildcards)["kits"] == ["results/demo/assessment/single/kit"]
    (tmp_path / "a.csv").write_text("kit,mode,reader,item,quality,plausibility\nk,single,A,1,3,\n")
    inputs.config["assessment"]["ratings"] = [str(tmp_path / "a.csv")]
    assert inputs.report(wildcards)["kits"] == []


def test_the_studys_own_extractor_has_one_reference_for_all(of):
    inputs = of("domain")
    scored = inputs.scored(SimpleNamespace(generator="lora", scope="all", step="300", metric="kid_held_out"))
    assert set(inputs.detected(SimpleNamespace())["references"]) == {scored["reference"]}
