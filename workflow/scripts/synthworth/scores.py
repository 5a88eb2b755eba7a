"""Scores of classification: from per-image probabilities to tidy rows. Needs no torch."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

from synthworth.cells import aggregate_runs
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.statistics.predictions import NAMES, full_name, name_files, read_run, run_title

ALL = "all"
CALIBRATION_BINS = 15

logger = logging.getLogger(__name__)


def score_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The scores of one run: rows `metric, class, value`, the values fractions in [0, 1].

    `predictions` has a row per image with the columns `class` (the truth) and `p_<class>` for each of `classes`; the
    predicted class is the most probable one. Of class `all`: accuracy; balanced accuracy (the mean recall), macro
    F1 and macro AUROC (one class against the rest), each the mean over the classes that the test set holds; expected
    calibration error. Of each class: precision, recall and F1, 0 where nothing was predicted, or is there, to count.
    Classes without an image are left out of the means and named in a warning. With a single class in the test set the
    AUROC is NaN.
    """
    classes = list(classes)
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


def expected_calibration_error(probabilities: np.ndarray, correct: np.ndarray) -> float:
    """How far the probability of the predicted class is from the share that is right, on average, in [0, 1].

    Images fall into 15 bins of equal width by that probability, (0, 1/15] to (14/15, 1]; the absolute differences of
    mean probability and accuracy in the bins are averaged over images (Guo et al., On Calibration of Modern Neural
    Networks, ICML 2017, equation 3). `probabilities` float [n, K], `correct` bool [n]. It is above 0 by chance alone,
    the more so the fewer images there are.
    """
    top = probabilities.max(axis=1)
    bins = np.clip(np.ceil(top * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, top - correct)).sum() / len(top))


def collect_runs(runs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    """The *runs* frame: the NAMES of each run, `metric, class, value`, a row per score.

    `runs` are as of `statistics.predictions.read_predictions`; their order is kept. Raises StudyError where two runs
    predict other images, or other classes of the same images: their scores could not be compared.
    """
    frames, reference, problems = [], None, []
    for run in runs:
        predictions = read_run(run["path"])
        images = predictions[["image", "class"]]
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
