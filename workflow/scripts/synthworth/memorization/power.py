"""False alarms and missed copies: what the audit can see, measured on held-out real images and on planted copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from synthworth.memorization.plants import STRENGTHS
from synthworth.memorization.scores import authentic, c_t, clopper_pearson, gap
from synthworth.memorization.summaries import FALSE_ALARMS, LEVEL
from synthworth.seeds import seed as seed_of

POWER_COLUMNS = [
    *("score", "perturbation", "strength", "share", "copies", "images", "power", "low", "high", "n"),
    *FALSE_ALARMS,
]
# Shares of a set that are planted, and the one by which a score's power is told.
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TOLD_SHARE = 0.1
# More images make these scores see more, and the measuring slow.
MOST_IMAGES = 1000

# Columns of the comparison that a score of a whole set is made of.
SET_COLUMNS = ["distance", "own_distance", "to_train", "to_held_out", "cell"]
Rows = np.recarray

SET_SCORES: dict[str, Callable[[Rows, Rows], float]] = {
    "auth_pct": lambda synthetic, _: 100 * authentic(synthetic.distance, synthetic.own_distance).mean(),
    "c_t": lambda synthetic, held_out: c_t(synthetic.distance, held_out.distance, synthetic.cell, held_out.cell),
    "gap": lambda synthetic, _: gap(synthetic.to_train, synthetic.to_held_out),
}


@dataclass(frozen=True)
class Rate:
    """How often there is an alarm where there are no copies: `value` in [0, 1] with its 95 % interval, and the number
    `n` of held-out patients, or of trials, who vouch for it.
    """

    value: float
    low: float
    high: float
    n: int

    def cells(self) -> list[float]:
        """In columns `FALSE_ALARMS`."""
        return [self.value, self.low, self.high, self.n]


@dataclass(frozen=True)
class ImageRate(Rate):
    """The chance, `value` at most, that an image of a patient who was not trained on is flagged. `rank` is 1 more than
    the flagged ones of the held-out patients, each counted by the share of their images: with one image each, the
    threshold is the `rank`-th largest score.
    """

    rank: float


@dataclass(frozen=True)
class Alarm:
    """When an image is flagged: its copy score is above `threshold`. `own` is the false-alarm rate of real images of
    the class, `pooled` that over all classes together: lower, for more images vouch for it.
    """

    threshold: float
    own: ImageRate
    pooled: ImageRate


@dataclass(frozen=True)
class Power:
    """What a score would have seen: `value` in [0, 1] with its 95 % interval, measured `n` times, at what rate of false
    alarms. `of` says of what: of `images` at a time, of which `copies` were planted.
    """

    value: float
    low: float
    high: float
    n: int
    of: str
    copies: int
    images: int
    false_alarms: Rate


@dataclass(frozen=True)
class SetPower:
    """A score of a whole set: its `power`, by share in `table`; its differences from that of the held-out images in
    sets without copies, sorted, `null`, and the one below which it raises the alarm, `critical`; `low` and `high`,
    between which 95 % of equally many held-out images lie; and the `degrees` of freedom of what is known of all this.
    """

    power: Power
    table: pd.DataFrame
    null: np.ndarray
    critical: float
    low: float
    high: float
    degrees: int

    def p(self, difference: float) -> float:
        """How often sets without copies differ by as much: the share of trials, this set counted with them.

        Where it lies beyond all trials, so few of them cannot tell how far: there it is Student's tail, if smaller.
        """
        count = int(np.searchsorted(self.null, difference, side="right"))
        least, spread = (count + 1) / (len(self.null) + 1), float(self.null.std())
        if count or spread == 0:
            return least
        return min(least, float(student.cdf((difference - self.null.mean()) / spread, self.degrees)))


def calibrate(known: pd.DataFrame, others: Sequence[pd.DataFrame] = (), rate: float = 0.01) -> Alarm:
    """The alarm that flags at most the share `rate` of held-out images, or, with fewer than 1 / rate - 1 patients, the
    smallest share that so few can vouch for.

    `known` has the copy scores of the class's held-out images, at least one, columns `similarity` and `patient`, and
    `others` those of other classes. Of n scores of a patient each, the k-th largest is exceeded by a new one of their
    kind with probability k / (n + 1) at most (split conformal prediction, Vovk et al. 2005): with 20 patients no rate
    below 1 in 21 can be had. Images of a patient are alike and vouch for one patient together, each with an equal
    part (Lee, Barber and Willett 2023, Distribution-free inference with hierarchical data). The threshold is the
    class's own or that of all classes together, whichever is higher, so both rates hold. Classes are not brought to
    one scale first: a few images do not tell where theirs lies.
    """
    own, pooled = (_rate(frames, rate) for frames in ([known], [known, *others]))
    return Alarm(max(own[0], pooled[0]), own[1], pooled[1])


def recalls(plants: pd.DataFrame, alarm: Alarm) -> pd.DataFrame:
    """The share of planted copies that is flagged, a row per perturbation and strength, columns `POWER_COLUMNS`.

    `plants` has `perturbation`, `strength`, `source` (the name of the training image), `similarity` and
    `similar_image`. Rows with the score `flagged` count all that are flagged, those with `named` the ones that are
    taken for copies of their source.
    """
    flagged = plants["similarity"] > alarm.threshold
    named = flagged & (plants["similar_image"] == plants["source"])
    rows = []
    for score, found in {"flagged": flagged, "named": named}.items():
        for name, strength in [(name, strength) for name, strengths in STRENGTHS.items() for strength in strengths]:
            own = (plants["perturbation"] == name) & np.isclose(plants["strength"], strength)
            count, n = int(found[own].sum()), int(own.sum())
            if n:
                seen = [count / n, *clopper_pearson(count, n), n]
                rows.append([score, name, strength, 1.0, 1, 1, *seen, *alarm.own.cells()])
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def recall(plants: pd.DataFrame, alarm: Alarm) -> Power:
    """The mean recall over all planted copies; the interval takes each training image, not each copy of it, as one."""
    share, sources = float((plants["similarity"] > alarm.threshold).mean()), plants["source"].nunique()
    low, high = clopper_pearson(share * sources, sources)
    return Power(share, low, high, sources, "a planted copy, mean over perturbations", 1, 1, alarm.own)


def set_powers(
    held_out: pd.DataFrame, plants: pd.DataFrame, n: int, seed: int, trials: int = 400
) -> dict[str, SetPower]:
    """The power of each of `SET_SCORES` to see that some of `n` images are copies.

    In each trial both sets are drawn anew, with replacement, from the held-out images (frames with `SET_COLUMNS`): one
    by one as a generator's are drawn, and patient by patient (column `patient`) as the held-out ones were. A share of
    the first is replaced by planted copies of all kinds, one at least. A set raises the alarm when its score is farther
    below that of the held-out set than it is in all but 5 % of trials without copies.
    """
    real, copies = as_rows(held_out), as_rows(plants)
    patient = pd.factorize(held_out["patient"])[0]
    images_of = np.split(np.argsort(patient, kind="stable"), np.cumsum(np.bincount(patient))[:-1])
    n = min(n, MOST_IMAGES)
    generator = np.random.default_rng(seed_of(seed, "power"))
    shares = (0.0, *SHARES)
    values, contrasts = (np.empty((len(SET_SCORES), len(shares), trials)) for _ in range(2))
    for trial in range(trials):
        patients = generator.integers(len(images_of), size=len(images_of))
        reference = real[np.concatenate([images_of[place] for place in patients])]
        drawn = real[generator.integers(len(real), size=n)]
        planted = copies[generator.integers(len(copies), size=n)]
        own = [score(reference, reference) for score in SET_SCORES.values()]
        for column, share in enumerate(shares):
            count = _planted(share, n)
            mixed = np.concatenate([planted[:count], drawn[count:]]).view(np.recarray)
            values[:, column, trial] = [score(mixed, reference) for score in SET_SCORES.values()]
            contrasts[:, column, trial] = values[:, column, trial] - own
    degrees = max(1, min(n, len(images_of)) - 1)
    return {name: _set_power(name, values[row, 0], contrasts[row], n, degrees) for row, name in enumerate(SET_SCORES)}


def contrast(name: str, synthetic: Rows, held_out: Rows) -> float:
    """How far a score of a set is from the held-out images' own, which for C_T is 0."""
    return SET_SCORES[name](synthetic, held_out) - SET_SCORES[name](held_out, held_out)


def as_rows(frame: pd.DataFrame) -> Rows:
    """What `SET_SCORES` take."""
    return frame[SET_COLUMNS].to_records(index=False)


def _rate(frames: Sequence[pd.DataFrame], asked: float) -> tuple[float, ImageRate]:
    """The threshold that some classes together give, and the rate that they vouch for.

    Clopper and Pearson's interval is for the patients that lie above; its upper end is the order statistic's too.
    """
    scores, names = (np.concatenate([frame[column] for frame in frames]) for column in ("similarity", "patient"))
    patient, patients = pd.factorize(names)
    levels, place = np.unique(scores, return_inverse=True)
    parts = np.bincount(place, 1 / np.bincount(patient)[patient])
    above = np.append(np.cumsum(parts[:0:-1])[::-1], 0.0)
    n = len(patients)
    # The small number keeps 0.01 * 100 from being 0.99999.
    fitting = np.flatnonzero(1 + above <= asked * (n + 1) + 1e-9)
    chosen = fitting[0] if len(fitting) else len(levels) - 1
    rank = 1 + float(above[chosen])
    return float(levels[chosen]), ImageRate(rank / (n + 1), *clopper_pearson(rank - 1, n), n, rank)


def _planted(share: float, n: int) -> int:
    """How many of n images a share is: one at least, for a set without copies holds none to find."""
    return max(1, round(share * n)) if share else 0


def _set_power(name: str, values: np.ndarray, contrasts: np.ndarray, n: int, degrees: int) -> SetPower:
    # One in twenty and no more, counted as `SetPower.p` counts, whatever ties there are among few images.
    trials = contrasts.shape[1]
    critical = float(np.sort(contrasts[0])[max(0, int(LEVEL * (trials + 1) + 1e-9) - 1)])
    false, *found = [
        (count / trials, *clopper_pearson(count, trials), trials)
        for count in (contrasts < critical).sum(axis=1).tolist()
    ]
    alarms = Rate(*false)
    rows = [
        [name, "all", 0.0, share, _planted(share, n), n, *seen, *alarms.cells()]
        for share, seen in zip(SHARES, found, strict=True)
    ]
    table = pd.DataFrame(rows, columns=POWER_COLUMNS)
    told = found[SHARES.index(TOLD_SHARE)]
    power = Power(*told, "a set of which a tenth are planted copies", _planted(TOLD_SHARE, n), n, alarms)
    low, high = np.quantile(values, [0.025, 0.975])
    return SetPower(power, table, np.sort(contrasts[0]), critical, float(low), float(high), degrees)
