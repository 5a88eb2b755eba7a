"""Do readers prefer real images to synthetic ones, and do images agree with their prompts: mean ratings against 0."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.ratings.scales import ALL, CENTRED
from synthworth.ratings.summaries import first_ratings, image_means, in_place
from synthworth.statistics.comparisons import holm

COLUMNS = ["score", "reader", "generator", "class", "mean", "sd", "low", "high", "confidence", "n"]
COLUMNS += ["above", "equal", "below", "p_sign", "p_wilcoxon", "p_adjusted", "reason"]


def preferences(
    rows: pd.DataFrame, generators: Sequence[str], classes: Sequence[str], confidence: float = 0.95
) -> pd.DataFrame:
    """Mean preference and agreement: columns COLUMNS.

    A row for all readers together (`all`: each pair, or image, with the mean of its readers) and for each reader, of
    all generators and of each, of all classes and of each. `preference` is positive where real images were preferred,
    as in RoentGen (Chambon et al. 2022), `agreement` where images show what their prompts say; so many values of `n`
    are `above` 0, `equal` to it and `below`. `low` and `high` are Student's t limits.

    Of all classes together, tests against 0: `p_sign` of the sign test (exact), `p_wilcoxon` of Wilcoxon's signed
    ranks, both of the values off 0, `p_adjusted` of the latter after Holm over the generators. Pairs with the same real
    image are not independent: they are a cluster for the interval, and count with their mean in tests. `reason` says
    why there is no interval, or no test.
    """
    own = first_ratings(rows[rows["score"].isin(CENTRED)])
    values = pd.concat([image_means(own).assign(reader=ALL), own], ignore_index=True)
    found = []
    for (score, reader), of_reader in values.groupby(["score", "reader"], sort=False):
        for generator in [ALL, *in_place(of_reader["source"], generators)]:
            of_generator = of_reader if generator == ALL else of_reader[of_reader["source"] == generator]
            for name in [ALL, *classes]:
                chosen = of_generator if name == ALL else of_generator[of_generator["class"] == name]
                if len(chosen):
                    names = {"score": score, "reader": reader, "generator": generator, "class": name}
                    found.append(names | _against_zero(chosen, confidence, tested=name == ALL))
    frame = pd.DataFrame(found, columns=COLUMNS)
    family = frame[(frame["generator"] != ALL) & frame["p_wilcoxon"].notna()]
    for _, members in family.groupby(["score", "reader"]):
        frame.loc[members.index, "p_adjusted"] = holm(members["p_wilcoxon"].to_numpy(float))
    return frame


def _against_zero(ratings: pd.DataFrame, confidence: float, tested: bool) -> dict[str, object]:
    """The numbers of a row."""
    values = ratings["value"].to_numpy(float)
    clusters = ratings["against"].where(ratings["against"] != "", ratings.index.astype(str)).to_numpy(str)
    above, below = int((values > 0).sum()), int((values < 0).sum())
    counts = {"n": len(values), "above": above, "equal": len(values) - above - below, "below": below}
    interval, no_interval = mean_interval(values, clusters, confidence)
    tests, no_test = signed_tests(values, clusters) if tested else ({}, "")
    reasons = "; ".join(reason for reason in (no_interval, no_test) if reason)
    sd = values.std(ddof=1) if len(values) > 1 else np.nan
    return {"mean": values.mean(), "sd": sd, "confidence": confidence, "reason": reasons} | counts | interval | tests


def mean_interval(values: np.ndarray, clusters: np.ndarray, confidence: float) -> tuple[dict[str, float], str]:
    """`low` and `high` of the mean of values [n] that belong to clusters [n], or why there are none.

    Student's t of as many degrees as there are clusters but one; clusters of one value give the textbook's interval.
    """
    sizes, means = _by_cluster(values, clusters)
    count = len(sizes)
    if count < 2:
        return {}, "one value, or one real image in all pairs: no interval"
    if np.ptp(values) == 0:
        return {}, "all values are equal: no interval"
    residues = sizes * (means - values.mean())
    error = np.sqrt(count / (count - 1) * np.sum(residues**2)) / len(values)
    reach = stats.t.isf((1 - confidence) / 2, count - 1) * error
    return {"low": values.mean() - reach, "high": values.mean() + reach}, ""


def signed_tests(values: np.ndarray, clusters: np.ndarray) -> tuple[dict[str, float], str]:
    """`p_sign` and `p_wilcoxon` of the clusters' means, two-sided, or why there are none."""
    means = _by_cluster(values, clusters)[1]
    if not means.any():
        return {}, "all values are 0: no test"
    sign = stats.binomtest(int((means > 0).sum()), int((means != 0).sum())).pvalue
    return {"p_sign": float(sign), "p_wilcoxon": float(stats.wilcoxon(means, zero_method="wilcox").pvalue)}, ""


def _by_cluster(values: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    members = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(members)
    return sizes, np.bincount(members, values) / sizes
