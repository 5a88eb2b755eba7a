"""The DAG: what runs, and what no training job may see."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from house import HOUSE, TINY, command, copy_house, environment, planned, planned_files, snakemake

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A manifest of a few files, in a folder for each class; a dry run reads no image."""
    folder = tmp_path_factory.mktemp("manifest")
    rows = []
    for label in ("viral", "healthy", "fungal", "covid19", "bacterial"):
        (folder / label).mkdir()
        for number in range(2):
            (folder / label / f"{number}.png").touch()
            rows.append({"image": f"{label}/{number}.png", "patient": f"{label}{number}", "label": label})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def studies(manifest, tmp_path_factory):
    """{name: all jobs} of studies, which several tests look at."""
    house = copy_house(tmp_path_factory.mktemp("studies"))
    own = f"dataset={{manifest: {manifest}}}"
    # Images that someone else made, copies dropped.
    theirs = [
        f"generators={{theirs: {{method: folder, images: {manifest.parent}}}}}",
        "arms={theirs: {generator: theirs, per_class: 4}}",
        "memorization={filter_copies: drop}",
    ]
    arguments = {
        "demo": ["config/demo.yaml", "--resources", "gpu=2"],
        "paper": ["config/paper.yaml", "--resources", "gpu=2", "--config", own],
        "config": ["config/config.yaml", "--resources", "gpu=2", "--config", own],
        "theirs": [TINY, "--config", *theirs, f"dataset={{external: {{b: {manifest}}}}}"],
        "folds": [TINY, "--config", *theirs, "splits={folds: 2}"],
    }
    return {name: planned_files(house, "--configfile", *own) for name, own in arguments.items()}


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["demo", "paper", "config"])
def test_the_jobs_of_a_study_are_the_golden_ones(studies, name):
    assert Counter(rule for rule, _, _ in studies[name]) == golden(name)


def test_the_jobs_of_the_published_tables_are_the_golden_ones(tmp_path):
    assert planned(copy_house(tmp_path), "published") == golden("published")


def test_published_tables_need_no_training_and_no_torch(tmp_path):
    house = copy_house(tmp_path)
    snakemake(house, "--cores", "2", "published", warm=False)
    changes = pd.read_csv(house / "results/published/tables/table8_accuracy_change.csv").set_index("Training data")
    printed = pd.read_csv(HOUSE / "resources/published/table8_accuracy_change.csv")
    assert len(printed) == 35
    for row in printed.itertuples():
        assert changes.loc[row.generator, row.classifier] == pytest.approx(row.change_pp, abs=1e-9)
    for log in (house / "results/published/logs").rglob("*.log"):
        assert "torch" not in log.read_text().split("packages")[0]
    imported = (
        "import sys; import synthworth.tables, synthworth.figures, synthworth.published; print('torch' in sys.modules)"
    )
    output = subprocess.run(
        [command()[0], "-c", imported], cwd=house / "workflow/scripts", capture_output=True, text=True, check=True
    )
    assert output.stdout == "False\n"


def made_of(jobs, files):
    """All files that jobs make of `files`, directly or not, and these."""
    users = {}
    for _, inputs, outputs in jobs:
        for file in inputs:
            users.setdefault(file, []).append(outputs)
    found, waiting = set(), list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(output for outputs in users.get(file, []) for output in outputs)
    return found


# And of scoring, auditing and readers.
JOBS_OF_TRAINING = (
    *("train_", "finish_", "encode_", "sample_", "synthesize_", "import_", "select_", "score_", "extract_"),
    *("reference_", "measure_", "selftest_", "recognise_", "detect_", "compare_real", "compare_synthetic", "audit_"),
    *("flag_", "make_rating_kit"),
)
READERS = {"render_images", "evaluate_classifier", "describe_data"}


@pytest.mark.parametrize(
    ("name", "readers", "rules"),
    [
        ("demo", READERS, 22),
        ("config", READERS, 20),
        # Its own test images are held against those of the study, so that none is in both.
        ("theirs", READERS | {"check_external"}, 21),
        ("folds", READERS, 21),
    ],
)
def test_no_training_selection_or_sampling_job_can_reach_a_test_image(studies, name, readers, rules):
    jobs = studies[name]
    tests = {file for _, inputs, _ in jobs for file in inputs if "/data/test/" in file}
    assert {rule for rule, inputs, _ in jobs if tests & set(inputs)} == readers
    seen = made_of(jobs, tests)
    training = [(rule, inputs) for rule, inputs, _ in jobs if rule.startswith(JOBS_OF_TRAINING)]
    assert {rule for rule, inputs in training if seen & set(inputs)} == set()
    assert len({rule for rule, _ in training}) == rules


@pytest.mark.parametrize("name", ["demo", "config", "theirs", "folds"])
def test_the_index_of_all_images_serves_training_as_a_guard_alone(studies, name):
    # It has test images, too. Images that someone else made are refused where they are among the study's own.
    index = {
        file for _, inputs, _ in studies[name] for file in inputs if re.fullmatch(r"results/[^/]+/data/index.csv", file)
    }
    assert len(index) == 1
    takers = {rule for rule, inputs, _ in studies[name] if index & set(inputs)}
    guarded = {"import_generator"} if name in ("theirs", "folds") else set()
    assert {rule for rule in takers if rule.startswith(JOBS_OF_TRAINING)} == guarded


def test_the_published_protocol_does_read_the_test_split(studies):
    jobs = studies["paper"]
    trainings = [inputs for rule, inputs, _ in jobs if rule == "train_classifier"]
    assert trainings
    assert all(any("/data/test/" in file for file in inputs) for inputs in trainings)
    assert not any("/data/test/" in file for rule, inputs, _ in jobs if rule == "train_generator" for file in inputs)


@pytest.mark.parametrize("arguments", [[], ["--resources", "gpu=2"]])
def test_without_a_dataset_the_study_stops_at_once_and_says_what_to_do(tmp_path, arguments):
    output = snakemake(copy_house(tmp_path), "--cores", "all", *arguments, check=False)
    for words in ("dataset.manifest", "image,patient,label", "dataset.folder", "--config"):
        assert words in output
    assert "Traceback" not in output


def test_a_mistake_in_the_config_is_named(tmp_path):
    output = snakemake(
        copy_house(tmp_path), "--dry-run", "--configfile", TINY, "--config", "dataset={sise: 3}", check=False
    )
    assert "dataset: unknown key `sise`; did you mean `size`?" in output
    assert "Traceback" not in output


def test_the_slurm_profile_dry_runs(tmp_path):
    jobs = planned(copy_house(tmp_path), "--profile", "profiles/slurm", "--configfile", "config/demo.yaml")
    assert jobs == golden("demo")


def test_the_default_profile_is_loaded_by_itself(tmp_path):
    output = snakemake(copy_house(tmp_path), "--dry-run", "published")
    assert "profiles/default" in output


def test_lint_is_clean(tmp_path):
    house = copy_house(tmp_path)
    done = subprocess.run(command("--lint"), cwd=house, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
