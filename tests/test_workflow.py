"""The DAG: what runs, and what no training job may see."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from house import HOUSE, TINY, command, copy_house, environment, planned, planned_files, snakemake

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A manifest of a few files; a dry run reads no image."""
    folder = tmp_path_factory.mktemp("manifest")
    rows = []
    for label in ("viral", "healthy", "fungal", "covid19", "bacterial"):
        for number in range(2):
            (folder / f"{label}{number}.png").touch()
            rows.append({"image": f"{label}{number}.png", "patient": f"{label}{number}", "label": label})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return f"dataset={{manifest: {folder / 'manifest.csv'}}}"


@pytest.fixture(scope="module")
def studies(manifest, tmp_path_factory):
    """{name: all jobs} of two studies, which several tests look at."""
    house = copy_house(tmp_path_factory.mktemp("studies"))
    return {
        "demo": planned_files(house, "--configfile", "config/demo.yaml", "--resources", "gpu=2"),
        "paper": planned_files(
            house, "--configfile", "config/paper.yaml", "--config", manifest, "--resources", "gpu=2"
        ),
    }


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_the_jobs_of_a_study_are_the_golden_ones(studies, name):
    assert Counter(rule for rule, _, _ in studies[name]) == golden(name)


def test_the_jobs_of_the_default_study_are_the_golden_ones(manifest, tmp_path):
    house = copy_house(tmp_path)
    jobs = planned(house, "--configfile", "config/config.yaml", "--config", manifest, "--resources", "gpu=2")
    assert jobs == golden("config")


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


def ancestors(jobs, files):
    """All files that `files` hang on, through any job."""
    made_by = {output: inputs for _, inputs, outputs in jobs for output in outputs}
    found, waiting = set(), list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(made_by.get(file, []))
    return found


# And of scoring, auditing and readers.
JOBS_OF_TRAINING = (
    *("train_", "finish_", "encode_", "sample_", "synthesize_", "select_", "score_", "extract_", "reference_"),
    *("measure_", "selftest_", "recognise_", "detect_", "compare_real", "compare_synthetic", "audit_", "flag_"),
    "make_rating_kit",
)


def test_no_training_selection_or_sampling_job_can_reach_a_test_image(studies):
    jobs = studies["demo"]
    readers = [rule for rule, inputs, _ in jobs if any("/data/test/" in file for file in inputs)]
    assert set(readers) == {"render_images", "evaluate_classifier", "describe_data"}
    checked = set()
    for rule, inputs, _ in jobs:
        if rule.startswith(JOBS_OF_TRAINING):
            checked.add(rule)
            assert not any("/data/test/" in file for file in ancestors(jobs, inputs)), rule
    assert len(checked) == 22


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
