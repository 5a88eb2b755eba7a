"""The tool knows the known answers: images that help, images that cannot, and copies.

A small network learns three classes of phantoms from 8 images of each. Further phantoms under their own labels must
help it. The same images under labels drawn by lot must not, and neither must its own training images again.
"""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from house import copy_house, snakemake

from synthworth.phantoms import draw_phantoms

CONFIG = "tests/configs/known_answers.yaml"
VERDICT = "results/known/scores/verdict.json"
CLASSES = ["healthy", "viral", "covid19"]
IMAGES = 90


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house beside whose config lie further phantoms, of another seed than the study's, in a folder per class."""
    house = copy_house(tmp_path_factory.mktemp("known"))
    folder = house / "phantoms"
    counts = dict.fromkeys(CLASSES, IMAGES)
    draw_phantoms(folder / "manifest.csv", folder / "images", counts, seed=1003, size=32, images_per_patient=1)
    rows = pd.read_csv(folder / "manifest.csv")
    labels = {"informative": rows["label"], "mislabelled": np.random.default_rng(3).permutation(rows["label"])}
    for generator, given in labels.items():
        for image, label in zip(rows["image"], given, strict=True):
            (folder / generator / label).mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / image, folder / generator / label)
    return house


@pytest.fixture(scope="module")
def answer(house):
    """The verdict of the study with all its arms."""
    return reached(house)


def reached(house, *arguments):
    snakemake(house, VERDICT, "--cores", "2", "--configfile", CONFIG, *arguments)
    return json.loads((house / VERDICT).read_text())


def test_further_images_of_the_right_classes_help(house, answer):
    train = pd.read_csv(house / "results/known/data/train/index.csv")
    # What is added does not balance the classes: they are as large without it.
    assert train["class"].value_counts().to_dict() == dict.fromkeys(CLASSES, 8)
    assert answer["verdict"] == "helps"
    assert answer["best_arm"] == "informative"
    assert answer["arms"]["informative"]["verdict"] == "helps"
    assert answer["arms"]["informative"]["low_simultaneous"] > 0


def test_images_under_wrong_labels_do_not_help(house, answer):
    assert answer["arms"]["mislabelled"]["verdict"] != "helps"
    assert answer["controls"]["shuffled_labels"]["verdict"] != "helps"
    alone = reached(house, "--config", "arms={informative: false, shuffled_labels: false}")
    assert list(alone["arms"]) == ["mislabelled"]
    assert alone["verdict"] in ("harms", "no evidence")
    assert alone["controls"]["copies"]["verdict"] != "helps"


def test_copies_of_training_images_do_not_help(answer):
    copies = answer["controls"]["copies"]
    assert copies["verdict"] != "helps"
    # Whatever the seeds: an effect of 0 is among those that it may have, and what helps is better.
    assert copies["low_simultaneous"] <= 0
    assert copies["effect"] < answer["arms"]["informative"]["low_simultaneous"]
