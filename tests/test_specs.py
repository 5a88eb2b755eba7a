"""Slices of the config that must fit what stands beside them in a job."""

import json
from pathlib import Path
from types import SimpleNamespace

import yaml

from synthworth.codes import Codes
from synthworth.config import compose
from synthworth.inputs import Inputs
from synthworth.specs import Specs
from synthworth.study import Study

HOUSE = Path(__file__).parents[1]


def demo():
    default, changes = (yaml.safe_load((HOUSE / f"config/{name}.yaml").read_text()) for name in ("config", "demo"))
    return Study(compose(default, changes), HOUSE)


def test_generators_stand_in_the_order_of_their_files():
    # Not in that of the alphabet, by which JSON would sort a mapping.
    study, nothing = demo(), SimpleNamespace()
    assert list(study.config["generators"]) != sorted(study.config["generators"])
    specs, inputs = Specs(study), Inputs(study)
    shards = inputs.recognised(nothing)["shards"]
    for place, (name, _) in enumerate(json.loads(specs.recognise_images(nothing))["generators"]):
        own = shards[place * len(study.classes) : (place + 1) * len(study.classes)]
        assert all(f"/synthesis/{name}/" in shard for shard in own)
    detected = inputs.detected(nothing)
    generators = json.loads(specs.detect_synthetic(nothing))["generators"]
    for (name, size, places), selection in zip(generators, detected["selections"], strict=True):
        assert f"/{name}/" in selection
        assert size == study.size(name)
        for checkpoint, place in places.items():
            scope, step = checkpoint.split("/")
            assert f"/fidelity/{name}/{scope}/step-{step}/" in detected["features"][place]


def test_real_and_synthetic_images_are_compared_within_the_same_cells():
    specs = Specs(demo())
    real = json.loads(specs.compare_real_images(SimpleNamespace(label="healthy")))
    synthetic = [
        json.loads(specs.compare_synthetic_images(SimpleNamespace(generator=name, scope="all", step=step)))
        for name, step in (("lora", 300), ("finetune", 100))
    ]
    assert real["seed"] == synthetic[0]["seed"] == synthetic[1]["seed"]


def test_what_opens_the_keys_of_the_kits_stands_in_no_report():
    study = demo()
    single, pair = SimpleNamespace(study="demo", mode="single"), SimpleNamespace(study="demo", mode="pair")
    made = json.loads(Specs(study).make_rating_kit(single))
    assert made["passphrase"] == "demo 1"
    assert json.loads(Specs(study).make_rating_kit(pair))["seed"] != made["seed"]
    study.config["assessment"]["passphrase"] = "open sesame"
    assert json.loads(Specs(study).make_rating_kit(single))["passphrase"] == "open sesame"
    assert "sesame" not in Specs(study).write_report(single)


def test_the_self_test_hangs_on_the_code_of_its_metrics_and_extractor():
    study = demo()
    config = {**study.config, "fidelity": {**study.config["fidelity"]}}
    codes = Codes(SimpleNamespace(config=config))
    before = codes.selftest("selftest_features")({"extractor": "domain"})
    metrics = config["fidelity"]["metrics"]
    config["fidelity"]["metrics"] = {**metrics, "vendi": {"metric": "vendi", "extractor": "domain"}}
    assert codes.selftest("selftest_features")({"extractor": "domain"}) != before
    config["fidelity"]["metrics"] = metrics
    assert codes.selftest("selftest_features")({"extractor": "domain"}) == before
