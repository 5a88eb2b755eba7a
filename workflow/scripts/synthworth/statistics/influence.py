"""Metrics of many runs at once, and what each test patient contributes to them.

The influence of patient g on a metric is the first-order change of the metric with the weight of g (the
infinitesimal jackknife). The sum over patients of squared influences estimates the variance that the choice of
patients gives the metric, and any difference of metrics has the difference of influences. So a whole grid of arms is
resampled by one matrix product, for AUROC as for accuracy: a run costs O(n K log n), a replicate nothing more.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from synthworth.errors import StudyError


def values_and_influences(
    metric: str, truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The metric of each run, float [R], and the influence of each patient on it, float [R, P].

    `metric` is accuracy, balanced_accuracy, macro_f1 or macro_auroc (one class against the rest, unweighted mean);
    means over classes count the classes that have test images. `truth` int [n], `patients` int [n] as 0 ... P-1,
    `probabilities` float [R, n, K]. Values are fractions in [0, 1]. Influences are scaled by sqrt(m / (m - 1)), m
    patients in the class at hand, so that their sums of squares are unbiased for recalls and accuracies of single
    patients; they are NaN where a class has one patient, which tells nothing of its variance.
    Raises StudyError for an unknown metric, and for macro_auroc where the test images are all of one class.
    """
    if metric not in METRICS:
        raise StudyError(f"Unknown metric {metric}.", [f"choose one of {', '.join(sorted(METRICS))}"])
    values, contributions = METRICS[metric](truth, patients, probabilities)
    by_patient = np.argsort(patients, kind="stable")
    starts = np.searchsorted(patients[by_patient], np.arange(patients.max() + 1))
    return values, np.add.reduceat(contributions[:, by_patient], starts, axis=1)


def small_sample_factor(patients: np.ndarray) -> float:
    """sqrt(m / (m - 1)) for the m patients of some images; NaN for one patient. `patients`: int, one per image."""
    count = len(np.unique(patients))
    return float(np.sqrt(count / (count - 1))) if count > 1 else float("nan")


def accuracy(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fraction of images classified right."""
    correct = (probabilities.argmax(axis=2) == truth).astype(float)
    values = correct.mean(axis=1)
    factor = small_sample_factor(patients)
    return values, (correct - values[:, None]) * factor / len(truth)


def balanced_accuracy(
    truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean recall of the classes."""
    correct = (probabilities.argmax(axis=2) == truth).astype(float)
    classes = np.unique(truth)
    values, contributions = np.zeros(len(correct)), np.zeros(correct.shape)
    for label in classes:
        positive = truth == label
        recall = correct[:, positive].mean(axis=1)
        values += recall / len(classes)
        weight = small_sample_factor(patients[positive]) / positive.sum() / len(classes)
        contributions[:, positive] = (correct[:, positive] - recall[:, None]) * weight
    return values, contributions


def macro_f1(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over classes of F1 = 2 TP / (true + predicted)."""
    predicted = probabilities.argmax(axis=2)
    classes = np.unique(truth)
    values, contributions = np.zeros(len(predicted)), np.zeros(predicted.shape)
    for label in classes:
        positive, called = truth == label, predicted == label
        hit = positive & called
        size = positive.sum() + called.sum(axis=1)
        f1 = 2 * hit.sum(axis=1) / size
        values += f1 / len(classes)
        weight = small_sample_factor(patients[positive]) / len(classes) / size[:, None]
        contributions += (2 * hit - f1[:, None] * (positive.astype(float) + called)) * weight
    return values, contributions


def macro_auroc(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over classes of the area under the ROC curve of a class against the rest; ties count one half.

    Contributions are the structural components of DeLong et al. (Biometrics 44, 1988), summed within patients as by
    Obuchowski (Biometrics 53, 1997).
    """
    classes = np.unique(truth)
    if len(classes) < 2:
        raise StudyError("macro_auroc needs test images of at least two classes.", ["choose another primary_metric"])
    values, contributions = np.zeros(len(probabilities)), np.zeros(probabilities.shape[:2])
    for label in classes:
        positive, score = truth == label, probabilities[:, :, label]
        n_positive, n_negative = positive.sum(), (~positive).sum()
        rank = rankdata(score, axis=1)
        # The fraction of negatives below each positive, and of positives above each negative.
        below = (rank[:, positive] - rankdata(score[:, positive], axis=1)) / n_negative
        above = 1 - (rank[:, ~positive] - rankdata(score[:, ~positive], axis=1)) / n_positive
        area = below.mean(axis=1)
        values += area / len(classes)
        positive_weight = small_sample_factor(patients[positive]) / n_positive / len(classes)
        negative_weight = small_sample_factor(patients[~positive]) / n_negative / len(classes)
        contributions[:, positive] += (below - area[:, None]) * positive_weight
        contributions[:, ~positive] += (above - area[:, None]) * negative_weight
    return values, contributions


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "macro_auroc": macro_auroc,
}
