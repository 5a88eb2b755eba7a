"""Do readers agree: with themselves, on images that they were shown again, and with each other."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.ratings.scales import ALL, SCALES
from synthworth.ratings.summaries import IMAGE, first_ratings
from synthworth.statistics.shares import wilson

COLUMNS = ["score", "kind", "reader_1", "reader_2", "measure", "value", "low", "high", "confidence", "n", "reason"]
WITHIN, BETWEEN = "within", "between"
POWERS = {"kappa_quadratic": 2, "kappa_linear": 1}
EXACT = "exact_agreement"
TOO_FEW = "fewer than two images rated twice"
BOTH_CONSTANT = "the same score throughout: nothing to agree on"
ONE_CONSTANT = "one side gave the same score throughout: kappa is 0 whatever the other gave"
NO_DISAGREEMENT = "no disagreement: nothing shows how far chance could move it"
ONE_IMAGE = "it hangs on a single image: no interval"

# First and second rating of images, by image.
Pair = tuple[str, str, pd.DataFrame]


def rating_agreement(rows: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Agreement within and between readers on each score: columns COLUMNS, three rows (`measure`) for each.

    `within` a reader (named twice): an image when it was first shown against the same when it came again. `between`
    two readers: the first rating of each on the images that both rated. Where there are several readers, or pairs of
    them, also `all`: the mean of theirs (of kappa, Light's, Psychological Bulletin 76, 1971).

    `kappa_quadratic` and `kappa_linear` are Cohen's weighted kappa (Psychological Bulletin 70, 1968): 1 for full
    agreement, 0 for what chance alone gives. Their limits come from a jackknife over images, by Fisher's z and
    Student's t. `exact_agreement` is the share of images with the same score twice, with Wilson's limits; the mean of
    several has none. `n` counts images. Where a number is missing, or says little, `reason` says why.
    """
    found: list[dict[str, object]] = []
    for mode, scores in SCALES.items():
        of_mode = rows[rows["mode"] == mode]
        for score, scale in scores.items():
            own = of_mode[of_mode["score"] == score]
            for kind, pairs in ((WITHIN, list(_shown_again(own))), (BETWEEN, list(_rated_by_both(own)))):
                for row in [*_kappas(pairs, scale, confidence), *_exact(pairs, confidence)]:
                    found.append({"score": score, "kind": kind, "confidence": confidence} | row)
    return pd.DataFrame(found, columns=COLUMNS)


def weighted_kappa(
    first: np.ndarray, second: np.ndarray, scale: tuple[int, int], power: int
) -> tuple[float, np.ndarray]:
    """Cohen's weighted kappa of two whole-number scores of n images [n], and the n that leave one image out each.

    `scale` is the lowest and highest score; a disagreement weighs |difference| ** `power`. NaN where it is 0 / 0.
    """
    low, high = scale
    size = high - low + 1
    cells = (first.astype(int) - low) * size + second.astype(int) - low
    counts = np.bincount(cells, minlength=size * size).astype(float)
    # To leave an image out takes one from its cell: one table per cell says it of all images.
    tables = np.concatenate([counts[None], counts - np.eye(size * size)]).reshape(-1, size, size)
    weights = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) ** power
    observed = (tables * weights).sum(axis=(1, 2)) * tables.sum(axis=(1, 2))
    chance = np.einsum("ti,ij,tj->t", tables.sum(axis=2), weights, tables.sum(axis=1))
    kappas = 1 - np.divide(observed, chance, out=np.full(len(tables), np.nan), where=chance > 0)
    return float(kappas[0]), kappas[1:][cells]


def _shown_again(rows: pd.DataFrame) -> Iterator[Pair]:
    """Each reader of repeated images with the ratings `first` and `second` of those rated twice."""
    rated = rows[rows["value"].notna()]
    place = ["reader", "kit", "item"]
    again = rated[rated["repeats"] != ""].drop(columns="item").rename(columns={"repeats": "item", "value": "second"})
    both = again.merge(rated.rename(columns={"value": "first"})[[*place, "first"]], on=place)
    for reader in rows.loc[rows["repeats"] != "", "reader"].unique():
        yield reader, reader, both[both["reader"] == reader].set_index(["kit", "item"])[["first", "second"]]


def _rated_by_both(rows: pd.DataFrame) -> Iterator[Pair]:
    """The same of each pair of readers: what either said of an image first."""
    table = first_ratings(rows).pivot_table(index=IMAGE, columns="reader", values="value")
    for one, other in combinations(rows["reader"].unique(), 2):
        yield one, other, table.reindex(columns=[one, other]).dropna().set_axis(["first", "second"], axis=1)


def _kappas(pairs: list[Pair], scale: tuple[int, int], confidence: float) -> Iterator[dict[str, object]]:
    """The rows of both kappas."""
    for measure, power in POWERS.items():
        known = []
        for one, other, own in pairs:
            first, second = own["first"].to_numpy(), own["second"].to_numpy()
            value, left_out = weighted_kappa(first, second, scale, power) if len(own) > 1 else (np.nan, np.empty(0))
            reason = _no_kappa(first, second)
            yield _row(one, other, measure, len(own), value, reason) | _jackknife(value, left_out, reason, confidence)
            if not np.isnan(value):
                known.append((value, pd.Series(left_out, own.index.to_flat_index())))
        if len(known) > 1:
            values, left_out = zip(*known, strict=True)
            # An image that a pair did not rate leaves the pair's kappa as it is.
            table = pd.concat(left_out, axis=1, keys=range(len(known))).fillna(dict(enumerate(values)))
            value = float(np.mean(values))
            limits = _jackknife(value, table.mean(axis=1).to_numpy(float), "", confidence)
            yield _row(ALL, ALL, measure, len(table), value, "") | limits


def _exact(pairs: list[Pair], confidence: float) -> Iterator[dict[str, object]]:
    """The rows of exact agreement."""
    shares, images = [], set()
    for one, other, own in pairs:
        row = _row(one, other, EXACT, len(own), np.nan, "no image rated twice")
        if len(own):
            share = float((own["first"] == own["second"]).mean())
            low, high = wilson(share, len(own), confidence)
            row |= {"value": share, "low": low, "high": high, "reason": ""}
            shares.append(share)
            images |= set(own.index.to_flat_index())
        yield row
    if len(shares) > 1:
        yield _row(ALL, ALL, EXACT, len(images), float(np.mean(shares)), "")


def _row(one: str, other: str, measure: str, n: int, value: float, reason: str) -> dict[str, object]:
    names = {"reader_1": one, "reader_2": other, "measure": measure}
    return names | {"n": n, "value": value, "low": np.nan, "high": np.nan, "reason": reason}


def _no_kappa(first: np.ndarray, second: np.ndarray) -> str:
    """Why a kappa, or its interval, is not to be had or says nothing; empty where it is."""
    if len(first) < 2:
        return TOO_FEW
    if (first == second).all():
        return BOTH_CONSTANT if np.ptp(first) == 0 else NO_DISAGREEMENT
    return ONE_CONSTANT if np.ptp(first) == 0 or np.ptp(second) == 0 else ""


def _jackknife(value: float, left_out: np.ndarray, reason: str, confidence: float) -> dict[str, object]:
    """The limits of a kappa from those that leave one image out each; none where there is a reason."""
    if reason:
        return {}
    if np.isnan(left_out).any():
        return {"reason": ONE_IMAGE}
    n = len(left_out)
    error = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    if error == 0 or abs(value) == 1:
        return {"reason": NO_DISAGREEMENT}
    reach = stats.t.isf((1 - confidence) / 2, n - 1) * error / (1 - value**2)
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    return {"low": float(low), "high": float(high)}
