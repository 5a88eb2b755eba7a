"""Cross-validation: parts of a study that share nothing but what does not hang on the split, and their sum."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from house import HOUSE, TINY, copy_house, planned_files

from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.inputs import Inputs
from synthworth.inputs.report import OF_PARTS, RATED, TABLE_SCORES
from synthworth.report import write_report
from synthworth.scores import write_runs
from synthworth.specs import Specs
from synthworth.statistics.predictions import name_files, read_predictions
from synthworth.study import Study

FOLDS = ["results/tiny/repeat-1-fold-1", "results/tiny/repeat-1-fold-2"]
# What folds have in common: it is there before patients are split, or the same whoever is trained on.
SHARED = ("results/tiny/phantoms/", "results/tiny/data/index.csv", "results/tiny/weights/")
# Once in a study, however many folds it has.
ONCE = ("all", "draw_phantoms", "inspect_images", "record_weights")
POOLED = ("collect_runs", "compare_arms", "compare_generators", "reach_verdict")


def study(**changes):
    default, own = (yaml.safe_load((HOUSE / name).read_text()) for name in ("config/config.yaml", TINY))
    return Study(compose(default, own | changes))


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The jobs of the tiny study with two folds."""
    house = copy_house(tmp_path_factory.mktemp("folds"))
    return planned_files(house, "--configfile", TINY, "--config", "splits={folds: 2}")


def test_each_fold_has_the_jobs_of_a_study_and_the_statistics_run_once(jobs):
    whole, parts = Counter(), {folder: Counter() for folder in FOLDS}
    for rule, _, outputs in jobs:
        folder = next((folder for folder in FOLDS if outputs and outputs[0].startswith(f"{folder}/")), None)
        (parts[folder] if folder else whole)[rule] += 1
    # Readers look at one set of generators.
    assert parts[FOLDS[0]].pop("make_rating_kit") == 1
    assert parts[FOLDS[0]] == parts[FOLDS[1]]
    # 2 classes x 2 steps, 3 arms x 2 seeds, as in the study without folds.
    part = parts[FOLDS[0]]
    assert part["train_generator"] == part["finish_generator"] == 2
    assert part["train_classifier"] == part["evaluate_classifier"] == 6
    assert part["split_patients"] == part["describe_data"] == part["write_report"] == part["train_extractor"] == 1
    assert not set(part) & {*ONCE, *POOLED}
    absent = ("external_effects", "worth")
    own = [file for name, file in TABLE_SCORES.items() if file not in (*OF_PARTS, *RATED) and name not in absent]
    assert whole.pop("render_table") == len(own)
    assert whole.pop("draw_figure") == 2
    assert whole == dict.fromkeys((*ONCE, *POOLED, "describe_data", "write_report"), 1)


def test_only_evaluation_and_what_comes_after_it_can_reach_a_fold_s_test_images(jobs):
    for folder in FOLDS:
        reached, rules, before = {f"{folder}/data/test/index.csv"}, set(), None
        while before != len(reached):
            before = len(reached)
            for rule, inputs, outputs in jobs:
                if reached & set(inputs):
                    rules.add(rule)
                    reached.update(outputs)
        after = {"render_images", "evaluate_classifier", "describe_data", "render_table", "draw_figure", "write_report"}
        assert rules == {*after, *POOLED, "all"}
        figures = {Path(file).stem for file in reached if "/figures/" in file}
        assert figures == {"figure7_accuracy_change", "figure_effects"}


def test_a_fold_reads_nothing_of_another(jobs):
    checked = 0
    for _, inputs, outputs in jobs:
        for folder in FOLDS:
            if outputs and outputs[0].startswith(f"{folder}/"):
                strange = [file for file in inputs if not file.startswith((f"{folder}/", *SHARED))]
                assert not strange, outputs
                checked += 1
    assert checked > 100


@pytest.mark.parametrize(("source", "folder"), [("owner/model", "results/tiny"), ({}, "results/{study}")])
def test_a_base_model_of_the_training_images_is_the_fold_s_own_and_one_from_elsewhere_is_shared(source, folder):
    cut = study(
        splits={"folds": 2},
        base_models={"base": source},
        generators={"dreambooth": {"base_model": "base"}},
        arms={"baseline": {}, "dreambooth": {"per_class": [4]}},
    )
    of_job = SimpleNamespace(study="tiny/repeat-1-fold-1", generator="dreambooth", scope="all", step="200")
    training = Inputs(cut).training_set(of_job)
    # `{study}` stands for the part, which Snakemake fills in.
    assert training["base"] == f"{folder}/base_models/base/pipeline"
    assert training["prior"] == f"{folder}/generators/dreambooth/prior.safetensors"
    assert training["encodings"] == "results/{study}/base_models/base/train-512.safetensors"
    assert training["images"] == "results/{study}/data/train/images-512.npy"


def test_names_and_files_of_the_pooled_runs_are_in_the_same_order():
    cut = study(splits={"folds": 2, "repeats": 2})
    for name in ("tiny", "tiny/repeat-2-fold-1"):
        wildcards = SimpleNamespace(study=name)
        names = json.loads(Specs(cut).collect_runs(wildcards))["names"]
        runs = name_files(names, Inputs(cut).predictions(wildcards))
        assert len(runs) == len(cut.runs) * (2 if name == "tiny" else 1)
        for run in runs:
            assert all(f"/{run['arm']}/seed-{run['seed']}/" in file for file in run["path"])
            if name == "tiny":
                folders = [file.split("/classifiers/")[0] for file in run["path"]]
                assert folders == [f"results/tiny/repeat-{run['repeat']}-fold-{fold}" for fold in (1, 2)]
            else:
                assert len(run["path"]) == 1
    assert "repeat" not in json.loads(Specs(study()).collect_runs(SimpleNamespace(study="tiny")))["names"][0]


def test_folds_of_a_repeat_are_dealt_from_one_seed_and_repeats_from_another():
    specs = Specs(study(splits={"folds": 2, "repeats": 2}))
    parts = [(repeat, fold) for repeat in (1, 2) for fold in (1, 2)]
    found = [
        json.loads(specs.split_patients(SimpleNamespace(study=f"tiny/repeat-{repeat}-fold-{fold}")))
        for repeat, fold in parts
    ]
    assert [spec["fold"] for spec in found] == [1, 2, 1, 2]
    assert found[0]["seed"] == found[1]["seed"] != found[2]["seed"] == found[3]["seed"]


@pytest.fixture
def predictions(tmp_path):
    """Files of two runs in two folds of six and four images, and the runs' names."""
    generator = np.random.default_rng(0)
    files = []
    for run in range(2):
        for fold, count in enumerate((6, 4)):
            numbers = range(10 * fold, 10 * fold + count)
            p = generator.random(count)
            frame = pd.DataFrame({"image": [f"{number:02d}.png" for number in numbers]})
            frame = frame.assign(patient=frame["image"], **{"class": ["NA" if n % 2 else "b" for n in numbers]})
            files.append(tmp_path / f"{run}-{fold}.csv")
            frame.assign(p_NA=p, p_b=1 - p).to_csv(files[-1], index=False)
    names = {"classifier": "c", "arm": "baseline", "generator": "baseline", "dose": 0, "seed": 1}
    return files, [names | {"repeat": repeat} for repeat in (1, 2)]


def test_the_predictions_of_folds_become_one_test_set(predictions, tmp_path):
    files, names = predictions
    read = read_predictions(name_files(names, files))
    assert read.probabilities.shape == (2, 10, 2)
    assert read.runs["repeat"].tolist() == [1, 2]
    write_runs(files, tmp_path / "runs.csv", tmp_path / "cells.csv", names, ["NA", "b"], 1)
    runs = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False)
    accuracy = runs.loc[(runs["metric"] == "accuracy") & (runs["repeat"] == 2), "value"].item()
    both = pd.concat([pd.read_csv(file, keep_default_na=False) for file in files[2:]])
    assert accuracy == pytest.approx(((both["p_NA"] > 0.5) == (both["class"] == "NA")).mean())


def test_an_image_in_two_folds_or_in_none_is_named(predictions, tmp_path):
    files, names = predictions
    with pytest.raises(StudyError) as error:
        read_predictions(name_files(names, [files[0], files[0], *files[2:]]))
    assert "0-0.csv: an image stands twice; each test image is predicted once, in one fold" in error.value.problems[0]
    pd.read_csv(files[3]).iloc[1:].to_csv(files[3], index=False)
    with pytest.raises(StudyError, match="other images, patients or classes"):
        read_predictions(name_files(names, files))
    with pytest.raises(StudyError, match=r"1-1\.csv: other test images"):
        write_runs(files, tmp_path / "runs.csv", tmp_path / "cells.csv", names, ["NA", "b"], 1)
    with pytest.raises(ValueError, match="3 files of predictions for 2 runs"):
        name_files(names, files[:3])


def page(folder, **own):
    shown = dict.fromkeys(["duplicates", "detection", "copies", "audits", "commit"]) | {"tables": [], "figures": []}
    (folder / "report").mkdir(parents=True)
    write_report(str(folder / "report/index.html"), config=study().config, classes=["a", "b"], **shown | own)
    return (folder / "report/index.html").read_text()


def test_the_reports_of_a_study_and_its_folds_lead_to_each_other(tmp_path):
    verdict, tests = tmp_path / "verdict.json", tmp_path / "generators.csv"
    verdict.write_text(json.dumps({"verdict": "no evidence", "answer": "So it is."}))
    tests.write_text("test,p,reason\nkruskal_wallis,,fewer than two groups\n")
    tables = []
    for name in ("effects", "table7_accuracy", "table8_accuracy_change", "table9_per_class"):
        tables.append(tmp_path / f"{name}.html")
        tables[-1].write_text(f"<table><caption>{name}</caption></table>")
    reports = [str(tmp_path / f"repeat-1-fold-{fold}/report/index.html") for fold in (1, 2)]
    titles = ["fold 1 of 2, repeat 1", "fold 2 of 2, repeat 1"]
    answers = {"verdict": str(verdict), "tests": str(tests), "tables": [str(table) for table in tables]}
    whole = page(tmp_path, **answers, parts=titles, reports=reports)
    assert '<a href="../repeat-1-fold-2/report/index.html">Fold 2 of 2, repeat 1</a>' in whole
    assert 'id="generators"' not in whole
    part = page(Path(reports[1]).parents[1], verdict=None, tests=None, part=titles[1])
    assert "fold 2 of 2, repeat 1" in part
    assert '<a href="../../report/index.html">' in part
    assert "So it is." in whole
    assert "No evidence" not in part
    assert 'id="generators"' in part
    for text in (whole, part):
        links = {link.split('"')[0] for link in text.split('href="#')[1:]}
        assert links == {link.split('"')[0] for link in text.split('<h2 id="')[1:]} - {"copies"}
