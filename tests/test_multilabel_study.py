"""A study of images with several findings each, some of them uncertain, from drawn phantoms to the report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from house import copy_house, planned, snakemake
from sklearn.metrics import roc_auc_score

from synthworth.phantoms import draw_phantoms

CONFIG = "tests/configs/multilabel.yaml"
FINDINGS = ["bacterial", "fungal"]
CLASSES = ["bacterial", "bacterial_fungal", "fungal", "no_finding"]
PATIENTS = ["healthy", *FINDINGS, "+".join(FINDINGS)]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house with the finished study. Its further phantoms lie in a folder per label; an external test set has fields
    as CheXpert has them, and no labels."""
    house = copy_house(tmp_path_factory.mktemp("multilabel"))
    folder = house / "phantoms"
    options = {"size": 64, "images_per_patient": 1, "findings": FINDINGS}
    draw_phantoms(folder / "further.csv", folder / "images", dict.fromkeys(PATIENTS, 12), seed=1003, **options)
    rows = pd.read_csv(folder / "further.csv")
    for image, label in zip(rows["image"], rows["label"], strict=True):
        (folder / "further" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / image, folder / "further" / label)
    options["uncertain_share"] = 0.1
    draw_phantoms(folder / "theirs.csv", folder / "theirs", dict.fromkeys(PATIENTS, 8), seed=77, **options)
    theirs = pd.read_csv(folder / "theirs.csv").drop(columns="label")
    theirs[FINDINGS] = theirs[FINDINGS].astype(float)
    theirs.assign(patient="their " + theirs["patient"]).to_csv(folder / "elsewhere.csv", index=False)
    snakemake(house, "--cores", "2", "--configfile", CONFIG)
    return house


def scores(house, name):
    return pd.read_csv(house / "results/multilabel/scores" / f"{name}.csv")


def test_indices_have_the_findings_and_a_class_has_the_same_ones(house):
    train = pd.read_csv(house / "results/multilabel/data/train/index.csv", dtype=str, keep_default_na=False)
    assert sorted(set(train["class"])) == CLASSES
    for finding in FINDINGS:
        assert set(train[finding]) == {"1", "0", ""}
        certain = train[train[finding] != ""]
        expected = certain["class"].str.split("_").map(lambda parts, finding=finding: finding in parts)
        assert (certain[finding] == "1").tolist() == expected.tolist()


def test_runs_are_scored_by_finding_and_learn_each(house):
    runs = scores(house, "runs")
    assert set(runs["class"]) == {"all", *FINDINGS}
    file = house / "results/multilabel/classifiers/test_resnet/further/seed-1/predictions.csv"
    predictions = pd.read_csv(file)
    own = runs[(runs["arm"] == "further") & (runs["seed"] == 1)].set_index(["metric", "class"])["value"]
    aurocs = {}
    for finding in FINDINGS:
        known = predictions[predictions[f"y_{finding}"].notna()]
        assert 0 < len(known) < len(predictions)
        aurocs[finding] = roc_auc_score(known[f"y_{finding}"], known[f"p_{finding}"])
        assert own["auroc", finding] == pytest.approx(aurocs[finding])
    assert own["macro_auroc", "all"] == pytest.approx(np.mean(list(aurocs.values())))
    real = runs[(runs["metric"] == "auroc") & runs["arm"].isin(["baseline", "further"])]
    # Of chance 0.5, with a standard error of 0.1 for a single run.
    assert real.groupby("class")["value"].mean().min() > 0.65
    shuffled = runs[(runs["metric"] == "macro_auroc") & (runs["arm"] == "shuffled_labels")]["value"].mean()
    assert shuffled < runs[(runs["metric"] == "macro_auroc") & (runs["arm"] == "baseline")]["value"].mean()


def test_comparisons_are_of_the_same_scores_on_either_test_set(house):
    compared, cells = scores(house, "external"), scores(house, "cells")
    assert set(compared["test_set"]) == {"test split", "elsewhere"}
    assert set(compared["metric"]) == {"macro_auroc"}
    means = cells[cells["metric"] == "macro_auroc"].set_index("arm")["mean"]
    own = compared[(compared["test_set"] == "test split") & (compared["classifier"] == "all")].set_index("arm")
    for arm in ("further", "shuffled_labels"):
        assert own.loc[arm, "effect"] == pytest.approx(means[arm] - means["baseline"])
        assert own.loc[arm, "low"] < own.loc[arm, "effect"] < own.loc[arm, "high"]
    verdict = json.loads((house / "results/multilabel/scores/verdict.json").read_text())
    assert verdict["metric"] == "macro_auroc"
    assert "points of macro AUROC" in verdict["answer"]


def test_synthetic_images_are_recognised_by_finding(house):
    recognition = scores(house, "recognition").set_index(["source", "class"])
    assert set(recognition.index) == {(source, name) for source in ("held-out real", "further") for name in FINDINGS}
    assert recognition.loc["further", "n"].tolist() == [24, 24]
    assert recognition["auroc"].between(0, 1).all()
    confusion = scores(house, "confusion")
    assert set(confusion["class"]) == set(CLASSES)
    assert set(confusion["finding"]) == set(FINDINGS)
    assert (confusion["share"] == confusion["images"] / confusion["n"]).all()


def test_tables_and_report_speak_of_findings(house):
    tables = house / "results/multilabel/tables"
    expected = {
        "table2_classes": ["| class | bacterial |", "| bacterial | present |", "| fungal | present |", "uncertain"],
        "table7_accuracy": ["mean over findings"],
        "table9_per_class": ["Scores of each finding", "| AUROC | baseline |", "bacterial | fungal"],
        "recognition": ["Images recognised as their finding (% and AUROC)"],
        "external_effects": ["elsewhere"],
    }
    for table, words in expected.items():
        text = (tables / f"{table}.md").read_text()
        assert "No scores" not in text
        for word in words:
            assert word in text, (table, word)
    report = (house / "results/multilabel/report/index.html").read_text()
    assert "4 classes: no_finding, bacterial, fungal, bacterial_fungal · 2 findings: bacterial, fungal" in report


def test_a_plan_says_what_could_be_found(house):
    arguments = ("--configfile", CONFIG)
    assert planned(house, *arguments) == {}
    snakemake(house, "plan", "--cores", "1", *arguments)
    text = (house / "results/multilabel/plan.md").read_text()
    assert "points of macro auroc (reckoned for balanced accuracy) would easily be missed" in text
