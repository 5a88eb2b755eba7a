import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from synthworth.errors import StudyError
from synthworth.scores import collect_runs, score_predictions

CLASSES = ["viral", "healthy", "fungal"]


def predictions(truth, seed=0):
    p = np.random.default_rng(seed).dirichlet(np.ones(len(CLASSES)), len(truth))
    frame = pd.DataFrame({"image": [f"{i}.png" for i in range(len(truth))], "patient": "p", "class": truth})
    return frame.assign(**{f"p_{name}": p[:, i] for i, name in enumerate(CLASSES)})


def value(scores, metric, name="all"):
    (found,) = scores.loc[(scores["metric"] == metric) & (scores["class"] == name), "value"]
    return found


def test_scores_by_hand():
    frame = pd.DataFrame(
        {
            "class": ["viral", "viral", "healthy", "healthy", "healthy", "fungal"],
            "p_viral": [0.6, 0.2, 0.5, 0.1, 0.1, 0.3],
            "p_healthy": [0.3, 0.7, 0.3, 0.8, 0.7, 0.5],
            "p_fungal": [0.1, 0.1, 0.2, 0.1, 0.2, 0.2],
        }
    )
    scores = score_predictions(frame, CLASSES)
    expected = {
        ("accuracy", "all"): 3 / 6,
        ("balanced_accuracy", "all"): (1 / 2 + 2 / 3 + 0) / 3,
        ("macro_f1", "all"): (1 / 2 + 4 / 7 + 0) / 3,
        ("precision", "viral"): 1 / 2,
        ("recall", "viral"): 1 / 2,
        ("f1", "viral"): 1 / 2,
        ("precision", "healthy"): 2 / 4,
        ("recall", "healthy"): 2 / 3,
        ("f1", "healthy"): 4 / 7,
        ("precision", "fungal"): 0,
        ("recall", "fungal"): 0,
        ("f1", "fungal"): 0,
        # Pairs ranked right: viral 5.0 of 2 x 4, healthy 6.5 of 3 x 3, fungal 4 of 1 x 5 (ties count half).
        ("macro_auroc", "all"): (6 / 8 + 6 / 9 + 4 / 5) / 3,
        # By bin: 0.5 twice, none right; 0.6, right; 0.7 twice, one right; 0.8, right.
        ("expected_calibration_error", "all"): (abs(0.5 + 0.5 - 0) + abs(0.6 - 1) + abs(1.4 - 1) + abs(0.8 - 1)) / 6,
    }
    assert list(scores.columns) == ["metric", "class", "value"]
    assert len(scores) == len(expected)
    for (metric, name), number in expected.items():
        assert value(scores, metric, name) == pytest.approx(number), (metric, name)


def test_scores_agree_with_scikit_learn():
    truth = np.random.default_rng(1).choice(CLASSES, 60)
    frame = predictions(truth)
    scores = score_predictions(frame, CLASSES)
    order = sorted(CLASSES)
    p = frame[[f"p_{name}" for name in order]].to_numpy()
    predicted = np.array(order)[p.argmax(axis=1)]
    assert value(scores, "balanced_accuracy") == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert value(scores, "macro_f1") == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert value(scores, "macro_auroc") == pytest.approx(roc_auc_score(truth, p, multi_class="ovr", average="macro"))


def test_classes_that_the_test_set_lacks_are_left_out_and_named(caplog):
    frame = predictions(["viral", "healthy"] * 10)
    scores = score_predictions(frame, CLASSES)
    assert "fungal" in caplog.text
    aurocs = [roc_auc_score(frame["class"] == name, frame[f"p_{name}"]) for name in ("viral", "healthy")]
    assert value(scores, "macro_auroc") == pytest.approx(np.mean(aurocs))
    recalls = [value(scores, "recall", name) for name in ("viral", "healthy")]
    assert value(scores, "balanced_accuracy") == pytest.approx(np.mean(recalls))
    assert np.isnan(value(score_predictions(predictions(["viral"] * 4), CLASSES), "macro_auroc"))


def test_runs_are_collected_in_order(tmp_path):
    names = {"classifier": "resnet50", "arm": "ddpm+100", "generator": "ddpm", "dose": 100}
    table = [names | {"seed": seed, "path": tmp_path / f"{seed}.csv"} for seed in (0, 1)]
    for run in table:
        predictions(["viral", "healthy", "fungal", "healthy"], run["seed"]).to_csv(run["path"], index=False)
    runs = collect_runs(table, CLASSES)
    assert list(runs.columns) == [*names, "repeat", "generator_seed", "draw", "seed", "metric", "class", "value"]
    assert len(runs) == 2 * 14
    second = runs[runs["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        second[["metric", "class", "value"]], score_predictions(pd.read_csv(tmp_path / "1.csv"), CLASSES)
    )
    predictions(["viral", "healthy", "healthy", "fungal"]).to_csv(tmp_path / "1.csv", index=False)
    with pytest.raises(StudyError, match=r"1\.csv: other test images"):
        collect_runs(table, CLASSES)


def test_scores_need_no_torch():
    scripts = Path(__file__).parents[1] / "workflow/scripts"
    code = "import synthworth.scores, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(scripts)}, check=True)
