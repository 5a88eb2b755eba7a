"""The audit of one generator and class: which images are copies, and what the whole set says of memorisation."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import betabinom

from synthworth.errors import StudyError
from synthworth.fidelity.uncertainty import interval
from synthworth.memorization.copies import most_similar, most_similar_others, similar_others
from synthworth.memorization.nearest import WITHOUT_COLUMNS, compare_features
from synthworth.memorization.plants import plant_copies
from synthworth.memorization.power import (
    SET_LEVEL,
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
from synthworth.memorization.sets import ImageSet, check_sets, subset
from synthworth.seeds import seed as seed_of

COMPARISON_COLUMNS = [
    *("image", "patient", "nearest_image", "nearest_patient", "distance", "own_distance", "to_train", "to_held_out"),
    *("cell", "similar_image", "similar_patient", "similarity"),
]
TWIN_COLUMNS = ["other_image", "other_similarity"]
SUMMARY_COLUMNS = [
    *("score", "value", "low", "high", "n", "reference", "reference_low", "reference_high", "n_reference"),
    *("p", "copying", "power", "power_low", "power_high", "power_of"),
]
# Training images of which the rate of duplicates is told, at most.
MOST_TWINS = 1000


@dataclass(frozen=True)
class Reference:
    """What a class's real images are to each other, whatever the generator.

    `comparisons`: held-out images (`kind` held_out) and planted copies (`kind` plant, with `perturbation`, `strength`
    and `source`, the name of the image copied) against the training images, `COMPARISON_COLUMNS`. `twins`: training
    images against each other, `image`, `patient` and `TWIN_COLUMNS`; of each image all that it may be a copy of.
    """

    comparisons: pd.DataFrame
    twins: pd.DataFrame

    def of_kind(self, kind: str) -> pd.DataFrame:
        """The comparisons of `held_out` images or of each `plant`."""
        return self.comparisons[self.comparisons["kind"] == kind]


@dataclass(frozen=True)
class Score:
    """A score of a set, with a 95 % interval; the same of held-out (duplicates: training) images, and the range in
    which 95 % of as many of those lie; `p`, how often as many of those would have a score that says as much of
    copying; and its power, without which there is no score.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    reference: float
    reference_low: float
    reference_high: float
    n_reference: int
    p: float
    power: Power

    @property
    def copying(self) -> bool:
        """Whether this score by itself, at the level of 5 %, says that the set holds copies."""
        return self.p <= SET_LEVEL

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
    """`images`: a row per synthetic image, `COMPARISON_COLUMNS`, `TWIN_COLUMNS`, `authentic`, `flagged` and
    `duplicate`; `scores` of the set; `power`, rows of `power.POWER_COLUMNS`; and the `alarm` that flags.
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
                "copying": score.copying,
                "power": score.power.value,
                "power_low": score.power.low,
                "power_high": score.power.high,
                "power_of": score.power.of,
            }
            for score in self.scores
        ]
        return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)

    def alarm_table(self) -> pd.DataFrame:
        """The alarm's false-alarm rates as tidy rows, of the class (`own`) and of all together (`pooled`)."""
        rates = {"own": self.alarm.own, "pooled": self.alarm.pooled}
        rows = [{"images": name, "threshold": self.alarm.threshold, **asdict(rate)} for name, rate in rates.items()]
        return pd.DataFrame(rows).rename(columns={"value": "rate"})


def compare_real(
    train: ImageSet,
    held_out: ImageSet,
    features_of: Callable[[np.ndarray], np.ndarray],
    seed: int,
    sources: int = 50,
    own: np.ndarray | None = None,
) -> Reference:
    """The reference of a class: its held-out images, and planted copies of `sources` training images, against `train`.

    `train` are all images that a model may have been trained on, of all classes, of which `own` (rows; None: all) are
    the class's: copies are made of those. `features_of` is the extractor by which the features of both were made; it
    is given the plants. At least 2 training and 2 held-out images, these of 2 patients; StudyError otherwise, and for
    features that are not finite or do not match.
    """
    class_images = train if own is None else subset(train, own)
    check_sets({"training images": (class_images, 2), "held-out images": (held_out, 2)})
    _check_patients(held_out)
    copies, plants = plant_copies(class_images.pixels, seed, sources)
    planted = ImageSet(features_of(copies), copies)
    check_sets({"planted copies": (planted, 1), "training images": (train, 2)})
    known = compare(held_out, train, held_out, seed, own, held_out_queries=True)
    found = compare(planted, train, held_out, seed, own)
    plants = plants.assign(source=[class_images.names[place] for place in plants["source"]])
    comparisons = pd.concat(
        [
            known.assign(kind="held_out", perturbation="", strength=0.0, source=""),
            pd.concat([found[COMPARISON_COLUMNS], plants], axis=1).assign(kind="plant"),
        ],
        ignore_index=True,
    )
    drawn = np.random.default_rng(seed_of(seed, "twins")).permutation(len(class_images))[:MOST_TWINS]
    return Reference(comparisons, compare_twins(subset(class_images, np.sort(drawn))))


def compare_synthetic(
    synthetic: ImageSet, train: ImageSet, held_out: ImageSet, seed: int, own: np.ndarray | None = None
) -> pd.DataFrame:
    """A row per synthetic image of a class, sets as in `compare_real`: columns as of `compare`, and `TWIN_COLUMNS`.

    The audit of a set is a function of this frame and of references; both can be kept as files (`outputs`).
    """
    check_sets({"synthetic images": (synthetic, 1), "training images": (train, 2), "held-out images": (held_out, 2)})
    _check_patients(held_out)
    twins = compare_within(synthetic)
    return pd.concat([compare(synthetic, train, held_out, seed, own), twins[TWIN_COLUMNS]], axis=1)


def compare(
    queries: ImageSet,
    train: ImageSet,
    held_out: ImageSet,
    seed: int,
    own: np.ndarray | None = None,
    held_out_queries: bool = False,
) -> pd.DataFrame:
    """A row per query: distances as in `nearest.compare_features`, and the copy score. Columns `COMPARISON_COLUMNS`
    and, but of `held_out_queries`, `nearest.WITHOUT_COLUMNS`, as many as there are parts.

    Distances are to the class's `own` training images (rows; None: all), as the held-out ones are of the class; a copy
    may be one of any. The nearest image is so by features, the similar one by aligned pixels; they need not be the
    same. Only the same `seed` gives comparisons the same cells.
    """
    class_images = train if own is None else subset(train, own)
    sets = [images.features for images in (queries, class_images, held_out)]
    frame = compare_features(*sets, held_out.patients, seed, held_out_queries)
    columns = [*COMPARISON_COLUMNS, *frame.filter(WITHOUT_COLUMNS)]
    scores, places = most_similar(queries, train)
    names, patients = np.array(train.names, object), np.array(train.patients, object)
    own_names, own_patients = np.array(class_images.names, object), np.array(class_images.patients, object)
    return frame.assign(
        image=queries.names,
        patient=queries.patients,
        nearest_image=own_names[frame["nearest"]],
        nearest_patient=own_patients[frame["nearest"]],
        similar_image=names[places],
        similar_patient=patients[places],
        similarity=scores,
    )[columns]


def compare_within(images: ImageSet) -> pd.DataFrame:
    """For each image the one of its set that it is most like: columns `image` and `TWIN_COLUMNS`.

    A single image has none: "", with a copy score of 0.
    """
    scores, places = most_similar_others(images)
    others = [images.names[place] if place >= 0 else "" for place in places]
    return pd.DataFrame({"image": images.names, "other_image": others, "other_similarity": scores})


def compare_twins(images: ImageSet) -> pd.DataFrame:
    """For each of at least 2 images those of its set that it may be a copy of: `image`, `patient`, `TWIN_COLUMNS`.

    In a part of the set its best partner may be missing, and the next one makes it a duplicate.
    """
    rows, others, scores = similar_others(images)
    names, patients = np.array(images.names, object), np.array(images.patients, object)
    found = {"image": names[rows], "patient": patients[rows], "other_image": names[others]}
    return pd.DataFrame(found | {"other_similarity": scores})


def audit(
    comparison: pd.DataFrame,
    reference: Reference,
    seed: int,
    others: Sequence[Reference] = (),
    rate: float = 0.01,
    trials: int = 400,
) -> Audit:
    """The audit of a set of synthetic images, from its comparison (`compare_synthetic`) and its class's reference.

    `others` are the references of other classes whose held-out images set the alarm with this class's
    (`power.calibrate`). `rate` is the false-alarm rate asked for, `trials` how often each power is tried.
    """
    if comparison.empty:
        raise StudyError("The memorisation audit is not defined on this set.", ["no synthetic images; draw some first"])
    held_out, plants = reference.of_kind("held_out"), reference.of_kind("plant")
    alarm = calibrate(held_out, [own.of_kind("held_out") for own in others], rate)
    images = comparison.drop(columns=WITHOUT_COLUMNS, errors="ignore").assign(
        authentic=authentic(comparison["distance"], comparison["own_distance"]),
        flagged=comparison["similarity"] > alarm.threshold,
        duplicate=comparison["other_similarity"] > alarm.threshold,
    )
    power = recall(plants, alarm)
    sets = set_powers(held_out, plants, len(images), seed, trials)
    scores = [
        _flagged(images, alarm, power, len(held_out)),
        *(_set_score(name, comparison, held_out, sets[name], seed, trials) for name in SET_SCORES),
        _duplicates(images, reference.twins, alarm, power, seed, trials),
    ]
    table = pd.concat([recalls(plants, alarm), *(own.table for own in sets.values())], ignore_index=True)
    return Audit(images, tuple(scores), table, alarm)


def _flagged(images: pd.DataFrame, alarm: Alarm, power: Power, held_out: int) -> Score:
    """The share of flagged images. How many of n images of new patients a threshold that is the k-th largest of others
    would flag is beta-binomial, whatever the scores' distribution: no more than that is to be expected of real images.
    """
    n, found = len(images), int(images["flagged"].sum())
    rate = alarm.own
    chance = betabinom(n, rate.rank, rate.n + 1 - rate.rank)
    low, high = clopper_pearson(found, n)
    expected = [float(chance.ppf(level)) / n for level in (0.025, 0.975)]
    return Score(
        "flagged", found / n, low, high, n, rate.value, *expected, held_out, float(chance.sf(found - 1)), power
    )


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
        low, high = min(value, max(-end, ends[0])), max(value, min(end, ends[1]))
    p = power.p(contrast(name, synthetic, real))
    reference = float(SET_SCORES[name](real, real))
    return Score(name, value, low, high, n, reference, power.low, power.high, len(real), p, power.power)


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
    return Score("duplicates", found / n, low, high, n, reference, *expected, len(names), p, power)


def _check_patients(held_out: ImageSet) -> None:
    if len(set(held_out.patients)) < 2:
        problem = f"held-out images: all {len(held_out)} of one patient, 2 needed; give the class a larger select split"
        raise StudyError("The memorisation audit is not defined on these images.", [problem])
