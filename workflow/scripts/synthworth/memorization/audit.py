"""The audit of one generator and class: which images are copies, and what the whole set says of memorisation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import betabinom

from synthworth.errors import StudyError
from synthworth.fidelity.uncertainty import interval
from synthworth.memorization.comparison import Reference
from synthworth.memorization.innocent import POOLED_ALARMS
from synthworth.memorization.nearest import WITHOUT_COLUMNS
from synthworth.memorization.power import (
    SET_SCORES,
    Alarm,
    Power,
    SetPower,
    as_rows,
    calibrate,
    contrast,
    recall,
    recalls,
    set_powers,
)
from synthworth.memorization.scores import authentic, clopper_pearson, gap_interval
from synthworth.memorization.summaries import FALSE_ALARMS, LEVEL
from synthworth.seeds import seed as seed_of

SUMMARY_COLUMNS = [
    *("score", "value", "low", "high", "n", "n_different"),
    *("reference", "reference_low", "reference_high", "n_reference"),
    *("p", "beyond_real", "power", "power_low", "power_high", "power_of", "power_copies", "power_images"),
    *FALSE_ALARMS,
    *POOLED_ALARMS,
]


@dataclass(frozen=True)
class Score:
    """A score of a set, with a 95 % interval; the same of held-out (duplicates: training) images, and the range in
    which 95 % of as many of those lie; `p`, how often as many of those would have a score as far towards what copies
    have; and its power, without which there is no score.

    As many as there are different images, `n_different`: duplicates count once, and the first of them stands for all
    (but in the score of duplicates itself). An image that is made again and again is one chance to resemble a patient.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    n_different: int
    reference: float
    reference_low: float
    reference_high: float
    n_reference: int
    p: float
    power: Power

    @property
    def beyond_real(self) -> bool:
        """Whether this score by itself, at the level of 5 %, is beyond what real images have: `summaries.BEYOND` says
        what that means.
        """
        return self.p <= LEVEL

    def __post_init__(self) -> None:
        if not isinstance(self.power, Power):
            raise TypeError(f"the score {self.name} has no measured power, and is not told without it")
        numbers = [
            value for value in (*asdict(self).values(), *asdict(self.power).values()) if isinstance(value, float)
        ]
        if not np.isfinite(numbers).all():
            raise ValueError(f"the score {self.name} is not finite: {self}")


@dataclass(frozen=True)
class Audit:
    """`images`: a row per synthetic image, its comparison, whether it is `authentic`, `flagged`, a `duplicate`, and
    `repeated`, as all of a group of duplicates but the first; `scores` of the set; `power`, rows of
    `power.POWER_COLUMNS`; and the `alarm` that flags.
    """

    images: pd.DataFrame
    scores: tuple[Score, ...]
    power: pd.DataFrame
    alarm: Alarm

    def summary(self) -> pd.DataFrame:
        """The scores as tidy rows, columns `SUMMARY_COLUMNS`."""
        rows = [
            {
                **{name: value for name, value in vars(score).items() if name in SUMMARY_COLUMNS},
                "score": score.name,
                "beyond_real": score.beyond_real,
                "power": score.power.value,
                "power_low": score.power.low,
                "power_high": score.power.high,
                "power_of": score.power.of,
                "power_copies": score.power.copies,
                "power_images": score.power.images,
                **dict(zip(FALSE_ALARMS, score.power.false_alarms.cells(), strict=True)),
                **dict(zip(POOLED_ALARMS, (self.alarm.pooled.value, self.alarm.pooled.n), strict=True)),
            }
            for score in self.scores
        ]
        return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)

    def alarm_table(self) -> pd.DataFrame:
        """The alarm's false-alarm rates as tidy rows, of the class (`own`) and of all together (`pooled`)."""
        rates = {"own": self.alarm.own, "pooled": self.alarm.pooled}
        rows = [{"images": name, "threshold": self.alarm.threshold, **asdict(rate)} for name, rate in rates.items()]
        return pd.DataFrame(rows).rename(columns={"value": "rate"})


def audit(
    comparison: pd.DataFrame,
    reference: Reference,
    seed: int,
    others: Sequence[Reference] = (),
    rate: float = 0.01,
    trials: int = 400,
) -> Audit:
    """The audit of a set of synthetic images, from its `comparison` and its class's reference.

    `others` are the references of other classes whose held-out images set the alarm with this class's
    (`power.calibrate`). `rate` is the false-alarm rate asked for, `trials` how often each power is tried.
    """
    if comparison.empty:
        raise StudyError("The memorisation audit is not defined on this set.", ["no synthetic images; draw some first"])
    held_out, plants = reference.of_kind("held_out"), reference.of_kind("plant")
    alarm = calibrate(held_out, [own.of_kind("held_out") for own in others], rate)
    images = comparison.assign(
        authentic=authentic(comparison["distance"], comparison["own_distance"]),
        flagged=comparison["similarity"] > alarm.threshold,
        duplicate=comparison["other_similarity"] > alarm.threshold,
        repeated=comparison["linked_similarity"] > alarm.threshold,
    )
    power = recall(plants, alarm)
    sets = set_powers(held_out, plants, len(_different(images)), seed, trials)
    scores = [
        _flagged(images, alarm, power, len(held_out)),
        *(_set_score(name, images, held_out, sets[name], seed, trials) for name in SET_SCORES),
        _duplicates(images, reference.twins, alarm, power, seed, trials),
    ]
    table = pd.concat([recalls(plants, alarm), *(own.table for own in sets.values())], ignore_index=True)
    return Audit(images.drop(columns=WITHOUT_COLUMNS, errors="ignore"), tuple(scores), table, alarm)


def _different(images: pd.DataFrame) -> pd.DataFrame:
    return images[~images["repeated"]]


def _flagged(images: pd.DataFrame, alarm: Alarm, power: Power, held_out: int) -> Score:
    """The share of flagged images. How many of n images of new patients a threshold that is the k-th largest of others
    would flag is beta-binomial, whatever the scores' distribution: no more than that is to be expected of real images.
    """
    n, found = len(images), int(images["flagged"].sum())
    different, rate = _different(images), alarm.own
    count = len(different)
    chance = betabinom(count, rate.rank, rate.n + 1 - rate.rank)
    low, high = clopper_pearson(found, n)
    expected = [float(chance.ppf(level)) / count for level in (0.025, 0.975)]
    p = float(chance.sf(different["flagged"].sum() - 1))
    return Score("flagged", found / n, low, high, n, count, rate.value, *expected, held_out, p, power)


def _set_score(
    name: str, images: pd.DataFrame, held_out: pd.DataFrame, power: SetPower, seed: int, trials: int
) -> Score:
    synthetic, real = as_rows(images), as_rows(held_out)
    value, n = float(SET_SCORES[name](synthetic, real)), len(synthetic)
    if name == "auth_pct":
        low, high = (100 * end for end in clopper_pearson(round(value * n / 100), n))
    elif name == "gap":
        # A class of few held-out patients has fewer parts than another in the same file.
        without = images.filter(WITHOUT_COLUMNS).dropna(axis="columns")
        low, high = gap_interval(synthetic.to_train, synthetic.to_held_out, without.to_numpy())
    else:
        # As of the metrics of fidelity: no image twice, which would look like a copy, and a real patient as a whole.
        ends = interval(
            lambda held_out, ours: SET_SCORES[name](ours, held_out),
            synthetic,
            real,
            scales=["real"],
            confidence=0.95,
            replicates=trials,
            seed=seed_of(seed, name),
            patients=held_out["patient"].to_numpy(str),
        )[0]
        # Of a single image there is no interval; C_T ends where all of one set lie beyond all of the other.
        m = len(real)
        end = np.sqrt(3 * n * m / (n + m + 1))
        low, high = min(value, np.fmax(-end, ends[0])), max(value, np.fmin(end, ends[1]))
    different = as_rows(_different(images))
    p = power.p(contrast(name, different, real))
    reference = float(SET_SCORES[name](real, real))
    expected = power.low, power.high
    return Score(name, value, low, high, n, len(different), reference, *expected, len(real), p, power.power)


def _duplicates(images: pd.DataFrame, twins: pd.DataFrame, alarm: Alarm, power: Power, seed: int, trials: int) -> Score:
    """The share of images that another of their set is a copy of, and that among as many training images (or all).

    What is to be expected is beta-binomial (Laplace's rule). Duplicates come two at a time, and real ones patient by
    patient: as many things were seen as there are pairs of images or, if fewer, real patients.
    """
    n, found = len(images), int(images["duplicate"].sum())
    copied = twins[twins["other_similarity"] > alarm.threshold]
    names = pd.Index(twins["image"].unique())
    ours, theirs = (names.get_indexer(copied[column]) for column in ("image", "other_image"))
    generator = np.random.default_rng(seed_of(seed, "duplicates"))
    rates = []
    for _ in range(trials):
        drawn = np.zeros(len(names), bool)
        drawn[generator.permutation(len(names))[:n]] = True
        rates.append(len(np.unique(ours[drawn[ours] & drawn[theirs]])) / drawn.sum())
    reference, seen = float(np.mean(rates)), min(twins["patient"].nunique(), len(names) / 2)
    pairs = max(1, n // 2)
    chance = betabinom(pairs, reference * seen + 1, (1 - reference) * seen + 1)
    low, high = clopper_pearson(found, n)
    expected = [float(chance.ppf(level)) / pairs for level in (0.025, 0.975)]
    # Of an odd number the last one shares its partner's pair.
    p = float(chance.sf(min(pairs, -(-found // 2)) - 1))
    power = replace(power, of="a perturbed copy, mean over perturbations")
    count = len(_different(images))
    return Score("duplicates", found / n, low, high, n, count, reference, *expected, len(names), p, power)
