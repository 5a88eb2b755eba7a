"""External test sets: who may be in one, what runs for it, and what is said of it beside the study's own test split."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from house import HOUSE, TINY
from PIL import Image

from synthworth.cells import OWN_TEST_SET
from synthworth.config import compose
from synthworth.contradictions import contradictions
from synthworth.duplicates import near_own_images
from synthworth.errors import StudyError
from synthworth.external import collect_external, external_problems, write_external
from synthworth.ingestion import inspect_images, write_index
from synthworth.inputs import Inputs
from synthworth.manifest import read_manifest
from synthworth.scores import write_runs
from synthworth.specs import Specs
from synthworth.statistics.outputs import write_comparisons
from synthworth.study import Study
from synthworth.tables import render_table

CLASSES = {"healthy": "healthy", "viral": "viral pneumonia", "fungal": "fungal"}


def draw(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 255, (6, 6), np.uint8)
    Image.fromarray(cv2.resize(noise, (48, 40))).save(path)


def make_manifest(folder, rows, first=0):
    """A manifest of (image, patient, label), its images drawn from the number `first` on."""
    for number, (image, *_) in enumerate(rows, start=first):
        draw(folder / image, number)
    path = folder / "manifest.csv"
    pd.DataFrame(rows, columns=["image", "patient", "label"]).to_csv(path, index=False)
    return path


def index_of(folder, rows, first=0, external=True):
    return inspect_images(read_manifest(make_manifest(folder, rows, first)), folder, CLASSES, external=external)


THEIRS = [
    *(("1.png", "t1", "healthy"), ("2.png", "t2", "healthy"), ("3.png", "t2", "healthy")),
    *(("4.png", "t3", "viral pneumonia"), ("5.png", "t4", "viral pneumonia")),
]
OWN_ROWS = [("1.png", "p1", "healthy"), ("2.png", "p2", "viral pneumonia"), ("3.png", "p3", "fungal")]


@pytest.fixture
def indices(tmp_path):
    """An external index, and the study's own with its splits."""
    own = index_of(tmp_path / "own", OWN_ROWS, first=100, external=False)
    return index_of(tmp_path / "theirs", THEIRS), own.assign(split=["train", "select", "test"])


def test_a_set_of_other_patients_has_no_problems(indices):
    theirs, own = indices
    # Names of files say nothing: both manifests have a 1.png. A class may be missing.
    assert list(external_problems(theirs, own)) == []
    assert near_own_images(theirs, own).empty


def test_labels_must_be_the_study_s_and_other_splits_are_not_looked_at(tmp_path):
    manifest = make_manifest(tmp_path, [*THEIRS, ("6.png", "t6", "fungus")])
    frame = read_manifest(manifest).assign(split="whatever")
    with pytest.raises(StudyError) as error:
        inspect_images(frame, tmp_path, CLASSES, external=True)
    assert error.value.problems == [
        "row 7, 6.png: label 'fungus' is not in the config (did you mean 'fungal'?); correct it, or remove the row"
    ]
    assert "split" not in inspect_images(frame.iloc[:5], tmp_path, CLASSES, external=True)


@pytest.mark.parametrize("split", ["train", "select", "test"])
def test_an_image_of_the_study_s_own_is_refused_by_its_content(indices, split):
    theirs, own = indices
    leak = own.index[own["split"] == split][0]
    theirs.loc[0, "sha256"] = own.loc[leak, "sha256"]
    assert list(external_problems(theirs, own)) == [
        f"1.png: the same file as the study's own {own.loc[leak, 'image']} ({split}); remove the row"
    ]


def test_a_patient_of_the_study_s_own_is_refused_once(indices):
    theirs, own = indices
    theirs.loc[[1, 2], "patient"] = "p1"
    problems = list(external_problems(theirs, own))
    assert len(problems) == 1
    assert "patient 'p1' is one of the study's own (train)" in problems[0]


def test_sets_too_small_to_say_anything_are_refused(indices):
    theirs, own = indices
    assert "class 'viral': one patient" in "".join(external_problems(theirs.iloc[:4], own))
    assert "all images are of class 'healthy'" in "".join(external_problems(theirs.iloc[:3], own))


def test_near_duplicates_of_the_study_s_images_are_reported_and_no_others(tmp_path, indices):
    theirs, own = indices
    # Two are alike within the set, and two within the study; the set's fourth is nearly the study's second.
    theirs.loc[1, "hash"] = theirs.loc[0, "hash"]
    own.loc[2, "hash"] = own.loc[0, "hash"]
    theirs.loc[3, "hash"] = f"{int(own.loc[1, 'hash'], 16) ^ 0b101:064x}"
    found = near_own_images(theirs, own)
    assert found.to_dict("records") == [
        {"image": "4.png", "patient": "t3", "own_image": "2.png", "own_patient": "p2", "own_split": "select"}
        | {"distance": 2}
    ]


def test_the_whole_path_from_manifests_to_the_table(tmp_path):
    own_manifest = make_manifest(tmp_path / "own", OWN_ROWS, first=100)
    write_index(tmp_path / "own.csv", CLASSES, manifest=own_manifest)
    write_index(tmp_path / "index.csv", CLASSES, manifest=make_manifest(tmp_path / "b", THEIRS), external=True)
    write_external(
        tmp_path / "index.csv", [tmp_path / "own.csv"], tmp_path / "test.csv", tmp_path / "p", splits=["train"]
    )
    images = pd.read_csv(tmp_path / "test.csv", dtype=str)
    assert images["image"].tolist() == [image for image, *_ in THEIRS]
    assert images["class"].tolist() == ["healthy"] * 3 + ["viral"] * 2

    generator = np.random.default_rng(0)
    names, files = [], []
    for arm, dose in (("baseline", 0), ("2024+5", 5), ("2024+9", 9)):
        for seed in (1, 2):
            frame = images[["image", "patient", "class"]].copy()
            chances = generator.dirichlet(np.ones(len(CLASSES)), len(frame))
            frame[[f"p_{name}" for name in CLASSES]] = chances
            files.append(tmp_path / f"{arm}-{seed}.csv")
            frame.to_csv(files[-1], index=False)
            names.append({"classifier": "c", "arm": arm, "generator": arm.split("+")[0], "dose": dose, "seed": seed})
    comparisons = tmp_path / "comparisons.csv"
    write_comparisons(files, comparisons, tmp_path / "components.csv", names=names, baseline="baseline", replicates=50)
    write_runs(files, tmp_path / "runs.csv", tmp_path / "cells.csv", names, list(CLASSES), 1)
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert len(runs[runs["metric"] == "balanced_accuracy"]) == 6
    assert not runs["value"].isna().any()

    pairs = pd.DataFrame([["1.png", "train"], ["1.png", "select"], ["2.png", "test"]], columns=["image", "own_split"])
    pairs.to_csv(tmp_path / "p", index=False)
    sets = tmp_path / "external.csv"
    scores = (comparisons, tmp_path / "cells.csv")
    twice = [[path] * 2 for path in (*scores, tmp_path / "p")]
    collect_external(scores, *twice, sets, names=["2030", "a_b"], baseline="baseline")
    own = runs[(runs["metric"] == "balanced_accuracy") & (runs["arm"] == "baseline")]["value"].mean()
    assert pd.read_csv(sets)["baseline_score"].unique() == pytest.approx(own)
    kinds = ("csv", "md", "tex", "html")
    render_table(
        "external_effects", sets, *(tmp_path / f"table.{kind}" for kind in kinds), study="s", protocol="honest"
    )
    table = pd.read_csv(tmp_path / "table.csv", dtype=str)
    assert table["Test images"].tolist() == [OWN_TEST_SET, "2030", "a_b"] * 2
    assert table["Arm"].tolist() == ["2024+5"] * 3 + ["2024+9"] * 3
    assert len(set(table["Effect"])) == 2
    note = (tmp_path / "table.html").read_text()
    assert f"test split: baseline {100 * own:.1f}, 5 images of 4 patients." in note
    assert f"2030: baseline {100 * own:.1f}, 5 images of 4 patients, 1 of them nearly the same as images that" in note


@pytest.fixture
def study(tmp_path):
    default, tiny = (yaml.safe_load((HOUSE / name).read_text()) for name in ("config/config.yaml", TINY))

    def study(**changes):
        manifest = str(make_manifest(tmp_path, THEIRS))
        return compose(default, tiny | {"dataset": tiny["dataset"] | {"external": {"b": manifest}}} | changes)

    return study


def test_folds_and_missing_manifests_are_contradictions(study, tmp_path):
    assert "set splits.folds to null" in "".join(contradictions(study(splits={"folds": 2}), HOUSE))
    lost = study()
    lost["dataset"]["external"]["b"] = str(tmp_path / "lost.csv")
    assert any(problem.startswith("dataset.external.b: there is no file") for problem in contradictions(lost, HOUSE))
    assert list(contradictions(study(), HOUSE)) == []


def test_jobs_of_a_set_take_its_own_images_and_the_study_s_models(study, tmp_path):
    of_set = Study(study(), HOUSE)
    wildcards = SimpleNamespace(study="tiny/external/b", classifier="test_resnet", arm="baseline", seed="1")
    inputs, specs = Inputs(of_set), Specs(of_set)
    tested = inputs.test_data(wildcards)
    assert tested["classifier"].startswith("results/tiny/classifiers/")
    assert tested["index"] == "results/{study}/data/test/index.csv"
    assert inputs.dataset(wildcards) == [str(tmp_path / name) for name in ("manifest.csv", *(row[0] for row in THEIRS))]
    assert json.loads(specs.render_images(wildcards))["manifest"] == str(tmp_path / "manifest.csv")
    wildcards.study = "tiny"
    assert inputs.test_data(wildcards)["classifier"].startswith("results/{study}/classifiers/")
    assert json.loads(specs.render_images(wildcards))["manifest"] == "results/tiny/phantoms/manifest.csv"
    assert "external" not in json.loads(specs.inspect_images(wildcards))
