"""How many real images an arm is worth, by the learning curve of the real ones.

Arms that hold real training images back (`real_share`) show what these are worth: the metric is taken to rise by a
slope for each unit of log(number of images), as learning curves do over the short range that shares of one set
span. An arm with synthetic images is then worth as many real images as bring its effect: the last m of all n, with

    effect = slope x (log n - log(n - m)).

What more than n real images would bring is not extrapolated; there each adds less, so that a gain is worth at least
the m that is given. A loss is worth -m: as if m real images had been held back.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.errors import StudyError
from synthworth.statistics.comparisons import Differences, estimate_differences
from synthworth.statistics.predictions import Predictions

COLUMNS = ["arm", "generator", "dose", "metric", "effect", "confidence", "images", "low", "high", "reason"]
COLUMNS += ["n_real", "n_held_back", "slope", "slope_standard_error"]
NO_SLOPE = "the metric does not rise with real images"
PERHAPS_FLAT = "the learning curve may be flat"
UNKNOWN = "chance is not known"


def worth_in_real_images(
    predictions: Predictions,
    baseline: str,
    real_images: Mapping[str, int],
    metric: str = "balanced_accuracy",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What each synthetic arm is worth in real training images: a row per arm with dose above 0, over all classifiers.

    `real_images`: the number of real training images of the `baseline` and of each arm that holds some back; those of
    them with synthetic images are not counted, as two things would change at once.
    Columns: the names; `effect` (arm minus baseline, a fraction); `images` and their interval `low`, `high` at
    `confidence`, in real images, negative for a loss; `reason`; `n_real`, all real training images, and `n_held_back`,
    how many the smallest arm goes without; `slope` of the learning curve per unit of log(images), with its
    `slope_standard_error`.

    The slope is fitted to the differences of the arms that hold back from the baseline by generalised least squares,
    with the covariance that patients and seeds give them, so that the better known ones weigh more. The interval is
    that of a ratio (Fieller, Journal of the Royal Statistical Society B 16, 1954) of effect and slope, from the
    variance of the comparisons. A number that the curve does not reach is NaN and `reason` says which and why:
    `images: more than all 120 held back`, or `low: fewer than -120`. All three are NaN where the slope is not above 0,
    or chance is not known; the ends alone where the slope could be 0 at this confidence.

    Raises StudyError where no arm holds real images back, or there is no synthetic arm.
    """
    differences = estimate_differences(predictions, baseline, metric)
    pooled = differences.rows["classifier"] == "all"
    arms = differences.rows["arm"]
    fewer = arms.isin([arm for arm, count in real_images.items() if count < real_images[baseline]])
    generated = differences.rows["dose"] > 0
    held = np.flatnonzero(pooled & fewer & ~generated)
    synthetic = np.flatnonzero(pooled & generated & ~fewer)
    if not held.size or not synthetic.size:
        raise StudyError(
            "There is nothing to count in real images.",
            ["arms needs one with `real_share` below 1 and one with synthetic images, beside the baseline"],
        )
    n_real = real_images[baseline]
    counts = np.array([real_images[arm] for arm in arms.iloc[held]])
    weights = slope_weights(differences, held, np.log(counts / n_real))
    rows = differences.rows.iloc[synthetic].assign(
        metric=metric,
        confidence=confidence,
        effect=differences.effect[synthetic],
        n_real=n_real,
        n_held_back=n_real - counts.min(),
        slope=weights @ differences.effect,
        slope_standard_error=np.sqrt(differences.variance((weights @ differences.weights)[None])[0][0]),
    )
    of_arms = [_worth(differences, row, weights, n_real, counts.min(), confidence) for row in synthetic]
    return rows.assign(**pd.DataFrame(of_arms, index=rows.index))[COLUMNS].reset_index(drop=True)


def slope_weights(differences: Differences, held: np.ndarray, log_share: np.ndarray) -> np.ndarray:
    """The slope of the learning curve as weights of all D differences, float [D], by generalised least squares.

    `held` int [H], the differences of the arms that hold back; `log_share` float [H], log(their images / all).
    """
    own = differences.weights[held]
    patients = own @ differences.influences
    covariance = patients @ patients.T + (own * np.nan_to_num(differences.noise.skill)) @ own.T
    # The inverse of a singular matrix: runs that all predict alike tell nothing, and are no error here.
    precise = np.linalg.pinv(np.nan_to_num(covariance), hermitian=True) @ log_share
    weights = np.zeros(len(differences.effect))
    weights[held] = precise / (log_share @ precise) if log_share @ precise > 0 else np.nan
    return weights


def fieller(
    numerator: float, denominator: float, variances: tuple[float, float], covariance: float, quantile: float
) -> tuple[float, float]:
    """The interval of a ratio of two normal estimates (denominator above 0); infinite ends where it has none.

    `variances` of numerator and denominator, `covariance` between them, `quantile` of Student's t.
    """
    squared = quantile**2
    a = denominator**2 - squared * variances[1]
    b = numerator * denominator - squared * covariance
    c = numerator**2 - squared * variances[0]
    if a <= 0:
        return -np.inf, np.inf
    root = np.sqrt(max(b**2 - a * c, 0))
    return (b - root) / a, (b + root) / a


def _worth(
    differences: Differences, row: int, slope: np.ndarray, n_real: int, fewest: int, confidence: float
) -> dict[str, object]:
    """images, low, high and reason of the arm in row `row`; `slope`: see `slope_weights`."""
    nothing = {"images": np.nan, "low": np.nan, "high": np.nan}
    effect, rise = differences.effect[row], slope @ differences.effect
    pair = np.stack([differences.weights[row], slope @ differences.weights])
    variances, degrees = differences.variance(np.vstack([pair, pair.sum(axis=0)]))
    if np.isnan(variances[:2]).any():
        return nothing | {"reason": UNKNOWN}
    if rise <= 0:
        return nothing | {"reason": NO_SLOPE}
    covariance = (np.nan_to_num(variances[2]) - variances[0] - variances[1]) / 2
    quantile = stats.t.isf((1 - confidence) / 2, degrees[:2].min())
    ratios = (effect / rise, *fieller(effect, rise, tuple(variances[:2]), covariance, quantile))
    reach = np.log(n_real / fewest)
    named, reasons = {}, []
    for name, ratio in zip(nothing, ratios, strict=True):
        within = abs(ratio) <= reach
        named[name] = np.sign(ratio) * n_real * -np.expm1(-abs(ratio)) if within else np.nan
        if not within and np.isinf(ratio):
            reasons.append(f"{name}: {PERHAPS_FLAT}")
        elif not within:
            held = n_real - fewest
            reasons.append(f"{name}: " + (f"more than all {held} held back" if ratio > 0 else f"fewer than -{held}"))
    return named | {"reason": "; ".join(reasons)}
