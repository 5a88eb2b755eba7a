"""The published scores as a study's frames."""

from pathlib import Path

import pandas as pd
import pytest

from synthworth.cells import read_scores
from synthworth.errors import StudyError
from synthworth.published import read_published, write_published

FOLDER = Path(__file__).parents[1] / "resources/published"


def test_every_printed_number_becomes_one_row():
    frames = read_published(FOLDER)
    assert {name: len(frame) for name, frame in frames.items()} == {
        "fidelity": 5 * 5 * 2,
        "ratings": 5 * 2,
        "cells": 5 + 27 * 5 + 3 * 7 * 5,
    }
    assert not any(frame["value" if name == "fidelity" else "mean"].isna().any() for name, frame in frames.items())


def test_accuracies_are_fractions_and_the_arms_are_named_by_dose():
    cells = read_published(FOLDER)["cells"]
    best = cells[(cells["arm"] == "Unconditional+250") & (cells["classifier"] == "ConvNeXt-S")].iloc[0]
    assert (best["mean"], best["sd"], best["n"], best["dose"]) == (0.8111, 0.0189, 5, 250)
    assert cells["mean"].between(0, 1).all()
    assert cells["sd"].between(0, 1).all()


def test_table9_rows_keep_their_unknown_dose_unknown():
    cells = read_published(FOLDER)["cells"]
    per_class = cells[cells["metric"] == "recall"].drop_duplicates("arm").set_index("arm")
    assert list(per_class.index[:3]) == ["Baseline", "Oversampling", "DreamBooth+best"]
    assert list(per_class["dose"].isna()) == [False, False, True, True, True, True, True]


def test_fidelity_says_what_it_was_measured_with():
    fidelity = read_published(FOLDER)["fidelity"]
    fid = fidelity[fidelity["metric"] == "fid"]
    assert set(fid["extractor"]) == {"inception"}
    assert set(fid["reference"]) == {"train"}
    assert (fid[["n_synthetic", "n_reference"]] == 50).all(axis=None)
    assert fidelity["step"].isna().all()
    joint = fidelity[fidelity["scope"] == "all"]
    assert set(joint["generator"]) == {"Fine-tuning", "LoRA"}


def test_written_frames_read_back_the_same(tmp_path):
    paths = {name: tmp_path / "scores" / f"{name}.csv" for name in ("fidelity", "ratings", "cells")}
    write_published(FOLDER, **paths)
    frames = read_published(FOLDER)
    for name, path in paths.items():
        pd.testing.assert_frame_equal(read_scores(path), frames[name], check_dtype=False)
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == ["cells.csv", "fidelity.csv", "ratings.csv"]


def test_all_missing_tables_are_named_at_once(tmp_path):
    (tmp_path / "table5_fid.csv").write_text("generator,class,fid,ms_ssim\n")
    with pytest.raises(StudyError) as caught:
        read_published(tmp_path)
    assert len(caught.value.problems) == 3
    assert "table9_per_class.csv" in str(caught.value)
