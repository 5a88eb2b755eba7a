import json

import numpy as np
import pandas as pd
import pytest

from synthworth.cells import read_scores
from synthworth.errors import StudyError
from synthworth.fidelity import FLOOR_COLUMNS, SCORE_COLUMNS, measure_floor, score, score_checkpoint
from synthworth.fidelity.fid import fid
from synthworth.fidelity.ms_ssim import ms_ssim
from synthworth.fidelity.selection import (
    collect_curves,
    mark_selected,
    read_selection,
    save_selection,
    select_checkpoints,
    write_fidelity,
)
from synthworth.shards import write_shard
from synthworth.tables.fidelity import fidelity

FID = {"metric": "fid", "extractor": "domain", "reference": "train"}


def curves(values, joint=False, **names):
    """Rows of scores {class: {step: value}}."""
    rows = [
        {"generator": "ddpm", "scope": "all" if joint else name, "class": name, "step": step, "value": value}
        for name, scores in values.items()
        for step, value in scores.items()
    ]
    frame = pd.DataFrame(rows).assign(**(FID | {"n_synthetic": 50, "n_reference": 50} | names))
    frame = frame.assign(low=frame["value"] - 1, high=frame["value"] + 1, standard_error=1, reason="")
    return frame[list(SCORE_COLUMNS)]


VALUES = {"viral": {100: 9.0, 200: 4.0, 300: 8.0}, "healthy": {100: 3.0, 200: 7.0, 300: 3.0}}


def test_models_per_class_take_each_their_lowest_and_earliest():
    chosen = select_checkpoints(curves(VALUES), **FID, classes=["viral", "healthy"], joint=False)
    assert chosen.to_dict("records") == [
        {"class": "viral", "scope": "viral", "step": 200, "value": 4.0},
        {"class": "healthy", "scope": "healthy", "step": 100, "value": 3.0},
    ]


def test_a_joint_model_takes_the_lowest_sum_which_is_no_class_minimum():
    # Neither a class's lowest nor the least of the worst.
    values = {"viral": {100: 6.0, 200: 8.0, 300: 9.0}, "healthy": {100: 6.0, 200: 1.0, 300: 0.5}}
    chosen = select_checkpoints(curves(values, joint=True), **FID, classes=["healthy", "viral"], joint=True)
    assert chosen.to_dict("records") == [
        {"class": "healthy", "scope": "all", "step": 200, "value": 1.0},
        {"class": "viral", "scope": "all", "step": 200, "value": 8.0},
    ]


def test_equal_sums_take_the_earliest_step_whatever_the_order_of_rows():
    values = {"viral": {300: 1.0, 100: 2.0}, "healthy": {300: 2.0, 100: 1.0}}
    chosen = select_checkpoints(curves(values, joint=True), **FID, classes=["viral", "healthy"], joint=True)
    assert set(chosen["step"]) == {100}


def test_other_metrics_extractors_and_references_do_not_count():
    lower = {name: {step: value - 5 * (step == 300) for step, value in s.items()} for name, s in VALUES.items()}
    others = [
        curves(lower, metric="ms_ssim", extractor="", reference=""),
        curves(lower, extractor="inception"),
        curves(lower, reference="select"),
    ]
    everything = pd.concat([*others, curves(VALUES)], ignore_index=True)
    asked = {"classes": ["viral", "healthy"], "joint": False}
    assert select_checkpoints(everything, **FID, **asked)["step"].tolist() == [200, 100]
    assert select_checkpoints(everything, metric="ms_ssim", **asked)["step"].tolist() == [300, 300]


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"viral": {100: 1.0, 200: 2.0}, "healthy": {100: 1.0}}, "class healthy, step 200: no finite score"),
        ({"viral": {100: 1.0, 200: np.nan}, "healthy": {100: 1.0, 200: 1.0}}, "class viral, step 200: no finite"),
        ({"viral": {100: 1.0}}, "class healthy: no score at any step"),
    ],
)
def test_missing_scores_stop_the_study(values, problem, joint):
    with pytest.raises(StudyError, match=problem):
        select_checkpoints(curves(values, joint), **FID, classes=["viral", "healthy"], joint=joint)


def test_ambiguous_scores_stop_the_study():
    asked = {**FID, "classes": ["viral", "healthy"], "joint": False}
    with pytest.raises(StudyError, match="class viral, step 100: more than one score"):
        select_checkpoints(pd.concat([curves(VALUES), curves(VALUES)]), **asked)
    with pytest.raises(StudyError, match="several generators: ddpm, gan"):
        select_checkpoints(pd.concat([curves(VALUES), curves(VALUES, generator="gan")]), **asked)
    with pytest.raises(StudyError, match="class viral: no score"):
        select_checkpoints(curves(VALUES), **{**asked, "joint": True})


def write_scores(folder, frame):
    files = [folder / f"{i}.csv" for i in range(len(frame))]
    for i, file in enumerate(files):
        frame.iloc[[i]].to_csv(file, index=False)
    return files


def test_the_same_choice_gives_the_same_bytes(tmp_path):
    files = write_scores(tmp_path, curves(VALUES))
    save_selection(files, tmp_path / "a.json", **FID, classes=["viral", "healthy"], joint=False)
    save_selection(files[::-1], tmp_path / "b.json", **FID, classes=["healthy", "viral"], joint=False)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_selection(tmp_path / "a.json")["viral"] == {**FID, "scope": "viral", "step": 200, "value": 4.0}
    assert "earliest" in json.loads((tmp_path / "a.json").read_text())["rule"]


def test_collected_curves_keep_awkward_names_and_mark_the_chosen(tmp_path):
    frame = curves({"NA": {100: 2.0, 20: 1.5}, "null": {100: 1.0, 20: 3.0}})
    similar = curves({"NA": {100: 0.5, 20: 0.25}}, metric="ms_ssim", extractor="", reference="", n_reference=0)
    files = write_scores(tmp_path, pd.concat([frame, similar]))
    collected = collect_curves(files)
    pd.testing.assert_frame_equal(collected, collect_curves(files[::-1]))
    assert collected["step"].tolist() == [20, 20, 100, 100, 20, 100]
    assert collected.loc[collected["metric"] == "ms_ssim", "extractor"].tolist() == ["", ""]

    save_selection(files, tmp_path / "selected.json", **FID, classes=["NA", "null"], joint=False)
    marked = mark_selected(collected, {"ddpm": read_selection(tmp_path / "selected.json")})
    assert list(marked.columns)[4:6] == ["selected", "selected_by"]
    assert (marked["selected_by"] == (marked["metric"] == "fid")).all()
    chosen = marked[marked["selected"]]
    assert set(zip(chosen["class"], chosen["step"], chosen["metric"], strict=True)) == {
        ("NA", 20, "fid"),
        ("NA", 20, "ms_ssim"),
        ("null", 100, "fid"),
    }
    assert collect_curves([]).columns.tolist() == list(SCORE_COLUMNS)


def test_the_last_checkpoint_may_be_taken_unseen(tmp_path):
    save_selection([], tmp_path / "a.json", metric="last", classes=["viral", "healthy"], joint=True, last=300)
    chosen = read_selection(tmp_path / "a.json")
    assert {name: (entry["scope"], entry["step"], entry["value"]) for name, entry in chosen.items()} == {
        "viral": ("all", 300, None),
        "healthy": ("all", 300, None),
    }


NAMES = {"generator": "ddpm", "scope": "all", "step": 300}


def save_features(path, features, labels, **more):
    np.savez(path, features=features, labels=np.array(labels), **more)


def test_floors_are_of_real_images_alone_and_stand_beside_the_scores(tmp_path):
    rng = np.random.default_rng(0)
    labels = ["NA", "b"] * 20
    patients = np.array([f"p{i // 4}" for i in range(40)])
    real = rng.normal(size=(40, 5)).astype(np.float32)
    save_features(tmp_path / "real.npz", real, labels, patients=patients)
    measure = {"extractor": "domain", "reference": "train"}
    save_features(tmp_path / "held_out.npz", real[:16], labels[:16])
    files = (None, None, tmp_path / "real.npz", tmp_path / "held_out.npz", tmp_path / "floor.csv")
    measure_floor("fid", *files, measure, ["NA", "b"], 12, None, replicates=30, seed=1)
    floors = pd.read_csv(tmp_path / "floor.csv", keep_default_na=False)
    assert list(floors.columns) == list(FLOOR_COLUMNS)
    assert floors["class"].tolist() == ["NA", "b"]
    measure_floor("fid", *files, measure | {"reference": "select"}, ["NA", "b"], 12, None, replicates=30, seed=1)
    apart = pd.read_csv(tmp_path / "floor.csv", keep_default_na=False)
    # Against all 8 held-out images of a class, at the scores' own numbers.
    assert apart[["floor_n_synthetic", "floor_n_reference"]].to_numpy().tolist() == [[12, 8]] * 2
    assert (apart["floor"] != floors["floor"]).all()
    floors.to_csv(tmp_path / "floor.csv", index=False)
    # 20 images of a class, all but those of a patient on both sides: not 12 against 8, but parts of both.
    assert (floors["floor_n_synthetic"] < 12).all()
    assert (floors["floor_n_reference"] < 8).all()
    assert (floors["floor"] < floors["floor_high"]).all()

    fake = rng.normal(size=(12, 5)).astype(np.float32) + 3
    save_features(tmp_path / "fake.npz", fake, ["NA"] * 6 + ["b"] * 6)
    files = (None, tmp_path / "fake.npz", tmp_path / "real.npz", tmp_path / "score.csv")
    score_checkpoint("fid", *files, NAMES | measure, ["NA", "b"], None, 0.95, 20, seed=1)
    save_selection([tmp_path / "score.csv"], tmp_path / "s.json", **FID, classes=["NA", "b"], joint=True)
    write_fidelity([tmp_path / "score.csv"], [tmp_path / "s.json"], [tmp_path / "floor.csv"], tmp_path / "all.csv")
    scores = pd.read_csv(tmp_path / "all.csv", keep_default_na=False)
    assert scores["floor"].tolist() == floors["floor"].tolist()
    # Three standard deviations apart, the scores are above what real images have between them.
    assert (scores["low"] > scores["floor_high"]).all()


def test_score_checkpoint_writes_a_row_per_class(tmp_path):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(9, 5)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
    labels = ["NA", "b", "b"] * 3
    save_features(tmp_path / "real.npz", real, labels)
    save_features(tmp_path / "fake.npz", fake, labels[:6])
    names = NAMES | {"extractor": "domain", "reference": "train"}
    files = (None, tmp_path / "fake.npz", tmp_path / "real.npz", tmp_path / "score.csv")
    score_checkpoint("fid", *files, names, ["NA", "b"], 5, confidence=0.95, replicates=20, seed=1)
    rows = collect_curves([tmp_path / "score.csv"])
    # Two images less one have no covariance.
    assert rows[["low", "high"]].isna().all(axis=1).tolist() == [True, False]
    assert rows["low"][1] <= rows["value"][1] < rows["high"][1]
    assert rows["reason"].tolist() == ["no interval: 2 synthetic and 3 real images are too few", ""]
    rows = rows.drop(columns=["low", "high", "standard_error", "reason"]).to_dict("records")
    # Of the real images of a class the first ones.
    of_b = [1, 2, 4, 5, 7]
    assert rows == [
        names | {"class": name, "metric": "fid", "n_synthetic": m, "n_reference": n, "value": value}
        for name, m, n, value in (
            ("NA", 2, 3, fid(real[::3], fake[::3])),
            ("b", 4, 5, fid(real[of_b], fake[[1, 2, 4, 5]])),
        )
    ]
    assert score("fid", fake, real) == {"fid": fid(real, fake)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fake.npz", "real.npz", "score.csv"]


def test_the_standard_error_of_few_images_is_empty_and_the_row_says_why(tmp_path):
    rng = np.random.default_rng(0)
    save_features(tmp_path / "real.npz", rng.normal(size=(12, 5)).astype(np.float32), ["a"] * 9 + ["b"] * 3)
    save_features(tmp_path / "fake.npz", rng.normal(size=(12, 5)).astype(np.float32), ["a"] * 6 + ["b"] * 6)
    names = NAMES | {"extractor": "domain", "reference": "train"}
    files = (None, tmp_path / "fake.npz", tmp_path / "real.npz", tmp_path / "score.csv")
    score_checkpoint("kid", *files, names, ["a", "b"], None, confidence=0.95, replicates=20, seed=1)
    rows = collect_curves([tmp_path / "score.csv"])
    assert rows["value"].notna().all()
    assert rows["standard_error"].notna().tolist() == [True, False]
    assert rows["reason"].tolist() == ["", "no standard error: 6 synthetic and 3 real images are too few"]


def test_what_cannot_be_measured_has_its_reason_in_the_scores_and_below_the_table(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["a"] * 9 + ["b"] * 5)
    patients = np.array([f"p{i}" for i in range(14)])
    for name in ("real", "fake", "train"):
        save_features(tmp_path / f"{name}.npz", rng.normal(size=(14, 4)).astype(np.float32), labels, patients=patients)
    measure = {"extractor": "domain", "reference": "select"}
    files = (None, tmp_path / "fake.npz", tmp_path / "real.npz", tmp_path / "prdc.csv")
    score_checkpoint("prdc", *files, NAMES | measure, ["a", "b"], None, 0.95, 20, seed=1)
    files = (None, None, tmp_path / "train.npz", tmp_path / "real.npz", tmp_path / "floor.csv")
    measure_floor("prdc", *files, measure, ["a", "b"], 8, None, replicates=5, seed=1)
    save_selection([], tmp_path / "s.json", metric="last", classes=["a", "b"], joint=True, last=300)
    write_fidelity([tmp_path / "prdc.csv"], [tmp_path / "s.json"], [tmp_path / "floor.csv"], tmp_path / "all.csv")
    scores = read_scores(tmp_path / "all.csv")
    for value, reason in (("value", "reason"), ("floor", "floor_reason")):
        assert (scores[value].isna() == (scores["class"] == "b")).all()
        assert (scores[reason] != "").equals(scores[value].isna())
    why = "; ".join(
        f"{which} set: 5 image(s), at least 6 are needed; ask for more images" for which in ("reference", "synthetic")
    )
    assert set(scores["reason"]) == set(scores["floor_reason"]) == {"", why}
    table = fidelity(scores)
    assert table.frame["b"].eq("").all() and table.frame["a"].ne("").all()
    note = " ".join(table.remarks)
    four = "coverage, density, precision, recall (domain, select)"
    assert f"Missing for b (ddpm), {four}: {why}." in note
    assert f"No floor for b, {four}: {why}." in note


def test_a_choice_without_scores_says_why_there_are_none():
    frame = curves({"viral": {100: np.nan, 200: np.nan}, "healthy": {100: 1.0, 200: 2.0}})
    frame.loc[frame["class"] == "viral", "reason"] = "5 images, at least 6 are needed"
    with pytest.raises(StudyError, match=r"class viral: no score at any step \(5 images, at least 6 are needed\)"):
        select_checkpoints(frame, **FID, classes=["viral", "healthy"], joint=False)


def test_score_checkpoint_of_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 1), dtype=np.uint8)
    rows = pd.DataFrame({"label": "a", "prompt": "", "generator": "ddpm", "scope": "all", "step": 300}, index=range(3))
    write_shard(tmp_path / "shard.parquet", [images], rows.assign(index=range(3), seed=range(3)))
    score_checkpoint(
        "ms_ssim", tmp_path / "shard.parquet", None, None, tmp_path / "score.csv", NAMES, ["a"], None, 0.95, 20, 1
    )
    row = collect_curves([tmp_path / "score.csv"]).iloc[0].drop(["low", "high", "standard_error", "reason"]).to_dict()
    empty = {"extractor": "", "reference": "", "n_reference": 0}
    assert row == {
        **NAMES,
        **empty,
        "class": "a",
        "metric": "ms_ssim",
        "n_synthetic": 3,
        "value": ms_ssim(images),
    }


def test_unknown_metrics_and_wrong_references_are_refused():
    for name in ("blur", "selection", "../fid"):
        with pytest.raises(StudyError, match="not a metric"):
            score(name, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="against a reference"):
        score("fid", np.zeros((3, 4)))
