"""Every generator learns, and a classifier: what each generator makes of the phantoms after the demo's training,
against what it made before.

Before, a GAN or a DDPM makes noise; the base model of the others makes pictures of chests that were altered (negatives,
spots, poor exposure), as it has not seen the classes' names.
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from house import copy_house, snakemake
from safetensors.torch import load_file

from synthworth.config import compose
from synthworth.features import load_extractor
from synthworth.features.domain import CONFIG_NAME, WEIGHTS_NAME, domain_network, domain_pixels
from synthworth.fidelity.fid import fid
from synthworth.generators import TRAINED, sample, train_generator
from synthworth.specs.generators import NOT_TRAINED
from synthworth.synthesis import conditions

CLASSES = ["healthy", "bacterial"]
IMAGES = 40
RUNS = [f"results/demo/classifiers/test_resnet/oversampling/seed-{seed}/predictions.csv" for seed in (1, 2)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's generators, trained to the end in one segment, what the study trains them on, and a classifier."""
    house = copy_house(tmp_path_factory.mktemp("demo"))
    default, changes = (yaml.safe_load((house / f"config/{name}.yaml").read_text()) for name in ("config", "demo"))
    for entry in changes["generators"].values():
        entry["checkpoints"] = {"every": entry["checkpoints"]["last"], "last": entry["checkpoints"]["last"]}
    # The demo's own arms without synthetic images learn little in its few epochs: most phantoms are healthy.
    changes["arms"] = {
        "baseline": {},
        "gan": {"per_class": [30]},
        "oversampling": {"balance": "oversample", "classifiers": None},
    }
    changes["classifiers"]["test_resnet"]["training"] = {"epochs": 12}
    (house / "once.yaml").write_text(yaml.safe_dump(changes))
    config = compose(default, changes)
    targets = ["results/demo/fidelity/extractors/domain", *RUNS]
    for name in TRAINED:
        entry = config["generators"][name]
        for scope in ["all"] if entry["scope"] == "all" else CLASSES:
            targets.append(f"results/demo/generators/{name}/{scope}/step-{entry['checkpoints']['last']}")
    snakemake(house, *targets, "--configfile", "once.yaml", "--cores", "2")
    return house, config


def untrained(house, config, name, scope, folder):
    """The checkpoint at step 0: a network of random weights, or the base model."""
    results = house / "results/demo"
    entry = config["generators"][name]
    base = results / "base_models" / entry["base_model"] if "base_model" in entry else None
    train_generator(
        images=str(results / "data/train/images-32.npy"),
        index=str(results / "data/train/index.csv"),
        state=None,
        checkpoint=str(folder / "step-0"),
        next_state=str(folder / "state-0.safetensors"),
        name=name,
        classes=CLASSES if scope == "all" else [scope],
        step=0,
        settings={key: value for key, value in entry.items() if key not in NOT_TRAINED},
        seed=1,
        memory={},
        base=base and str(base / "pipeline"),
        encodings=base and str(base / "train-32.safetensors"),
        prior=str(results / f"generators/{name}/prior.safetensors") if entry.get("prior") else None,
    )
    return folder / "step-0"


def drawn(config, name, checkpoint, label):
    entry = config["generators"][name]
    names = {"study_seed": 1, "generator": name, "name": label, "label": label, "prompts": entry.get("prompts")}
    settings = {"size": 32, "channels": 1, "sampling": entry["sampling"]}
    return np.concatenate(list(sample(name, checkpoint, conditions(names, [], 0, IMAGES - 1), settings, IMAGES)))


def towards_the_second(folder, images):
    """How much more a classifier of real phantoms takes each image for the second class than for the first."""
    config = json.loads((folder / CONFIG_NAME).read_text())
    network = domain_network(config["architecture"], config["channels"], len(config["classes"])).eval()
    network.load_state_dict(load_file(folder / WEIGHTS_NAME))
    with torch.inference_mode():
        logits = network(domain_pixels(images, config["size"], config["channels"]))
    first, second = (logits[:, config["classes"].index(label)] for label in CLASSES)
    return (second - first).numpy()


@pytest.mark.parametrize("name", TRAINED)
def test_a_generator_learns_its_classes(demo, name, tmp_path):
    house, config = demo
    results = house / "results/demo"
    entry = config["generators"][name]
    rows = pd.read_csv(results / "data/train/index.csv")
    real = np.load(results / "data/train/images-32.npy")
    extractor = load_extractor("domain", results / "fidelity/extractors/domain")
    images = {}
    for label in CLASSES:
        scope = "all" if entry["scope"] == "all" else label
        trained = results / f"generators/{name}/{scope}/step-{entry['checkpoints']['last']}"
        images[label] = drawn(config, name, trained, label)
        before = drawn(config, name, untrained(house, config, name, scope, tmp_path / label), label)
        reference = extractor(real[rows["class"] == label])
        after, start = fid(reference, extractor(images[label])), fid(reference, extractor(before))
        print(f"{name}, {label}: FID {start:.1f} before, {after:.1f} after")
        assert after < start / 2, (label, after, start)

    # To a classifier that has seen real phantoms only, the two classes' synthetic images differ more than those of one.
    first, second = (towards_the_second(results / "fidelity/extractors/domain", images[label]) for label in CLASSES)
    between, within = second.mean() - first.mean(), np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    print(f"{name}: {between:.2f} between classes, {within:.2f} within")
    assert between > within


@pytest.mark.parametrize("run", RUNS)
def test_a_classifier_learns(demo, run):
    """On phantoms a short training beats the most frequent class."""
    predictions = pd.read_csv(demo[0] / run)
    names = [column.removeprefix("p_") for column in predictions if column.startswith("p_")]
    chosen = predictions[[f"p_{name}" for name in names]].to_numpy().argmax(axis=1)
    accuracy = (np.array(names)[chosen] == predictions["class"]).mean()
    majority = predictions["class"].value_counts(normalize=True).max()
    assert accuracy > majority + 0.05, (accuracy, majority)
