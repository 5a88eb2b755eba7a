"""Scores of classification: from per-image probabilities to tidy rows. Needs no torch."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from synthworth.cells import aggregate_runs
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.findings import THRESHOLD
from synthworth.statistics.predictions import NAMES, full_name, name_files, read_run, run_title

ALL = "all"
CALIBRATION_BINS = 15
OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "expected_calibration_error")
OF_FINDINGS = ("auroc", "average_precision", "precision", "recall", "f1", "expected_calibration_error")

logger = logging.getLogger(__name__)


def score_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The scores of one run: rows `metric, class, value`, the values fractions in [0, 1].

    `predictions` has a row per image with the columns `class` (the truth) and `p_<class>` for each of `classes`; the
    predicted class is the most probable one. Of class `all`: accuracy; balanced accuracy (the mean recall), macro
    F1 and macro AUROC (one class against the rest), each the mean over the classes that the test set holds; expected
    calibration error. Of each class: precision, recall and F1, 0 where nothing was predicted, or is there, to count.
    Classes without an image are left out of the means and named in a warning. With a single class in the test set the
    AUROC is NaN. Where there are columns `y_<class>`, the classes are findings: see `score_findings`.
    """
    classes = list(classes)
    if f"y_{classes[0]}" in predictions:
        return score_findings(predictions, classes)
    truth = predictions["class"].to_numpy(str)
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy()
    predicted = np.array(classes)[probabilities.argmax(axis=1)]
    present = np.isin(classes, truth)
    absent = [name for name, there in zip(classes, present, strict=True) if not there]
    if absent:
        logger.warning("no test image of %s: left out of the macro averages", ", ".join(absent))
    per_class = dict(
        zip(
            ("precision", "recall", "f1"),
            precision_recall_fscore_support(truth, predicted, labels=classes, average=None, zero_division=0)[:3],
            strict=True,
        )
    )
    aurocs = [
        roc_auc_score(truth == name, probabilities[:, position])
        for position, name in enumerate(classes)
        if present[position] and present.sum() > 1
    ]
    overall = {
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": per_class["recall"][present].mean(),
        "macro_f1": per_class["f1"][present].mean(),
        "macro_auroc": np.mean(aurocs) if aurocs else np.nan,
        "expected_calibration_error": expected_calibration_error(probabilities, predicted == truth),
    }
    rows = [(metric, ALL, float(value)) for metric, value in overall.items()]
    rows += [
        (metric, name, float(value))
        for metric, values in per_class.items()
        for name, value in zip(classes, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["metric", "class", "value"])


def score_findings(predictions: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """The scores of one run of a multi-label study: rows `metric, class, value`, the class being a finding, or `all`.

    `predictions` has a row per image with the columns `p_<finding>` and `y_<finding>` (1, 0, or NaN: masked, which
    counts nowhere). A finding is called where its probability is above 0.5. Of each: AUROC, average precision,
    precision, recall and F1 (0 where nothing is called), and expected calibration error, of its probability. Of class
    `all` the means over findings: the fraction of right decisions (accuracy), the mean of sensitivity and specificity
    (balanced accuracy), F1, AUROC and calibration error. A finding that no image has, or every one, has no scores
    (NaN); it is left out of the means and named in a warning.
    """
    rows, judged, untold = [], [], []
    for name in findings:
        own = predictions[predictions[f"y_{name}"].notna()]
        truth, probability = own[f"y_{name}"].to_numpy() == 1, own[f"p_{name}"].to_numpy()
        if truth.all() or not truth.any():
            untold.append(name)
            rows += [(metric, name, np.nan) for metric in OF_FINDINGS]
            continue
        called = probability > THRESHOLD
        precision, recall, f1, _ = precision_recall_fscore_support(truth, called, average="binary", zero_division=0)
        error = expected_calibration_error(probability[:, None], truth)
        auroc = roc_auc_score(truth, probability)
        values = (auroc, average_precision_score(truth, probability), precision, recall, f1, error)
        rows += [(metric, name, float(value)) for metric, value in zip(OF_FINDINGS, values, strict=True)]
        balanced = (recall + recall_score(~truth, ~called)) / 2
        judged.append((accuracy_score(truth, called), balanced, f1, auroc, error))
    if untold:
        logger.warning("all test images have, or none has, %s: left out of the averages", ", ".join(untold))
    means = np.mean(judged, axis=0) if judged else np.full(len(OVERALL), np.nan)
    overall = [(metric, ALL, float(value)) for metric, value in zip(OVERALL, means, strict=True)]
    return pd.DataFrame([*overall, *rows], columns=["metric", "class", "value"])


def expected_calibration_error(probabilities: np.ndarray, correct: np.ndarray) -> float:
    """How far the probability of the predicted class is from the share that is right, on average, in [0, 1].

    Images fall into 15 bins of equal width by that probability, (0, 1/15] to (14/15, 1]; the absolute differences of
    mean probability and accuracy in the bins are averaged over images (Guo et al., On Calibration of Modern Neural
    Networks, ICML 2017, equation 3). `probabilities` float [n, K], `correct` bool [n]. Of a finding (K = 1) it is the
    probability of the finding and the share that has it. It is above 0 by chance alone, the more so the fewer images
    there are.
    """
    top = probabilities.max(axis=1)
    bins = np.clip(np.ceil(top * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, top - correct)).sum() / len(top))


def collect_runs(runs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    """The *runs* frame: the NAMES of each run, `metric, class, value`, a row per score; `classes` may be findings.

    `runs` are as of `statistics.predictions.read_predictions`; their order is kept. Raises StudyError where two runs
    predict other images, or other classes of the same images: their scores could not be compared.
    """
    frames, reference, problems = [], None, []
    for run in runs:
        predictions = read_run(run["path"])
        images = predictions[["image", "class", *(name for name in predictions if name.startswith("y_"))]]
        reference = images if reference is None else reference
        if not images.equals(reference):
            problems.append(
                f"{run_title(run)}: other test images than in {run_title(runs[0])}: "
                "delete the older of the two, so that it is made anew"
            )
            continue
        frames.append(score_predictions(predictions, classes).assign(**full_name(run)))
    if problems:
        raise StudyError("Runs were tested on different images", problems)
    return pd.concat(frames, ignore_index=True)[[*NAMES, "metric", "class", "value"]]


def write_runs(
    predictions: Sequence[str],
    runs: str,
    cells: str,
    names: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    ddof: int,
) -> None:
    """Writes the scores of all runs (runs.csv) and their means over seeds (cells.csv).

    `names` and `predictions`, the runs' files, are as of `statistics.predictions.name_files`; `ddof` as of
    `cells.aggregate_runs`.
    """
    frame = collect_runs(name_files(names, predictions), classes)
    with replacing(runs) as temporary:
        frame.to_csv(temporary, index=False)
    with replacing(cells) as temporary:
        aggregate_runs(frame, ddof).to_csv(temporary, index=False)
