"""Each arm against the baseline on the same test images, with patients and training seeds both counted as chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.statistics.grid import build_grid
from synthworth.statistics.influence import values_and_influences
from synthworth.statistics.predictions import Predictions
from synthworth.statistics.variance import SeedNoise, difference_variance, seed_noise

POWER = 0.8
REPLICATES_AT_ONCE = 250


@dataclass(frozen=True)
class Differences:
    """The D differences of a study and what their chance is made of (fractions of the metric).

    `rows`: frame of D rows, and `weights`: float [D, B], as of `grid.Grid`. `means`: float [B], of the blocks.
    `influences`: float [B, P], of patients on these means; `noise`: of training in them.
    """

    rows: pd.DataFrame
    weights: np.ndarray
    means: np.ndarray
    influences: np.ndarray
    noise: SeedNoise

    @property
    def effect(self) -> np.ndarray:
        """The differences, float [D]."""
        return self.weights @ self.means

    def variance(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`variance.difference_variance` of the differences, or of other `weights` [any, B]."""
        return difference_variance(self.weights if weights is None else weights, self.influences, self.noise)


def compare_arms(
    predictions: Predictions,
    baseline: str,
    metric: str = "balanced_accuracy",
    confidence: float = 0.95,
    margin: float | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """The difference of each arm from the arm `baseline` in `metric`, mean over seeds, as rows of a frame.

    A row per arm with classifier `all` (the mean over the classifiers that have both arms, taken as fixed), then a
    row per classifier and arm. Columns:

    - `classifier, arm, generator, dose, metric`: the names;
    - `effect`: arm minus baseline, a fraction (0.01 is one point); `standard_error` of it, over patients and seeds;
    - `low, high`: its interval at the `confidence` of the same name, Student's t with `degrees` of freedom;
    - `low_simultaneous, high_simultaneous`: intervals that hold for all arms of the family at once (max-T, below);
      no interval reaches beyond +-1, as no difference does: with two seeds Student's t would;
    - `p` of no difference, two-sided; `p_adjusted`: after Holm, over the family;
    - `margin`, a fraction, and `p_equivalence` of an effect outside +-margin: the larger p of two one-sided tests
      (TOST: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987); `p_equivalence_adjusted` after
      Holm. `p_equivalence` is below half of 1 - confidence where the interval lies within the margin;
    - `minimum_detectable_effect`: found with a power of 80 % at Holm's first step if the effect leaves the noise as it
      is, (t[1 - alpha / (2 m)] + t[0.8]) x standard_error with alpha = 1 - confidence and m arms in the family; 1 where
      even the largest effect would be missed so often;
    - `verdict`: `helps` or `harms` where p_adjusted < alpha, else `no evidence`;
    - `baseline_score`: the baseline's own, in [0, 1]; `guess_score`: that of a guess without a look at the images,
      see `guess_score`; `p_guess` of a baseline that is no better than that, one-sided;
    - `n_images, n_patients, n_classifiers, n_repeats, n_seeds` (of the cross-validation and of the classifier, in the
      cell with the fewest), `n_generator_seeds, n_draws` (of the arm).

    Two families: the arms pooled over classifiers, of which the study's verdict speaks, and all single cells.
    Standard error to minimum detectable effect are NaN, and the verdict `no evidence`, where chance cannot be
    known: an arm or the baseline with one seed, a class of one test patient, or runs that all predict alike.
    `margin` and the p values of equivalence are NaN where `margin` is None.

    Patients are paired between arms, seeds are not; what counts as a seed says `grid`. Variances come from a
    decomposition (`variance`), since a bootstrap over few seeds crossed with patients is wrong in both directions.
    The max-T intervals come from `replicates` bootstraps over patients (whole patients, jointly for all arms, by
    their influences) crossed with normal draws of each block's seeds: the quantile of the smallest p over the family,
    put back into each arm's own t. `seed` starts the bootstrap; nothing else is random. 27 arms, 5 classifiers, 5
    seeds, 217 images: about a second.

    Raises StudyError for an unknown metric, and as `grid.build_grid`.
    """
    differences = estimate_differences(predictions, baseline, metric)
    effect = differences.effect
    variance, degrees = differences.variance()
    alpha = 1 - confidence
    error = np.sqrt(variance)
    reach = stats.t.isf(alpha / 2, degrees) * error
    frame = differences.rows.assign(
        metric=metric,
        confidence=confidence,
        effect=effect,
        standard_error=error,
        degrees=degrees,
        low=effect - reach,
        high=effect + reach,
        p=2 * stats.t.sf(np.abs(effect) / error, degrees),
        margin=np.nan if margin is None else margin,
        p_equivalence=equivalence(effect, error, degrees, margin),
        n_images=predictions.n_images,
        n_patients=predictions.n_patients,
    )
    frame = frame.assign(**dict.fromkeys(OF_FAMILY, np.nan), **_against_guess(predictions, differences, metric))
    generator = np.random.default_rng(seed)
    for members in (frame["classifier"] == "all", frame["classifier"] != "all"):
        family = np.flatnonzero(members & frame["p"].notna())
        if family.size:
            level = simultaneous_level(differences, family, error[family], alpha, replicates, generator)
            frame.loc[family, OF_FAMILY] = _of_family(frame.loc[family], alpha, level)
    frame[BOUNDED] = frame[BOUNDED].clip(-1, 1)
    found = frame["p_adjusted"] < alpha
    frame["verdict"] = np.select([found & (effect > 0), found & (effect < 0)], ["helps", "harms"], "no evidence")
    return frame[COLUMNS]


OF_FAMILY = ["low_simultaneous", "high_simultaneous", "p_adjusted", "p_equivalence_adjusted"]
OF_FAMILY += ["minimum_detectable_effect"]
BOUNDED = ["low", "high", "low_simultaneous", "high_simultaneous", "minimum_detectable_effect"]
COLUMNS = ["classifier", "arm", "generator", "dose", "metric", "effect", "standard_error", "degrees"]
COLUMNS += ["confidence", "low", "high", "low_simultaneous", "high_simultaneous", "p", "p_adjusted"]
COLUMNS += ["margin", "p_equivalence", "p_equivalence_adjusted", "minimum_detectable_effect", "verdict"]
COLUMNS += ["baseline_score", "guess_score", "p_guess"]
COLUMNS += ["n_images", "n_patients", "n_classifiers", "n_repeats", "n_seeds"]
COLUMNS += ["n_generator_seeds", "n_draws"]


def estimate_differences(predictions: Predictions, baseline: str, metric: str) -> Differences:
    """The differences of all arms from `baseline`, pooled rows first. Raises StudyError as `compare_arms`."""
    grid = build_grid(predictions.runs, baseline)
    values, influences = values_and_influences(
        metric, predictions.truth, predictions.patients, predictions.probabilities
    )
    values, influences = grid.averages @ values, grid.averages @ influences
    noise = seed_noise(values, influences, grid.block_of_replicate, grid.pools, grid.sources)
    means, influences = (block_means(each, grid.block_of_replicate) for each in (values, influences))
    return Differences(grid.rows, grid.weights, means, influences, noise)


def _against_guess(predictions: Predictions, differences: Differences, metric: str) -> dict[str, Any]:
    weights = np.maximum(-differences.weights, 0)
    variance, degrees = differences.variance(weights)
    score = weights @ differences.means
    guess = guess_score(predictions, metric)
    p = stats.t.sf((score - guess) / np.sqrt(variance), degrees)
    return {"baseline_score": score, "guess_score": guess, "p_guess": p}


def guess_score(predictions: Predictions, metric: str) -> float:
    """A metric of a guess without a look at the images: of all the most frequent class, and of a finding what more of
    them show. For macro_f1, of which that has none in other classes, each class as often as it is, or all findings."""
    truth = predictions.truth
    if truth.ndim > 1:
        said = np.ones(truth.shape[1]) if metric == "macro_f1" else np.nanmean(truth, axis=0)
    elif metric == "macro_f1":
        return 1 / len(np.unique(truth))
    else:
        said = np.bincount(truth, minlength=len(predictions.classes)) / len(truth)
    everywhere = np.broadcast_to(said, (1, len(truth), len(said)))
    return float(values_and_influences(metric, truth, predictions.patients, everywhere)[0][0])


def equivalence(effect: np.ndarray, error: np.ndarray, degrees: np.ndarray, margin: float | None) -> np.ndarray:
    """The p of two one-sided t tests that each of D effects lies outside +-`margin`; NaN without a margin."""
    if margin is None:
        return np.full(len(effect), np.nan)
    return stats.t.sf((margin - np.abs(effect)) / error, degrees)


def block_means(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """The mean of `values` ([T] or [T, P]) over the replicates of each block; `blocks` int [T]."""
    sums = np.zeros((blocks.max() + 1, *values.shape[1:]))
    np.add.at(sums, blocks, values)
    return (sums.T / np.bincount(blocks)).T


def holm(p: np.ndarray) -> np.ndarray:
    """The p values of a family, float [D], adjusted after Holm (Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def simultaneous_level(
    differences: Differences,
    family: np.ndarray,
    errors: np.ndarray,
    alpha: float,
    replicates: int,
    generator: np.random.Generator,
) -> float:
    """The level per difference at which all D of a family hold together with a confidence of 1 - `alpha`.

    The alpha quantile of the smallest two-sided p among the differences over bootstraps of patients and seeds without
    any effect (Westfall and Young, Resampling-Based Multiple Testing, 1993); between Bonferroni's and `alpha`.
    `family` int [D], rows of `differences`; `errors` [D], their standard errors.
    """
    weights = differences.weights[family]
    patients = (weights @ differences.influences).T
    n_patients = len(patients)
    skill = np.sqrt(np.nan_to_num(differences.noise.skill))
    smallest = []
    for start in range(0, replicates, REPLICATES_AT_ONCE):
        size = min(REPLICATES_AT_ONCE, replicates - start)
        counts = generator.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=size)
        drawn = counts @ patients + (generator.standard_normal((size, len(skill))) * skill) @ weights.T
        smallest.append(2 * stats.norm.sf((np.abs(drawn) / errors).max(axis=1)))
    return float(np.clip(np.quantile(np.concatenate(smallest), alpha), alpha / len(weights), alpha))


def _of_family(rows: pd.DataFrame, alpha: float, level: float) -> np.ndarray:
    """The columns OF_FAMILY for the rows of a family, float [D, 5]; `level`: see `simultaneous_level`."""
    error, degrees = rows["standard_error"].to_numpy(), rows["degrees"].to_numpy()
    reach = stats.t.isf(level / 2, degrees) * error
    first_step = stats.t.isf(alpha / (2 * len(rows)), degrees)
    return np.column_stack(
        [
            rows["effect"] - reach,
            rows["effect"] + reach,
            holm(rows["p"].to_numpy()),
            holm(rows["p_equivalence"].to_numpy()),
            (first_step + stats.t.ppf(POWER, degrees)) * error,
        ]
    )
