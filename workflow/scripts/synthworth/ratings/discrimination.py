"""How well readers tell real images from synthetic ones."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthworth.ratings.scales import ALL, REAL, SCALES
from synthworth.ratings.summaries import first_ratings, image_means, in_place
from synthworth.statistics.areas import area_under_curve, pooled_area
from synthworth.statistics.shares import effective_number, wilson

COLUMNS = ["score", "reader", "generator", "auroc", "low", "high", "confidence", "n_real", "n_synthetic", "reason"]
NO_REAL = "no real image of the same class was rated"


def rating_discrimination(rows: pd.DataFrame, generators: Sequence[str], confidence: float = 0.95) -> pd.DataFrame:
    """By how much real images are rated above synthetic ones: columns COLUMNS.

    `auroc` is the share of pairs of a real and a synthetic image in which the real one has the better score, ties
    half: 0.5, they cannot be told apart; 1, always. A row for all readers together (`all`: each image with the mean of
    its readers) and for each reader, of all generators and of each.

    Of single images, all pairs of a class count (other shares of the classes are no sign of origin); the interval is
    that of `statistics.areas.pooled_area` over images. Of images that were shown as pairs, those pairs count:
    Wilson's interval for their effective number, where a real image is in several. `n_real` and `n_synthetic` count
    different images. `reason` says why there is no number.
    """
    means = image_means(rows).assign(reader=ALL)
    values = pd.concat([means, first_ratings(rows)], ignore_index=True)
    found = []
    for score in [*SCALES["single"], *SCALES["pair"]]:
        own = values[values["score"] == score]
        order = [ALL, *in_place(own.loc[own["source"] != REAL, "source"], generators)]
        for reader, of_reader in own.groupby("reader", sort=False):
            real, synthetic = (of_reader[(of_reader["source"] == REAL) == is_real] for is_real in (True, False))
            for generator in order:
                made = synthetic if generator == ALL else synthetic[synthetic["source"] == generator]
                if len(made):
                    told = _preferred(made, confidence) if score in SCALES["pair"] else _above(real, made, confidence)
                    names = {"score": score, "reader": reader, "generator": generator, "confidence": confidence}
                    found.append(names | told)
    return pd.DataFrame(found, columns=COLUMNS)


def _above(real: pd.DataFrame, made: pd.DataFrame, confidence: float) -> dict[str, object]:
    """How real images stand above synthetic ones of their class, over all classes that have both."""
    strata = []
    for name in sorted(set(real["class"]) & set(made["class"])):
        sides = [frame.loc[frame["class"] == name, "value"].to_numpy(float) for frame in (made, real)]
        strata.append((area_under_curve(*sides), len(sides[1]), len(sides[0])))
    if not strata:
        return {"n_real": 0, "n_synthetic": len(made), "reason": NO_REAL}
    aurocs, n_real, n_made = np.array(strata).T
    pairs = n_real * n_made
    weighted = list(zip(pairs / pairs.sum(), aurocs, n_real, n_made, strict=True))
    counts = {"n_real": int(n_real.sum()), "n_synthetic": int(n_made.sum()), "reason": ""}
    return pooled_area(weighted, confidence) | counts


def _preferred(pairs: pd.DataFrame, confidence: float) -> dict[str, object]:
    """The share of pairs in which the real image was preferred, ties half."""
    wins = (np.sign(pairs["value"].to_numpy(float)) + 1) / 2
    low, high = wilson(wins.mean(), effective_number(wins, pairs["against"].to_numpy(str)), confidence)
    counts = {"n_real": pairs["against"].nunique(), "n_synthetic": len(pairs[["source", "identity"]].drop_duplicates())}
    return {"auroc": float(wins.mean()), "low": low, "high": high, "reason": ""} | counts
