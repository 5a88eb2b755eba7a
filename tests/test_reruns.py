"""What runs again in a finished study after a change of its config or of code, and what does not."""

import os
import shutil
from contextlib import contextmanager

import pandas as pd
import pytest
from house import TINY, copy_house, planned, snakemake

# From a training on: what comes after scores of runs.
AFTER_RUNS = {
    "collect_runs": 1,
    "compare_arms": 1,
    "compare_generators": 1,
    "reach_verdict": 1,
    "render_table": 5,  # accuracy, its change, per class, effects, components
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
    "render_shard": 4,
    "make_rating_kit": 1,
    "train_classifier": 4,
    "evaluate_classifier": 4,
    "render_table": 10,
    # All but the other curves, which the tiny study has none of, and the self-test.
    "draw_figure": 7,
    "draw_synthetic_samples": 1,
    "draw_generator_samples": 1,
    "draw_progression": 1,
}


def test_a_finished_study_has_nothing_to_do(finished):
    output = snakemake(finished, "--cores", "2", "--configfile", TINY, warm=False)
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
            # All runs of the baseline together judge what synthetic images are taken for.
            AFTER_RUNS
            | {"train_classifier": 3, "evaluate_classifier": 3}
            | {"recognise_images": 1, "render_table": 6, "draw_figure": 3},
            id="one more seed",
        ),
        pytest.param(
            ["arms={baseline: {}, ddpm: {}, oversampling: {balance: oversample, classifiers: null}}"],
            AFTER_RUNS | {"train_classifier": 2, "evaluate_classifier": 2},
            id="one more arm",
        ),
        pytest.param(
            ["arms={baseline: {}, ddpm: {per_class: [4, 8, 12]}}"],
            AFTER_RUNS | {"synthesize_shard": 2, "render_shard": 2, "train_classifier": 2, "evaluate_classifier": 2},
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
                "render_shard": 2,
                "make_rating_kit": 1,
                "train_classifier": 2,
                "evaluate_classifier": 2,
                "render_table": 10,
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
                "render_shard": 2,
                "make_rating_kit": 1,
                "train_classifier": 4,
                "evaluate_classifier": 4,
                "recognise_images": 1,
                "render_table": 6,
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
            {"compare_arms": 1, "reach_verdict": 1, "render_table": 2, "draw_figure": 1},
            id="level",
        ),
        pytest.param(["assessment={repeat_share: 0.5}"], {"make_rating_kit": 1}, id="items shown again"),
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
    "rating_kit/draw.py": {"make_rating_kit": 1},
    "cohort.py": {"describe_data": 1, "render_table": 2},
    "statistics/verdict.py": {
        "compare_arms": 1,
        "compare_generators": 1,
        "reach_verdict": 1,
        "render_table": 2,
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


@contextmanager
def edited(house, modules, addition):
    """The house while `addition` stands at the end of these modules of the package."""
    paths = [house / "workflow" / "scripts" / "synthworth" / module for module in modules]
    originals = [path.read_bytes() for path in paths]
    try:
        for path, original in zip(paths, originals, strict=True):
            path.write_bytes(original + addition)
        yield
    finally:
        for path, original in zip(paths, originals, strict=True):
            path.write_bytes(original)


@pytest.mark.parametrize("module", EDITS)
def test_an_edit_of_a_module_runs_what_executes_it(finished, module):
    with edited(finished, [module], b'\n\ndef newly_added():\n    """New."""\n'):
        changed = planned(finished, "--configfile", TINY)
    assert changed == EDITS[module] | {"write_report": 1, "all": 1}


def test_an_edit_of_the_page_of_kits_makes_them_anew(finished):
    with edited(finished, ["../../rating_kit/style.css"], b"kbd { color: red; }\n"):
        changed = planned(finished, "--configfile", TINY)
    assert changed == {"make_rating_kit": 1, "write_report": 1, "all": 1}


def test_comments_run_nothing(finished):
    with edited(finished, EDITS, b"\n# A comment.\n"):
        assert planned(finished, "--configfile", TINY) == {}


def test_cached_scores_schedule_the_report_alone(finished, tmp_path):
    house = copy_house(tmp_path)
    shutil.copytree(finished / "results/tiny/scores", house / "cached")
    jobs = planned(house, "--configfile", TINY, "--config", "cached_scores=cached")
    assert jobs == {"render_table": 12, "draw_figure": 8, "write_report": 1, "all": 1}
    snakemake(house, "--cores", "2", "--configfile", TINY, "--config", "cached_scores=cached")
    before, after = (path / "results/tiny/tables/table7_accuracy.csv" for path in (finished, house))
    assert before.read_bytes() == after.read_bytes()


def test_two_snakemakes_do_not_work_on_one_study(finished):
    from synthworth.lock import try_lock

    handle = try_lock(finished / ".snakemake/tiny.lock")
    assert handle is not None
    output = snakemake(finished, "--cores", "1", "--configfile", TINY, "--forcerun", "write_report", check=False)
    assert "Another snakemake works on this study" in output
    os.close(handle)


def test_an_external_test_set_that_comes_later_runs_only_what_is_new(finished, tmp_path):
    # A dry run looks at no image.
    rows = [(f"{number}.png", f"t{number}", ("healthy", "viral")[number % 2]) for number in range(4)]
    for image, *_ in rows:
        (tmp_path / image).touch()
    manifest = tmp_path / "manifest.csv"
    pd.DataFrame(rows, columns=["image", "patient", "label"]).to_csv(manifest, index=False)
    arguments = ("--configfile", TINY, "--config", f"dataset={{external: {{b: {manifest}}}}}")
    ones = ("inspect_images", "check_external", "render_images", "collect_runs", "compare_arms", "collect_external")
    # Three arms with two seeds are tested on it.
    expected = dict.fromkeys((*ones, "render_table", "write_report", "all"), 1) | {"evaluate_classifier": 6}
    assert planned(finished, *arguments) == expected
