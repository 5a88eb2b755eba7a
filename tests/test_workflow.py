"""The DAG: what runs, what runs again after a change, and what no training job may see."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from house import HOUSE, TINY, command, copy_house, environment, planned, planned_files, snakemake

GOLDEN = Path(__file__).parent / "golden"
# From a training on: what comes after scores of runs.
AFTER_RUNS = {
    "collect_runs": 1,
    "compare_arms": 1,
    "compare_generators": 1,
    "reach_verdict": 1,
    "render_table": 4,  # accuracy, its change, per class, effects
    "draw_figure": 2,  # accuracy change, effects
    "write_report": 1,
    "all": 1,
}
# From a generator's checkpoints on, for two classes, two steps, three arms of which two are synthetic, two seeds.
AFTER_SELECTION = AFTER_RUNS | {
    "collect_curves": 1,
    "select_checkpoint": 1,
    "collect_fidelity": 1,
    "recognise_images": 1,
    "detect_synthetic": 1,
    "audit_generator": 1,
    "collect_memorization": 2,
    "draw_closest_pairs": 1,
    "synthesize_shard": 4,
    "train_classifier": 4,
    "evaluate_classifier": 4,
    "render_table": 9,
    # All but the other curves, which the tiny study has none of, and the self-test.
    "draw_figure": 7,
    "draw_synthetic_samples": 1,
    "draw_generator_samples": 1,
    "draw_progression": 1,
}


def test_a_finished_study_has_nothing_to_do(finished):
    output = snakemake(finished, "--cores", "2", "--configfile", TINY)
    assert "Nothing to be done" in output


def test_a_fresh_copy_of_code_and_results_has_nothing_to_do(finished, tmp_path):
    # As after `git clone` and copying results: every file of code is newer than every result.
    copy = copy_house(tmp_path / "clone")
    shutil.copytree(finished / "results", copy / "results", copy_function=shutil.copy2)
    for path in (copy / "workflow").rglob("*"):
        path.touch()
    assert planned(copy, "--configfile", TINY) == {}


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        pytest.param(
            ["seeds={runs: [1, 2, 3]}"],
            AFTER_RUNS | {"train_classifier": 3, "evaluate_classifier": 3},
            id="one more seed",
        ),
        pytest.param(
            ["arms={baseline: {}, ddpm: {}, oversampling: {balance: oversample, classifiers: null}}"],
            AFTER_RUNS | {"train_classifier": 2, "evaluate_classifier": 2},
            id="one more arm",
        ),
        pytest.param(
            ["arms={baseline: {}, ddpm: {per_class: [4, 8, 12]}}"],
            AFTER_RUNS | {"synthesize_shard": 2, "train_classifier": 2, "evaluate_classifier": 2},
            id="more images of each class",
        ),
        pytest.param(
            ["classifiers={test_resnet: {}, test_convnext: {architecture: test_convnext}}"],
            AFTER_RUNS | {"train_classifier": 6, "evaluate_classifier": 6, "record_weights": 1},
            id="one more classifier",
        ),
        pytest.param(
            ["generators={ddpm: {}, theirs: {method: folder, images: tests}}"]
            + ["arms={baseline: {}, ddpm: {}, theirs: {generator: theirs, per_class: [4]}}"],
            AFTER_RUNS
            | {
                "import_generator": 2,
                "sample_checkpoint": 2,
                "extract_features": 2,
                "score_checkpoint": 4,
                "compare_synthetic_images": 2,
                "collect_curves": 1,
                "select_checkpoint": 1,
                "collect_fidelity": 1,
                "recognise_images": 1,
                "detect_synthetic": 1,
                "audit_generator": 1,
                "collect_memorization": 2,
                "draw_closest_pairs": 1,
                "synthesize_shard": 2,
                "train_classifier": 2,
                "evaluate_classifier": 2,
                "render_table": 9,
                "draw_figure": 8,
                "draw_synthetic_samples": 1,
                "draw_generator_samples": 1,
            },
            id="one more generator",
        ),
        pytest.param(
            ["generators={ddpm: {checkpoints: {last: 12}}}"],
            # Segment 12 only; segment 8 is the end of a finished chain. The choice among checkpoints is made anew.
            AFTER_SELECTION
            | {"finish_generator": 2, "sample_checkpoint": 2, "extract_features": 2, "score_checkpoint": 4}
            | {"compare_synthetic_images": 2},
            id="longer training",
        ),
        pytest.param(
            ["synthesis={shard_size: 8}"],
            AFTER_RUNS
            | {
                "synthesize_shard": 2,
                "train_classifier": 4,
                "evaluate_classifier": 4,
                "recognise_images": 1,
                "render_table": 5,
                "draw_figure": 3,
                "draw_synthetic_samples": 1,
                "draw_generator_samples": 1,
            },
            id="images per shard",
        ),
        pytest.param(
            ["generators={ddpm: {training: {learning_rate: 1.0e-6, weight_decay: 1.0e-4}}}"],
            AFTER_SELECTION
            | {
                "train_generator": 2,
                "finish_generator": 2,
                "sample_checkpoint": 4,
                "extract_features": 4,
                "score_checkpoint": 8,
                "compare_synthetic_images": 4,
            },
            id="two numbers that swapped places",
        ),
        pytest.param(["generators={ddpm: {training: {micro_batch_size: 1}}}"], {}, id="memory"),
        pytest.param(
            ["fidelity={metrics: {fid: {}, ms_ssim: {}, vendi: {metric: vendi, extractor: domain}}}"],
            # The choice of checkpoints, and so all images, stay.
            {
                "score_checkpoint": 4,
                "collect_curves": 1,
                "collect_fidelity": 1,
                "measure_floor": 1,
                "selftest_features": 1,
                "collect_selftest": 1,
                "render_table": 2,
                "draw_figure": 4,
                "draw_progression": 1,
            },
            id="one more metric",
        ),
        pytest.param(
            ["statistics={confidence: 0.9}"],
            {"compare_arms": 1, "reach_verdict": 1, "render_table": 1, "draw_figure": 1},
            id="level",
        ),
    ],
)
def test_a_change_of_the_config_runs_what_it_touches(finished, change, jobs):
    changed = planned(finished, "--configfile", TINY, "--config", *change)
    expected = dict(jobs) | {"write_report": 1, "all": 1}
    assert changed == expected


EDITS = {
    "sheets.py": {
        "draw_real_samples": 1,
        "draw_synthetic_samples": 1,
        "draw_generator_samples": 1,
        "draw_progression": 1,
    },
    "cohort.py": {"describe_data": 1, "render_table": 2},
    "statistics/verdict.py": {
        "compare_arms": 1,
        "compare_generators": 1,
        "reach_verdict": 1,
        "render_table": 1,
        "draw_figure": 1,
    },
    "classifiers/evaluation.py": AFTER_RUNS | {"evaluate_classifier": 6},
    # Not the choice of checkpoints, which is by FID.
    "fidelity/ms_ssim.py": {
        "score_checkpoint": 4,
        "measure_floor": 1,
        "selftest_images": 1,
        "collect_curves": 1,
        "collect_fidelity": 1,
        "collect_selftest": 1,
        "render_table": 2,
        "draw_figure": 3,
        "draw_progression": 1,
    },
    "fidelity/selection.py": {name: count for name, count in AFTER_SELECTION.items() if name != "draw_progression"}
    | {"draw_progression": 1},
    "synthesis.py": AFTER_SELECTION
    | {"sample_checkpoint": 4, "extract_features": 4, "score_checkpoint": 8, "compare_synthetic_images": 4},
    "report.py": {},
}


@pytest.mark.parametrize("module", EDITS)
def test_an_edit_of_a_module_runs_what_executes_it(finished, module):
    path = finished / "workflow" / "scripts" / "synthworth" / module
    original = path.read_bytes()
    try:
        path.write_bytes(original + b'\n\ndef newly_added():\n    """New."""\n')
        changed = planned(finished, "--configfile", TINY)
        path.write_bytes(original + b"\n# A comment.\n")
        commented = planned(finished, "--configfile", TINY)
    finally:
        path.write_bytes(original)
    assert changed == EDITS[module] | {"write_report": 1, "all": 1}
    assert commented == {}


@pytest.fixture
def manifest(tmp_path):
    """A manifest of a few files; a dry run reads no image."""
    rows = []
    for label in ("viral", "healthy", "fungal", "covid19", "bacterial"):
        for number in range(2):
            (tmp_path / f"{label}{number}.png").touch()
            rows.append({"image": f"{label}{number}.png", "patient": f"{label}{number}", "label": label})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    return f"dataset={{manifest: {tmp_path / 'manifest.csv'}}}"


@pytest.mark.parametrize("name", ["config", "paper", "demo", "published"])
def test_the_jobs_of_a_study_are_the_golden_ones(name, manifest, tmp_path):
    house = copy_house(tmp_path / "house")
    if name == "published":
        jobs = planned(house, "published")
    else:
        dataset = [] if name == "demo" else ["--config", manifest]
        jobs = planned(house, "--configfile", f"config/{name}.yaml", *dataset, "--resources", "gpu=2")
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    assert jobs == golden


def test_published_tables_need_no_training_and_no_torch(tmp_path):
    house = copy_house(tmp_path)
    snakemake(house, "--cores", "2", "published")
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


def test_cached_scores_schedule_the_report_alone(finished, tmp_path):
    house = copy_house(tmp_path)
    shutil.copytree(finished / "results/tiny/scores", house / "cached")
    jobs = planned(house, "--configfile", TINY, "--config", "cached_scores=cached")
    assert jobs == {"render_table": 11, "draw_figure": 8, "write_report": 1, "all": 1}
    snakemake(house, "--cores", "2", "--configfile", TINY, "--config", "cached_scores=cached")
    before, after = (path / "results/tiny/tables/table7_accuracy.csv" for path in (finished, house))
    assert before.read_bytes() == after.read_bytes()


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


# And of scoring and auditing.
JOBS_OF_TRAINING = (
    *("train_", "finish_", "encode_", "sample_", "synthesize_", "select_", "score_", "extract_", "reference_"),
    *("measure_", "selftest_", "recognise_", "detect_", "compare_real", "compare_synthetic", "audit_", "flag_"),
)


def test_no_training_selection_or_sampling_job_can_reach_a_test_image(tmp_path):
    jobs = planned_files(copy_house(tmp_path), "--configfile", "config/demo.yaml")
    readers = [rule for rule, inputs, _ in jobs if any("/data/test/" in file for file in inputs)]
    assert set(readers) == {"render_images", "evaluate_classifier", "describe_data"}
    checked = set()
    for rule, inputs, _ in jobs:
        if rule.startswith(JOBS_OF_TRAINING):
            checked.add(rule)
            assert not any("/data/test/" in file for file in ancestors(jobs, inputs)), rule
    assert len(checked) == 21


def test_the_published_protocol_does_read_the_test_split(tmp_path, manifest):
    jobs = planned_files(copy_house(tmp_path / "house"), "--configfile", "config/paper.yaml", "--config", manifest)
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
    assert jobs == json.loads((GOLDEN / "demo.json").read_text())


def test_the_default_profile_is_loaded_by_itself(tmp_path):
    output = snakemake(copy_house(tmp_path), "--dry-run", "published")
    assert "profiles/default" in output


def test_lint_is_clean(tmp_path):
    house = copy_house(tmp_path)
    done = subprocess.run(command("--lint"), cwd=house, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_snakemakes_do_not_work_on_one_study(finished):
    from synthworth.lock import try_lock

    handle = try_lock(finished / ".snakemake/tiny.lock")
    assert handle is not None
    output = snakemake(finished, "--cores", "1", "--configfile", TINY, "--forcerun", "write_report", check=False)
    assert "Another snakemake works on this study" in output
    os.close(handle)
