"""Scores and statistics of findings: against scikit-learn, against resampled patients, and against those of classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from synthworth.cells import aggregate_runs
from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.label_fidelity import FINDING_COLUMNS, HELD_OUT, Judged, confusion, figure_confusion, recognition
from synthworth.planning.detectable import Design, Repetitions, detectable_effect, published_assumptions
from synthworth.scores import collect_runs, score_predictions
from synthworth.statistics.comparisons import compare_arms
from synthworth.statistics.components import variance_components
from synthworth.statistics.influence import METRICS, values_and_influences
from synthworth.statistics.predictions import Predictions, read_predictions
from synthworth.study import Study
from synthworth.tables.audits import recognition as recognition_table
from synthworth.tables.papers import table7_accuracy, table9_per_class

HOUSE = Path(__file__).parents[1]
FINDINGS = ("effusion", "edema", "mass")


def noisy(generator, images=120, runs=3, masked=0.2, images_per_patient=2):
    """Findings of unequal frequency, a share of them masked, and runs that know something of each."""
    truth = (generator.random((images, 3)) < [0.5, 0.3, 0.4]).astype(float)
    logits = 1.5 * (truth - 0.5) + generator.normal(size=(runs, images, 3))
    truth[generator.random(truth.shape) < masked] = np.nan
    patients = np.sort(generator.integers(0, images // images_per_patient, size=images))
    return truth, np.unique(patients, return_inverse=True)[1], (1 / (1 + np.exp(-logits))).round(2)


def reference(metric, truth, probabilities, weight):
    scores = []
    for finding in range(truth.shape[1]):
        known = ~np.isnan(truth[:, finding])
        own, p, w = truth[known, finding] == 1, probabilities[known, finding], weight[known]
        scores.append(
            {
                "accuracy": lambda own=own, p=p, w=w: accuracy_score(own, p > 0.5, sample_weight=w),
                "balanced_accuracy": lambda own=own, p=p, w=w: balanced_accuracy_score(own, p > 0.5, sample_weight=w),
                "macro_f1": lambda own=own, p=p, w=w: f1_score(own, p > 0.5, sample_weight=w),
                "macro_auroc": lambda own=own, p=p, w=w: roc_auc_score(own, p, sample_weight=w),
            }[metric]()
        )
    return np.mean(scores)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_metrics_are_those_of_scikit_learn_and_influences_their_derivatives_by_patient(metric):
    truth, patients, probabilities = noisy(np.random.default_rng(1), images=300)
    values, influences = values_and_influences(metric, truth, patients, probabilities)
    ones = np.ones(len(truth))
    np.testing.assert_allclose(values, [reference(metric, truth, run, ones) for run in probabilities], rtol=1e-12)
    for patient in (0, 7, 40):
        step = ones + 1e-6 * (patients == patient)
        slope = [(reference(metric, truth, p, step) - v) / 1e-6 for p, v in zip(probabilities, values, strict=True)]
        np.testing.assert_allclose(influences[:, patient], slope, rtol=0.05, atol=2e-5)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_influences_give_the_variance_of_a_bootstrap_over_patients(metric):
    generator = np.random.default_rng(2)
    truth, patients, probabilities = noisy(generator, images=400, runs=1, masked=0.3)
    _, influences = values_and_influences(metric, truth, patients, probabilities)
    members = [np.flatnonzero(patients == patient) for patient in range(patients.max() + 1)]
    drawn = []
    for _ in range(300):
        rows = np.concatenate([members[patient] for patient in generator.integers(0, len(members), len(members))])
        drawn.append(values_and_influences(metric, truth[rows], np.arange(len(rows)), probabilities[:, rows])[0])
    # A standard deviation of 300 is known to 4 %.
    assert np.sqrt((influences**2).sum()) == pytest.approx(np.std(drawn), rel=0.15)


def test_what_is_masked_counts_nowhere():
    truth, patients, probabilities = noisy(np.random.default_rng(3))
    other = np.where(np.isnan(truth), 1 - probabilities, probabilities)
    for metric in METRICS:
        for one, two in zip(
            values_and_influences(metric, truth, patients, probabilities),
            values_and_influences(metric, truth, patients, other),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)
    # A patient of whom everything is masked has no part in any.
    truth[patients == 5] = np.nan
    assert all(
        (values_and_influences(metric, truth, patients, probabilities)[1][:, 5] == 0).all() for metric in METRICS
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_the_auroc_of_classes_is_that_of_as_many_findings(classes):
    generator = np.random.default_rng(4)
    labels = generator.permutation(np.arange(90) % classes)
    patients = np.unique(np.sort(generator.integers(0, 45, 90)), return_inverse=True)[1]
    probabilities = generator.dirichlet(np.ones(classes), (3, 90)).round(3)
    one_hot = np.eye(classes)[labels]
    for one, two in zip(
        values_and_influences("macro_auroc", labels, patients, probabilities),
        values_and_influences("macro_auroc", one_hot, patients, probabilities),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


def test_a_finding_that_all_have_or_none_is_left_out():
    truth, patients, probabilities = noisy(np.random.default_rng(5))
    without = values_and_influences("macro_auroc", truth[:, :2], patients, probabilities[:, :, :2])
    truth[:, 2] = np.where(np.isnan(truth[:, 2]), np.nan, 1)
    for one, two in zip(without, values_and_influences("macro_auroc", truth, patients, probabilities), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(StudyError, match="No finding is there in some test images and not in others"):
        values_and_influences("macro_auroc", np.ones_like(truth), patients, probabilities)


def frame_of(truth, probabilities, patients=None):
    frame = pd.DataFrame({"image": [f"{i:03d}.png" for i in range(len(truth))], "class": "any"})
    frame["patient"] = frame["image"] if patients is None else patients.astype(str)
    for place, name in enumerate(FINDINGS):
        frame[f"p_{name}"], frame[f"y_{name}"] = probabilities[:, place], truth[:, place]
    return frame


def value(scores, metric, name="all"):
    (found,) = scores.loc[(scores["metric"] == metric) & (scores["class"] == name), "value"]
    return found


def test_scores_of_findings_are_those_of_scikit_learn():
    truth, _, probabilities = noisy(np.random.default_rng(6))
    scores = score_predictions(frame_of(truth, probabilities[0]), FINDINGS)
    for metric in METRICS:
        expected = reference(metric, truth, probabilities[0], np.ones(len(truth)))
        assert value(scores, metric) == pytest.approx(expected)
    errors = []
    for place, name in enumerate(FINDINGS):
        known = ~np.isnan(truth[:, place])
        own, p = truth[known, place] == 1, probabilities[0, known, place]
        assert value(scores, "auroc", name) == pytest.approx(roc_auc_score(own, p))
        assert value(scores, "average_precision", name) == pytest.approx(average_precision_score(own, p))
        assert value(scores, "precision", name) == pytest.approx(precision_score(own, p > 0.5))
        assert value(scores, "recall", name) == pytest.approx(recall_score(own, p > 0.5))
        assert value(scores, "f1", name) == pytest.approx(f1_score(own, p > 0.5))
        edges = np.ceil(p * 15)
        errors.append(sum(abs((p - own)[edges == edge].sum()) for edge in np.unique(edges)) / len(p))
        assert value(scores, "expected_calibration_error", name) == pytest.approx(errors[-1])
    assert value(scores, "expected_calibration_error") == pytest.approx(np.mean(errors))
    assert len(scores) == 5 + 3 * 6


def test_a_finding_without_two_sides_has_no_score_and_is_named(caplog):
    truth, _, probabilities = noisy(np.random.default_rng(7))
    truth[:, 2] = 0
    scores = score_predictions(frame_of(truth, probabilities[0]), FINDINGS)
    assert "mass: left out of the averages" in caplog.text
    assert np.isnan(value(scores, "auroc", "mass"))
    expected = [value(scores, "auroc", name) for name in FINDINGS[:2]]
    assert value(scores, "macro_auroc") == pytest.approx(np.mean(expected))


def named_runs(folder, generator, effect=0.0):
    """Files of four seeds of a baseline and of an arm whose scores are nearer to the truth by `effect`."""
    truth, patients, probabilities = noisy(generator, images=160, runs=8)
    runs = []
    for place, run in enumerate(probabilities):
        arm, seed = ("baseline", "ddpm+5")[place // 4], place % 4
        better = np.clip(run + effect * (place // 4) * np.nan_to_num(2 * truth - 1), 0.001, 0.999)
        path = folder / f"{arm}-{seed}.csv"
        frame_of(truth, better, patients).sample(frac=1, random_state=place).to_csv(path, index=False)
        names = {"classifier": "resnet50", "arm": arm, "generator": arm.split("+")[0], "dose": 5 * (place // 4)}
        runs.append(names | {"seed": seed, "path": path})
    return runs


def test_comparisons_of_findings_are_of_the_scores_in_runs(tmp_path):
    runs = named_runs(tmp_path, np.random.default_rng(8), effect=0.15)
    predictions = read_predictions(runs)
    assert predictions.classes == FINDINGS
    assert predictions.truth.shape == (160, 3)
    cells = aggregate_runs(collect_runs(runs, FINDINGS), 1).set_index(["metric", "class", "arm"])["mean"]
    for metric in METRICS:
        row = compare_arms(predictions, "baseline", metric, replicates=100).iloc[0]
        assert row["effect"] == pytest.approx(cells[metric, "all", "ddpm+5"] - cells[metric, "all", "baseline"])
        assert row["verdict"] == "helps"
        assert row["low"] > 0
    sources = variance_components(predictions, "macro_auroc").set_index(["arm", "component"])["variance"]
    assert sources["all", "patients"] > 0
    truth = pd.read_csv(runs[1]["path"])
    truth.assign(y_mass=1 - truth["y_mass"]).to_csv(runs[1]["path"], index=False)
    with pytest.raises(StudyError, match="other images, patients or classes"):
        read_predictions(runs)
    with pytest.raises(StudyError, match="other test images"):
        collect_runs(runs, FINDINGS)


def test_intervals_of_equal_arms_hold_no_effect():
    generator, covered, studies = np.random.default_rng(9), 0, 60
    names = pd.DataFrame(
        [
            ("resnet50", arm, arm.split("+")[0], dose, seed)
            for arm, dose in (("baseline", 0), ("g+1", 1))
            for seed in range(3)
        ],
        columns=["classifier", "arm", "generator", "dose", "seed"],
    ).assign(repeat=1, generator_seed=1, draw=1)
    for study in range(studies):
        truth, patients, probabilities = noisy(generator, images=120, runs=6)
        rows = compare_arms(
            Predictions(names, FINDINGS, truth, patients, probabilities),
            "baseline",
            "macro_auroc",
            replicates=20,
            seed=study,
        )
        covered += rows["low"].iloc[0] <= 0 <= rows["high"].iloc[0]
    # Within 2.6 standard errors of 95 %.
    assert covered / studies >= 0.877


def test_tables_speak_of_findings(tmp_path):
    cells = aggregate_runs(collect_runs(named_runs(tmp_path, np.random.default_rng(10)), FINDINGS), 1)
    table = table9_per_class(cells, "baseline")
    assert table.caption == "Scores of each finding (resnet50)"
    assert list(table.frame.columns) == ["Metric", "Training data", *FINDINGS]
    assert list(table.frame["Metric"].unique()) == ["AUROC", "Average precision", "Precision", "Recall", "F1"]
    assert any("mean over findings" in remark for remark in table7_accuracy(cells, "baseline").remarks)
    of_classes = cells[~cells["metric"].isin(["auroc", "average_precision"])]
    assert table9_per_class(of_classes, "baseline").caption == "Precision, recall and F1 of each class (resnet50)"
    assert not any("findings" in remark for remark in table7_accuracy(of_classes, "baseline").remarks)


@pytest.fixture
def judged():
    """Held-out images of classes `none` and `both`, and a generator's, whose `mass` nobody knows."""
    classes = np.array(["none"] * 10 + ["both"] * 10)
    findings = np.repeat([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], 10, axis=0)
    said = np.repeat([[0.1, 0.4, 0.2], [0.9, 0.6, 0.7]], 10, axis=0)
    said[:3, 1] = 0.8
    said[10:12, 0] = 0.3
    held_out = Judged(classes, said, np.arange(20), findings)
    made = findings.copy()
    made[:, 2] = np.nan
    return held_out, {"gan": Judged(classes, 1 - said, None, made)}


def test_recognition_is_of_the_images_that_are_meant_to_show_a_finding(judged):
    held_out, synthetic = judged
    rows = recognition(FINDINGS, held_out, synthetic).set_index(["source", "class"])
    real = rows.loc[HELD_OUT]
    assert real["n"].tolist() == [10, 10, 10]
    assert real["recall"].tolist() == [0.8, 1.0, 1.0]
    for place, name in enumerate(FINDINGS):
        expected = roc_auc_score(held_out.findings[:, place], held_out.probabilities[:, place])
        assert real.loc[name, "auroc"] == pytest.approx(expected)
    # What is masked is asked of nobody.
    assert list(rows.loc["gan"].index) == ["effusion", "edema"]
    assert rows.loc[("gan", "effusion"), ["recall", "ceiling", "reading"]].tolist() == [0.2, 0.8, "below real"]
    assert rows.loc[("gan", "effusion"), "auroc"] == pytest.approx(1 - real.loc["effusion", "auroc"])
    table = recognition_table(rows.reset_index(), "baseline")
    assert table.caption == "Images recognised as their finding (% and AUROC)"
    assert table.frame["edema"].iloc[0] == "100 [72, 100]; 0.70"
    assert table.frame["mass"].iloc[1] == ""


def test_the_matrix_is_of_classes_and_findings(judged):
    held_out, synthetic = judged
    frame = confusion(FINDINGS, held_out, synthetic)
    assert tuple(frame.columns) == FINDING_COLUMNS
    own = frame.set_index(["source", "class", "finding"])
    assert own.loc[(HELD_OUT, "none", "edema"), ["images", "share", "n"]].tolist() == [3, 0.3, 10]
    assert own.loc[("gan", "both", "effusion"), "share"] == 0.2
    figure = figure_confusion(frame, frame["class"].unique())
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == list(FINDINGS)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["both", "none"]
    assert [text.get_text() for text in panel.texts] == ["80", "100", "100", "0", "30", "0"]
    assert panel.get_xlabel() == "Finding recognised"
    counts = next(axes for axes in panel.child_axes)
    assert [label.get_text() for label in counts.get_yticklabels()] == ["10", "10"]


def test_probabilities_of_findings_need_not_add_up_but_must_be_there(judged):
    held_out, _ = judged
    broken = held_out.probabilities.copy()
    broken[0, 0] = np.nan
    with pytest.raises(StudyError, match="did the classifier's training diverge"):
        recognition(FINDINGS, held_out, {"gan": Judged(held_out.classes, broken, None, held_out.findings)})
    unseen = Judged(held_out.classes, held_out.probabilities, None, held_out.findings * [1, 1, 0])
    with pytest.raises(StudyError, match="finding mass: no held-out real image"):
        recognition(FINDINGS, unseen, {})


def test_what_a_study_of_findings_could_find():
    low, high = published_assumptions(HOUSE / "resources/published")
    generator = np.random.default_rng(11)
    fields = generator.choice(["1", "0"], size=(200, 3))
    test = pd.DataFrame({"patient": np.arange(200), "class": "any"}).assign(
        **dict(zip(FINDINGS, fields.T, strict=True))
    )
    seeds = Repetitions(5, "seed", 5, 4 * (5 - 1))
    design = Design(seeds, seeds, 1, 3, 0.95, "macro_auroc")
    three, one = (detectable_effect(test, design, low, names) for names in (FINDINGS, FINDINGS[:1]))
    # Findings that err on other images tell three times as much; those that err on the same ones no more than one.
    assert three == pytest.approx(one / np.sqrt(3), rel=0.05)
    assert detectable_effect(test, design, high, FINDINGS) == pytest.approx(
        detectable_effect(test, design, high, FINDINGS[:1]), rel=0.05
    )
    masked = test.assign(edema="", mass="")
    assert detectable_effect(masked, design, low, FINDINGS) == pytest.approx(one)
    # One finding asked of all is a study of two classes, with it and without.
    classes = test.assign(**{"class": test["effusion"]})
    assert detectable_effect(classes, design, low) == pytest.approx(one)


def test_the_primary_metric_of_findings_may_be_any():
    default = yaml.safe_load((HOUSE / "config/config.yaml").read_text())
    phantoms = {"patients": {"healthy": 3, "viral": 3}}
    for metric in METRICS:
        changes = {"dataset": {"findings": ["viral"], "phantoms": phantoms}, "statistics": {"primary_metric": metric}}
        assert Study(compose(default, changes)).findings == ["viral"]
