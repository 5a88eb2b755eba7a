"""Whole studies: what a finished one holds, that it survives kills, and that real images work."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from house import HOUSE, TINY, command, copy_house, environment, planned, planned_files, snakemake
from markupsafe import escape
from safetensors.torch import load_file

from synthworth.cells import read_scores
from synthworth.generators import TRAINED
from synthworth.memorization.summaries import flag_counts
from synthworth.shards import read_shard

CXR4 = HOUSE.parent / "shared" / "data" / "cxr4"
LONG = "generators={ddpm: {checkpoints: {every: 100, last: 200}}}"
CHAIN = "results/tiny/generators/ddpm/viral"


def test_every_stage_has_left_its_artifacts(finished):
    results = finished / "results" / "tiny"
    for scope in ("healthy", "viral"):
        models = {path.name for path in (results / "generators" / "ddpm" / scope).iterdir()}
        assert models == {"step-4", "step-8", "state-8.safetensors"}
    scores = {path.name for path in (results / "scores").iterdir()}
    assert scores == {
        *("demographics.csv", "classes.csv", "duplicates.csv", "fidelity.csv", "runs.csv", "cells.csv"),
        *("comparisons.csv", "components.csv", "generators.csv", "verdict.json"),
        *("metric_selftest.csv", "metric_responses.csv", "recognition.csv", "confusion.csv", "detection.csv"),
        *("memorization_summary.csv", "memorization_power.csv"),
    }
    for table in (
        "table1_demographics",
        "table2_classes",
        "table5_fid",
        "table7_accuracy",
        "table9_per_class",
        "effects",
        "components",
        "fidelity",
        "recognition",
        "detection",
        "memorization",
    ):
        text = (results / "tables" / f"{table}.md").read_text()
        assert "No scores" not in text
        assert "Protocol: honest" in text
    runs = pd.read_csv(results / "scores" / "runs.csv")
    assert len(runs.groupby(["classifier", "arm", "seed"])) == 6
    assert not list(results.rglob(".incomplete-*"))


def test_patients_are_in_one_split_and_splits_hold_what_the_index_says(finished):
    data = finished / "results" / "tiny" / "data"
    splits = {split: pd.read_csv(data / split / "index.csv") for split in ("train", "select", "test")}
    patients = [set(rows["patient"]) for rows in splits.values()]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    assert sum(len(rows) for rows in splits.values()) == len(pd.read_csv(data / "index.csv"))
    for split, rows in splits.items():
        images = np.load(data / split / "images-32.npy")
        assert images.shape == (len(rows), 32, 32, 1)
        assert images.std() > 20


def test_shards_hold_the_images_of_the_chosen_checkpoint(finished):
    results = finished / "results" / "tiny"
    chosen = json.loads((results / "fidelity" / "ddpm" / "selected.json").read_text())["checkpoints"]
    for label, checkpoint in chosen.items():
        images, rows = read_shard(results / "synthesis" / "ddpm" / label / "images-0-3.parquet")
        assert set(rows["step"]) == {checkpoint["step"]}
        folder = results / "fidelity" / "ddpm" / label / f"step-{checkpoint['step']}"
        # The scored samples and the shard are the same images, made by different jobs in different batches.
        sampled, _ = read_shard(folder / "samples.parquet")
        assert np.abs(sampled[:4].astype(int) - images).max() <= 1


def test_the_report_holds_its_figures_and_its_answer(finished):
    report = (finished / "results" / "tiny" / "report" / "index.html").read_text()
    verdict = json.loads((finished / "results" / "tiny" / "scores" / "verdict.json").read_text())
    assert verdict["answer"] in report
    assert "drawn phantoms, no patients" in report
    assert report.count("data:image/png;base64,") == 13
    assert "http" not in report.replace("http-equiv", "")


def test_the_report_links_a_kit_that_is_there_in_full(finished):
    report = finished / "results" / "tiny" / "report" / "index.html"
    links = re.findall(r'href="([^"#]*/kit/index\.html)"', report.read_text())
    assert links == ["../assessment/single/kit/index.html"]
    page = report.parent / links[0]
    assert (page.parent / "key.sealed").stat().st_size > 100
    names = re.findall(r"images/[0-9a-f]{16}\.png", page.read_text())
    assert names
    assert all((page.parent / name).is_file() for name in names)


def test_progress_of_long_jobs_and_provenance_stand_in_the_logs(finished):
    log = (finished / "results/tiny/logs/train_generator/ddpm/viral/8.log").read_text()
    provenance, _ = json.JSONDecoder().raw_decode(log)
    assert provenance["spec"]["settings"]["training"]["batch_size"] == 4
    assert provenance["threads"] == 1


def chain_files(house):
    weights = load_file(house / CHAIN / "step-200" / "unet" / "diffusion_pytorch_model.safetensors")
    return {name: tensor.numpy() for name, tensor in weights.items()}


def wait_for(path: Path, text: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not (path.exists() and text in path.read_text()):
        assert process.poll() is None, "snakemake ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def job_processes(house: Path) -> list[int]:
    """The processes that run a script of this house."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
                inside = os.readlink(folder / "cwd") == str(house)
            except OSError:
                continue
            if inside and b".snakemake/scripts" in line:
                found.append(int(folder.name))
    return found


def test_kills_leave_the_final_checkpoint_as_it_would_have_been(finished, tmp_path):
    arguments = ["--cores", "1", "--configfile", TINY, "--config", LONG]
    target = f"{CHAIN}/step-200"
    houses = {}
    for name in ("undisturbed", "killed"):
        houses[name] = copy_house(tmp_path / name)
        shutil.copytree(finished / "results/tiny/data", houses[name] / "results/tiny/data", copy_function=shutil.copy2)
        shutil.copytree(finished / "results/tiny/phantoms", houses[name] / "results/tiny/phantoms")
    snakemake(houses["undisturbed"], target, *arguments)

    house = houses["killed"].resolve()
    log = house / "results/tiny/logs/train_generator/ddpm/viral/200.log"
    run = command(target, *arguments)
    # First the training job is killed in its second segment,
    first = subprocess.Popen(run, cwd=house, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(log, '"step": 150', first)
    for process in job_processes(house):
        os.kill(process, signal.SIGKILL)
    assert first.wait(timeout=60) != 0
    assert (house / CHAIN / "step-100").is_dir()
    assert not (house / CHAIN / "step-200").exists()
    log.unlink()
    # then snakemake itself, whose job lives on,
    second = subprocess.Popen(run, cwd=house, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(log, '"step": 150', second)
    second.kill()
    second.wait()
    # and the same command goes on.
    output = snakemake(house, target, *arguments, warm=False)
    assert "waiting for it to end" in output or not job_processes(house)
    expected, found = chain_files(houses["undisturbed"]), chain_files(house)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name])


def test_copies_are_counted_and_then_kept_from_the_classifiers(finished, tmp_path):
    house = copy_house(tmp_path)
    shutil.copytree(finished / "results", house / "results", copy_function=shutil.copy2)
    # Of eight images of each class six are training images, in other files.
    train = house / "results/tiny/data/train"
    pixels, rows = np.load(train / "images-32.npy"), pd.read_csv(train / "index.csv")
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    for place, label in enumerate(("healthy", "viral")):
        folder = house / "theirs" / label
        folder.mkdir(parents=True)
        copies = pixels[np.flatnonzero(rows["class"] == label)[:6], ..., 0]
        for number, image in enumerate([*copies, *noise[2 * place : 2 * place + 2]]):
            cv2.imwrite(str(folder / f"{number}.png"), image)
    changes = {
        "generators": {"ddpm": False, "theirs": {"method": "folder", "images": "theirs"}},
        "arms": {"ddpm": False, "theirs": {"generator": "theirs", "per_class": [8]}},
        "seeds": {"runs": [1]},
    }

    def study(mode):
        (house / "mine.yaml").write_text(yaml.safe_dump(changes | {"memorization": {"filter_copies": mode}}))
        return ["--configfile", TINY, "mine.yaml"]

    golden = json.loads((Path(__file__).parent / "golden/copies.json").read_text())
    scores = house / "results/tiny/scores"
    assert planned(house, *study("flag")) == golden["flag"]
    snakemake(house, "--cores", "2", *study("flag"))
    flags = pd.read_csv(scores / "copies.csv")
    assert (flags.groupby("class")["flagged"].agg(["sum", "count"]) == [6, 8]).all(axis=None)
    assert (flags["flagged"] == (flags["similarity"] > 0.99)).all()
    report = house / "results/tiny/report/index.html"
    innocent = flag_counts(read_scores(scores / "copies.csv"), read_scores(scores / "memorization_summary.csv"))
    counted = f"real images of new patients {innocent.loc['theirs', 'innocent']:.1f} on average at most"
    assert "<li>theirs: 12 of 16, " in report.read_text()
    assert counted in report.read_text()
    assert "and stay in the training data" in report.read_text()
    assert set(pd.read_csv(scores / "runs.csv")["arm"]) == {"baseline", "theirs+8"}
    # What was flagged is not looked for again.
    assert planned(house, *study("drop")) == golden["drop"]
    jobs = planned_files(house, *study("drop"))
    trained_on = {file for rule, files, _ in jobs if rule == "train_classifier" for file in files}
    assert {f"results/tiny/memorization/theirs/{label}/images-0-7.csv" for label in ("healthy", "viral")} < trained_on
    snakemake(house, "--cores", "2", *study("drop"))
    assert set(pd.read_csv(scores / "runs.csv")["arm"]) == {"baseline", "theirs+8-without_copies"}
    assert counted in report.read_text()
    assert "and were kept from the classifiers" in report.read_text()


@pytest.mark.skipif(not CXR4.is_dir(), reason="the real chest X-rays are not here")
def test_a_study_of_real_chest_x_rays(tmp_path):
    """All stages and all generators on two of the four classes, each training a few steps short."""
    house = copy_house(tmp_path)
    rows = pd.read_csv(CXR4 / "manifest.csv")
    rows = rows[rows["label"].isin(["covid19", "healthy"])]
    rows.to_csv(house / "manifest.csv", index=False)
    (house / "images").mkdir()
    for image in rows["image"]:
        shutil.copy2(CXR4 / image, house / image)
    brief = {"checkpoints": {"every": 4, "last": 4}, "sampling_batch_size": 8}
    growth = {"resolution": 32, "steps": None, "batch_size": 8, "learning_rate": 1e-3}
    small = {
        "dataset": {"manifest": "manifest.csv", "size": 32},
        "base_models": {"tiny": {"pictures": 64, "vae": {"steps": 5}, "unet": {"steps": 5}}},
        "generators": {name: brief | {"sampling": {"steps": 5}} for name in TRAINED}
        | {"gan": brief | {"growth": [growth]}},
        "fidelity": {"images": 8, "metrics": {"fid": {}, "kid_held_out": {}}},
        "synthesis": {"shard_size": 8},
        "classifiers": {"defaults": {"size": 32, "training": {"epochs": 2}}, "test_resnet": {}},
        "arms": {"baseline": {}} | {name: {"per_class": [8]} for name in TRAINED},
        "seeds": {"runs": [1]},
    }
    (house / "small.yaml").write_text(yaml.safe_dump(small))
    snakemake(house, "--cores", "2", "--configfile", "tests/configs/cxr4.yaml", "small.yaml")
    results = house / "results/cxr4"
    counts = pd.read_csv(results / "scores/classes.csv").set_index(["class", "split"])["images"]
    assert counts.loc["all"].sum() == len(rows)
    assert counts["covid19", "train"] == 23
    assert {counts["covid19", "select"], counts["covid19", "test"]} == {7, 8}
    verdict = json.loads((results / "scores/verdict.json").read_text())
    for name in TRAINED:
        assert verdict["arms"][f"{name}+8"]["n_images"] == counts["all", "test"]
        # One seed says nothing of the chance in training, and the verdict says so.
        assert verdict["arms"][f"{name}+8"]["reason"] == "unknown"
    classes = ["covid19", "healthy"]
    report = (results / "report/index.html").read_text()
    for caption in ("figure2_fid_curves", "figure_memorization", "figure_memorization_power", "figure_metric_selftest"):
        text = " ".join((house / f"workflow/report/{caption}.rst").read_text().split())
        assert f"<figcaption>{escape(text)}</figcaption>" in report

    curves = pd.read_csv(results / "scores/fidelity.csv")
    # Models of one class and of all alike have scores of each class.
    wanted = pd.MultiIndex.from_product([TRAINED, classes, ["fid", "kid", "precision", "vendi", "ms_ssim"]])
    assert wanted.isin(curves.set_index(["generator", "class", "metric"]).index).all()
    assert curves[["value", "low", "high"]].notna().all(axis=None)
    # Of so few images of one class precision and its like have no floor, and say why.
    floorless = curves["floor"].isna()
    assert set(curves[floorless]["class"]) <= {"covid19"}
    assert set(curves[floorless]["metric"]) <= {"precision", "recall", "density", "coverage"}
    assert (curves["floor_reason"].notna() == floorless).all()
    assert (curves["low"] <= curves["value"]).all() and (curves["value"] <= curves["high"]).all()

    audit = pd.read_csv(results / "scores/memorization_summary.csv")
    wanted = pd.MultiIndex.from_product([TRAINED, classes, ["flagged", "auth_pct", "c_t", "gap", "duplicates"]])
    assert wanted.isin(audit.set_index(["generator", "class", "score"]).index).all()
    assert audit[["value", "low", "high", "reference_low", "power", "power_low", "false_alarms"]].notna().all(axis=None)
    powers = pd.read_csv(results / "scores/memorization_power.csv")
    exact = powers[(powers["score"] == "flagged") & (powers["perturbation"] == "exact")]
    assert (exact.groupby("class")["power"].min() == 1).all()

    responses = pd.read_csv(results / "scores/metric_responses.csv").set_index(["metric", "degradation"])
    assert set(curves["metric"]) == set(responses.index.get_level_values("metric"))
    assert (responses.loc["fid"].loc[["blur", "noise"], "responds"] == "yes").all()
