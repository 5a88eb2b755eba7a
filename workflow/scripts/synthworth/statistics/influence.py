"""Metrics of many runs at once, and what each test patient contributes to them.

The influence of patient g on a metric is the first-order change of the metric with the weight of g (the
infinitesimal jackknife). The sum over patients of squared influences estimates the variance that the choice of
patients gives the metric, and any difference of metrics has the difference of influences. So a whole grid of arms is
resampled by one matrix product, for AUROC as for accuracy: a run costs O(n K log n), a replicate nothing more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from synthworth.errors import StudyError
from synthworth.findings import THRESHOLD


def values_and_influences(
    metric: str, truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The metric of each run, float [R], and the influence of each patient on it, float [R, P].

    `metric` is accuracy, balanced_accuracy, macro_f1 or macro_auroc (unweighted mean over classes, one against the
    rest, or over findings). `truth` int [n] are classes; means over classes count those that have test images. Or
    `truth` float [n, K] are findings, 1 or 0, or NaN: masked, and looked at by nothing; means count the findings that
    some test image surely has and some surely not. `patients` int [n] as 0 ... P-1, `probabilities` float [R, n, K].
    Values are fractions in [0, 1]. Influences are scaled by sqrt(m / (m - 1)), m patients in the class (or on the side
    of a finding) at hand, so that their sums of squares are unbiased for recalls and accuracies of single patients;
    they are NaN where a class has one patient, which tells nothing of its variance. Raises StudyError for an unknown
    metric, for macro_auroc where the test images are all of one class, and for findings that all images have, or none.
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


@dataclass(frozen=True)
class Question:
    """Whether an image is of a class, or has a finding, and what R runs say; n images.

    `positive`, `negative`: bool [n], neither where the finding is masked; `score`: float [R, n]; `called`: bool [R, n],
    where a run says yes.
    """

    positive: np.ndarray
    negative: np.ndarray
    score: np.ndarray
    called: np.ndarray


def questions(truth: np.ndarray, probabilities: np.ndarray) -> list[Question]:
    """One for each class with images, or for each finding with images on either side; see `values_and_influences`."""
    if truth.ndim == 1:
        called = probabilities.argmax(axis=2)
        return [
            Question(truth == label, truth != label, probabilities[:, :, label], called == label)
            for label in np.unique(truth)
        ]
    sides = [(finding == 1, finding == 0) for finding in truth.T]
    asked = [
        Question(positive, negative, score, score > THRESHOLD)
        for (positive, negative), score in zip(sides, np.moveaxis(probabilities, 2, 0), strict=True)
        if positive.any() and negative.any()
    ]
    if not asked:
        raise StudyError("No finding is there in some test images and not in others.", ["add test images"])
    return asked


def accuracy(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fraction of images classified right; of findings the mean of each one's fraction of right decisions."""
    if truth.ndim == 1:
        return _mean_of_shares([(probabilities.argmax(axis=2) == truth, np.ones(len(truth), bool))], patients)
    asked = questions(truth, probabilities)
    return _mean_of_shares([(one.called == one.positive, one.positive | one.negative) for one in asked], patients)


def balanced_accuracy(
    truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean recall of the classes; of findings the mean of sensitivity and specificity, over all of them."""
    asked = questions(truth, probabilities)
    shares = [(one.called, one.positive) for one in asked]
    if truth.ndim == 2:
        shares += [(~one.called, one.negative) for one in asked]
    return _mean_of_shares(shares, patients)


def _mean_of_shares(
    shares: Sequence[tuple[np.ndarray, np.ndarray]], patients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The unweighted mean of shares: pairs of what is right, bool [R, n], and of which images, bool [n]."""
    shape = shares[0][0].shape
    values, contributions = np.zeros(shape[0]), np.zeros(shape)
    for right, own in shares:
        share = right[:, own].mean(axis=1)
        values += share / len(shares)
        weight = small_sample_factor(patients[own]) / own.sum() / len(shares)
        contributions[:, own] += (right[:, own] - share[:, None]) * weight
    return values, contributions


def macro_f1(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over classes, or findings, of F1 = 2 TP / (true + predicted)."""
    asked = questions(truth, probabilities)
    values, contributions = np.zeros(len(probabilities)), np.zeros(probabilities.shape[:2])
    for one in asked:
        called = one.called & (one.positive | one.negative)
        hit = one.positive & called
        size = one.positive.sum() + called.sum(axis=1)
        f1 = 2 * hit.sum(axis=1) / size
        values += f1 / len(asked)
        weight = small_sample_factor(patients[one.positive]) / len(asked) / size[:, None]
        contributions += (2 * hit - f1[:, None] * (one.positive.astype(float) + called)) * weight
    return values, contributions


def macro_auroc(truth: np.ndarray, patients: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over classes of the area under the ROC curve of a class against the rest; ties count one half.

    Or over findings, of those with a finding against those without. Contributions are the structural components of
    DeLong et al. (Biometrics 44, 1988), summed within patients as by Obuchowski (Biometrics 53, 1997).
    """
    asked = questions(truth, probabilities)
    if not asked[0].negative.any():
        raise StudyError("macro_auroc needs test images of at least two classes.", ["choose another primary_metric"])
    values, contributions = np.zeros(len(probabilities)), np.zeros(probabilities.shape[:2])
    for one in asked:
        positive, negative = one.score[:, one.positive], one.score[:, one.negative]
        n_positive, n_negative = positive.shape[1], negative.shape[1]
        rank = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
        # The fraction of negatives below each positive, and of positives above each negative.
        below = (rank[:, :n_positive] - rankdata(positive, axis=1)) / n_negative
        above = 1 - (rank[:, n_positive:] - rankdata(negative, axis=1)) / n_positive
        area = below.mean(axis=1)
        values += area / len(asked)
        positive_weight = small_sample_factor(patients[one.positive]) / n_positive / len(asked)
        negative_weight = small_sample_factor(patients[one.negative]) / n_negative / len(asked)
        contributions[:, one.positive] += (below - area[:, None]) * positive_weight
        contributions[:, one.negative] += (above - area[:, None]) * negative_weight
    return values, contributions


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "macro_auroc": macro_auroc,
}
