"""Classes may be called 0, 1 and NA: numbers and a missing value to whatever guesses what text means."""

import numpy as np
import pandas as pd
import pytest
import yaml
from house import TINY, copy_house, planned_files

from synthworth import cohort
from synthworth.cells import aggregate_runs, read_scores
from synthworth.classifiers.data import real_images
from synthworth.detector import COLUMNS as DETECTION_COLUMNS
from synthworth.detector import detect_synthetic
from synthworth.fidelity.selection import save_selection
from synthworth.figures import FIGURES, Setting
from synthworth.label_fidelity import HELD_OUT, Judged, confusion, recognition
from synthworth.manifest import derive_classes, read_index, read_manifest
from synthworth.memorization import comparing
from synthworth.memorization.auditing import audit_generator
from synthworth.memorization.collecting import collect_audits
from synthworth.memorization.outputs import read_table
from synthworth.memorization.summaries import FALSE_ALARMS
from synthworth.metric_selftest.responses import collect, judge
from synthworth.report import _alarms
from synthworth.resizing import resize
from synthworth.scores import score_predictions
from synthworth.selected import read_selection
from synthworth.shards import write_shard
from synthworth.statistics.predictions import read_predictions
from synthworth.tables import TABLES

NAMES = ["0", "1", "NA"]
# Images of each class in a split, of as many patients.
IMAGES = 12


def csv(path, frame):
    frame.to_csv(path, index=False)
    return str(path)


def features_of(images):
    return resize(images, 4).reshape(len(images), -1).astype(np.float32)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """The files of two splits: uint8 images of 16 pixels, their index and their features."""
    folder = tmp_path_factory.mktemp("splits")
    files = {}
    for seed, name in enumerate(("train", "select")):
        pixels = np.random.default_rng(seed).integers(0, 256, (3 * IMAGES, 16, 16, 1), dtype=np.uint8)
        patients = [str(place) for place in range(len(pixels) - 1)] + ["NA"]
        index = pd.DataFrame({"image": [f"{name}/{patient}" for patient in patients], "patient": patients})
        index = index.assign(**{"class": NAMES * IMAGES, "split": name, "width": 16, "height": 16})
        files[name] = {
            "images": str(folder / f"{name}.npy"),
            "index": csv(folder / f"{name}.csv", index),
            "features": str(folder / f"{name}.npz"),
        }
        np.save(files[name]["images"], pixels)
        text = {"labels": "class", "names": "image", "patients": "patient"}
        columns = {key: index[column].to_numpy(str) for key, column in text.items()}
        np.savez(files[name]["features"], features=features_of(pixels), **columns)
    return files


def test_a_study_of_such_classes_is_planned_class_by_class(tmp_path):
    house = copy_house(tmp_path / "house")
    rows = [{"image": f"{name}-{n}.png", "patient": f"{name}{n}", "label": name} for name in NAMES for n in range(2)]
    for row in rows:
        (house / row["image"]).touch()
    csv(house / "manifest.csv", pd.DataFrame(rows))
    config = yaml.safe_load((house / TINY).read_text())
    config |= {"study": "names", "dataset": {"manifest": "manifest.csv", "size": 32}}
    (house / "names.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned_files(house, "--configfile", "names.yaml")
    made = {output.removeprefix("results/names/") for _, _, outputs in jobs for output in outputs}
    for name in NAMES:
        assert f"generators/ddpm/{name}/step-8" in made
        assert f"memorization/reference/32/{name}/comparisons.csv" in made
        assert f"synthesis/ddpm/{name}/images-0-3.parquet" in made
    assert sum(rule == "compare_real_images" for rule, _, _ in jobs) == 3


def test_a_manifest_and_an_index_keep_them(tmp_path, split):
    manifest = csv(tmp_path / "manifest.csv", pd.DataFrame({"image": NAMES, "patient": NAMES, "label": NAMES}))
    read = read_manifest(manifest)
    assert read["patient"].tolist() == NAMES
    assert list(derive_classes(read["label"])) == NAMES
    index = read_index(split["train"]["index"])
    counts = cohort.class_counts(index)
    assert counts["class"].tolist() == [*NAMES, "all"]
    assert counts["images"].tolist() == [IMAGES] * 3 + [3 * IMAGES]
    table, rows = real_images(split["train"]["images"], split["train"]["index"], NAMES)
    assert np.bincount(table.targets).tolist() == [IMAGES] * 3
    assert rows["patient"].iloc[-1] == "NA"


def test_the_audits_read_and_write_them(tmp_path, split, monkeypatch):
    monkeypatch.setattr(comparing, "load_extractor", lambda kind, weights: features_of)
    references = []
    for name in NAMES:
        references += [str(tmp_path / f"{name}-{table}.csv") for table in ("comparisons", "twins")]
        comparing.compare_real_images(
            split["train"], split["select"], tmp_path, *references[-2:], name, "domain", sources=2, seed=0
        )
    held_out = read_table(references[-2]).query("kind == 'held_out'")
    assert held_out["patient"].tolist() == [*map(str, range(2, 3 * IMAGES - 1, 3)), "NA"]

    # A generator that gives its training images back.
    pixels = np.load(split["train"]["images"])
    rows = pd.DataFrame({"label": NAMES * IMAGES, "prompt": "", "generator": "copier", "scope": "all", "step": 4})
    rows = rows.assign(index=np.repeat(np.arange(IMAGES), 3), seed=0)
    write_shard(tmp_path / "samples.parquet", [pixels], rows)
    synthetic = tmp_path / "features.npz"
    np.savez(synthetic, features=features_of(pixels), labels=rows["label"].to_numpy(str), index=rows["index"])
    comparison, selected = tmp_path / "comparison.csv", tmp_path / "selected.json"
    comparing.compare_synthetic_images(
        *(split["train"], split["select"], tmp_path / "samples.parquet", synthetic, comparison, NAMES), seed=0
    )
    save_selection([], selected, metric="last", classes=NAMES, joint=True, last=4)
    outputs = {table: str(tmp_path / f"{table}.csv") for table in ("images", "summary", "power", "alarms")}
    audit_generator(
        *([str(comparison)], references, str(selected)),
        **(outputs | {"generator": "copier", "checkpoints": [("all", 4)], "classes": NAMES}),
        rate=0.1,
        trials=20,
        seed=0,
    )
    collect_audits([outputs["summary"]], str(tmp_path / "collected.csv"))
    summary = read_scores(tmp_path / "collected.csv")
    assert summary["class"].unique().tolist() == NAMES
    assert summary["selected"].all()
    assert (summary.loc[summary["score"] == "flagged", "value"] == 1).all()
    cells = TABLES["memorization"](summary, "baseline").frame
    assert cells["Class"].tolist() == NAMES
    assert cells["Flagged as copies (share)"].str.contains("; copies;").all()

    detection = tmp_path / "detection.csv"
    detect_synthetic(
        *([split["select"]["features"]], [selected], [synthetic], detection), [("copier", 32, {"all/4": 0})], 0, 0.95
    )
    found = read_scores(detection)
    assert found["generator"].unique().tolist() == ["real images (32 px)", "copier"]
    assert found.loc[found["generator"] == "copier", "class"].tolist() == [*NAMES, "all"]
    assert not found.loc[found["generator"] == "copier", "auroc"].isna().any()
    assert _alarms(str(detection), threshold=-1)[0].startswith("copier")


def test_curves_choices_and_self_tests_keep_them(tmp_path):
    rows = [
        {"generator": "ddpm", "scope": name, "class": name, "step": step, "metric": "fid", "extractor": "domain"}
        | {"reference": "train", "n_synthetic": 6, "n_reference": 6, "value": value + step, "low": np.nan, "high": 9.0}
        | {"standard_error": np.nan, "reason": ""}
        for value, name in enumerate(NAMES)
        for step in (8, 4)
    ]
    # A file for each class, as of a generator with a model for each.
    files = [csv(tmp_path / f"{name}.csv", own) for name, own in pd.DataFrame(rows).groupby("class")]
    named = {"metric": "fid", "extractor": "domain", "reference": "train"}
    save_selection(files, tmp_path / "selected.json", classes=NAMES, joint=False, **named)
    chosen = read_selection(tmp_path / "selected.json")
    assert [(name, choice["scope"], choice["value"]) for name, choice in chosen.items()] == [
        *(("0", "0", 4), ("1", "1", 5), ("NA", "NA", 6))
    ]

    values = csv(tmp_path / "selftest.csv", selftest_values())
    collect([values], tmp_path / "values.csv", tmp_path / "responses.csv")
    assert read_scores(tmp_path / "values.csv")["class"].unique().tolist() == NAMES
    assert judge(read_scores(tmp_path / "values.csv"))["floor"].notna().all()


def selftest_values():
    return pd.DataFrame(
        [
            {"metric": "fid", "extractor": "domain", "degradation": "blur", "severity": severity, "class": name}
            | {"repetition": repetition, "n_synthetic": 9, "n_reference": 9, "value": 10 * severity, "problem": ""}
            for name in NAMES
            for severity in (0.0, 1.0)
            for repetition in (0, 1)
        ]
    )


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """A file of scores of every kind that has classes."""
    rng = np.random.default_rng(0)
    of_class = pd.DataFrame({"class": NAMES})
    images = Judged(np.repeat(NAMES, 4), rng.dirichlet(np.ones(3), 12), np.arange(12).astype(str))
    predictions = pd.DataFrame(images.probabilities, columns=[f"p_{name}" for name in NAMES])
    run = {"classifier": "resnet", "arm": "baseline", "generator": "", "dose": 0, "seed": 1}
    runs = score_predictions(predictions.assign(**{"class": images.classes}), NAMES).assign(**run)
    checkpoint = {"generator": "ddpm", "scope": "all", "step": 4, "selected": True}
    measured = {"value": 0.4, "low": 0.1, "high": 0.9, "power": 0.5, "n": 9}
    measured |= {"power_copies": 1, "power_images": 1} | dict.fromkeys(FALSE_ALARMS, 0.1)
    expected = {"reference": 0.1, "reference_low": 0.0, "reference_high": 0.2, "p": 0.03, "p_adjusted": 0.4}
    split = pd.DataFrame({"class": np.repeat(NAMES, 2), "split": ["train", "test"] * 3})
    frames = {
        "classes": split.assign(images=2, percent=50.0, patients=2),
        "fidelity": of_class.assign(metric="fid", extractor="domain", reference="train", n_synthetic=6, n_reference=6)
        .assign(low=0.0, high=1.0, standard_error=np.nan, value=0.5, floor=0.2, floor_high=0.3)
        .assign(floor_n_synthetic=6, floor_n_reference=6, **checkpoint),
        "cells": aggregate_runs(runs, ddof=1),
        "recognition": recognition(NAMES, images, {"ddpm": images}),
        "confusion": confusion(NAMES, images, {"ddpm": images}),
        "detection": of_class.assign(generator="ddpm", **dict.fromkeys(DETECTION_COLUMNS[1:], 0.6)),
        "memorization_summary": of_class.assign(score="flagged", power_of="a copy", **checkpoint, **measured)
        .assign(**expected),
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("scores")
    return {name: csv(folder / f"{name}.csv", frame) for name, frame in frames.items()}


@pytest.mark.parametrize(
    ("table", "file"),
    [
        *(("table2_classes", "classes"), ("table5_fid", "fidelity"), ("fidelity", "fidelity")),
        *(("table9_per_class", "cells"), ("recognition", "recognition"), ("detection", "detection")),
        ("memorization", "memorization_summary"),
    ],
)
def test_a_table_shows_every_class(scores, table, file):
    frame = TABLES[table](read_scores(scores[file]), "baseline").frame
    shown = {str(value) for value in (*frame.columns, *frame.astype(str).to_numpy().ravel())}
    assert set(NAMES) <= shown
    assert "nan" not in shown


@pytest.mark.parametrize(
    ("figure", "file"),
    [
        *(("figure2_fid_curves", "fidelity"), ("figure_confusion", "confusion")),
        ("figure_memorization", "memorization_summary"),
    ],
)
def test_a_figure_shows_every_class(scores, figure, file):
    drawn = FIGURES[figure](read_scores(scores[file]), Setting("", "baseline", ["ddpm"], NAMES, 1, None))
    words = {text.get_text() for axes in drawn.axes for text in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    words |= {axes.get_title() for axes in drawn.axes}
    words |= {text.get_text() for legend in drawn.legends for text in legend.get_texts()}
    assert set(NAMES) <= words


def test_predictions_of_such_classes_can_be_compared(tmp_path):
    images = {"image": [f"{place}.png" for place in range(6)], "patient": [*"01234", "NA"], "class": NAMES * 2}
    frame = pd.DataFrame(images).assign(**{f"p_{name}": 1 / 3 for name in NAMES})
    run = {"classifier": "resnet", "arm": "baseline", "generator": "", "dose": 0, "seed": 1}
    predictions = read_predictions([run | {"path": csv(tmp_path / "predictions.csv", frame)}])
    assert predictions.classes == tuple(NAMES)
    assert predictions.truth.tolist() == [0, 1, 2] * 2
    assert predictions.n_patients == 6


def test_a_judged_image_of_such_a_class_is_of_that_class():
    sure = Judged(np.array(NAMES), np.eye(3))
    found = recognition(NAMES, sure, {"ddpm": sure})
    assert found.loc[found["source"] == HELD_OUT, "recall"].tolist() == [1, 1, 1]
