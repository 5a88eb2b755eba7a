"""Whether generators, or classes, are rated differently; and whether readers prefer one side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from synthworth.ratings.scales import ALL, CENTRED, REAL
from synthworth.ratings.summaries import first_ratings, image_means, in_place
from synthworth.statistics.comparisons import holm
from synthworth.statistics.groups import compare_groups, compare_groups_within

TEST_COLUMNS = ["score", "factor", "stratified_by", "test", "group_1", "group_2", "n_1", "n_2", "mean_1", "mean_2"]
TEST_COLUMNS += ["statistic", "p", "reason"]
PREFERENCE_COLUMNS = ["score", "reader", "generator", "class", "mean", "sd", "low", "high", "confidence", "n"]
PREFERENCE_COLUMNS += ["above", "equal", "below", "p_sign", "p_wilcoxon", "p_adjusted", "reason"]


def rating_tests(rows: pd.DataFrame) -> pd.DataFrame:
    """Rank tests of each score over generators and over classes: columns TEST_COLUMNS.

    Of synthetic images alone, each with the mean of its readers' ratings, so that n counts images. For the `factor`
    `generator`, `compare_groups` of the paper (Kruskal-Wallis, Dunn-Bonferroni; `stratified_by` empty), then
    `compare_groups_within` the classes (van Elteren): a generator that was asked for more images of a class which
    looks better in all hands is not better for it. For the `factor` `class` the same, within generators.
    """
    means = image_means(rows)
    frames = []
    for score, own in means[means["source"] != REAL].groupby("score", sort=False):
        values = own["value"].to_numpy(float)
        names = {"generator": own["source"].to_numpy(str), "class": own["class"].to_numpy(str)}
        for factor, other in (("generator", "class"), ("class", "generator")):
            plain = compare_groups(values, names[factor]).assign(stratified_by="")
            within = compare_groups_within(values, names[factor], names[other]).assign(stratified_by=other)
            of_group = {ALL: values.mean()} | pd.Series(values).groupby(names[factor]).mean().to_dict()
            both = pd.concat([plain, within]).assign(score=score, factor=factor)
            frames.append(both.assign(mean_1=both["group_1"].map(of_group), mean_2=both["group_2"].map(of_group)))
    return pd.concat([pd.DataFrame(columns=TEST_COLUMNS), *frames], ignore_index=True)[TEST_COLUMNS]


def preferences(
    rows: pd.DataFrame, generators: Sequence[str], classes: Sequence[str], confidence: float = 0.95
) -> pd.DataFrame:
    """Mean preference and agreement, each against 0: columns PREFERENCE_COLUMNS.

    A row for all readers together (`all`: each pair, or image, with the mean of its readers) and for each reader, of
    all generators and of each, of all classes and of each. `preference` is positive where real images were preferred,
    as in RoentGen (Chambon et al. 2022), `agreement` where images show what their prompts say. `low` and `high` are
    Student's t limits. `p_sign` is of the sign test (exact, of the values off 0), `p_wilcoxon` of Wilcoxon's signed
    ranks (zeros left out); `p_adjusted` is the latter after Holm over the generators, of all classes. Pairs with one
    and the same real image count as one for intervals (a cluster) and tests (their mean); `n` counts them all, as do
    those `above`, `equal` to and `below` 0. `reason` says why there is no interval or no test.
    """
    own = first_ratings(rows[rows["score"].isin(CENTRED)])
    sets = [own.assign(reader=reader) for reader, own in own.groupby("reader", sort=False)]
    sets = [image_means(own).assign(reader=ALL), *sets] if len(own) else []
    values = pd.concat([pd.DataFrame(columns=["score", "reader", "source", "class", "value"]), *sets])
    found = []
    for (score, reader), of_reader in values.groupby(["score", "reader"], sort=False):
        for generator in [ALL, *in_place(of_reader["source"], generators)]:
            for name in [ALL, *classes]:
                chosen = of_reader[
                    ((of_reader["source"] == generator) | (generator == ALL))
                    & ((of_reader["class"] == name) | (name == ALL))
                ]
                if len(chosen):
                    row = {"score": score, "reader": reader, "generator": generator, "class": name}
                    clusters = chosen["against"].where(chosen["against"] != "", chosen.index.astype(str)).to_numpy(str)
                    found.append(row | _against_zero(chosen["value"].to_numpy(float), clusters, confidence))
    frame = pd.DataFrame(found, columns=[column for column in PREFERENCE_COLUMNS if column != "p_adjusted"])
    frame["p_adjusted"] = np.nan
    family = frame[(frame["generator"] != ALL) & (frame["class"] == ALL) & frame["p_wilcoxon"].notna()]
    for _, members in family.groupby(["score", "reader"], sort=False):
        frame.loc[members.index, "p_adjusted"] = holm(members["p_wilcoxon"].to_numpy(float))
    return frame[PREFERENCE_COLUMNS]


def _against_zero(values: np.ndarray, clusters: np.ndarray, confidence: float) -> dict[str, object]:
    """The numbers of a row from values [n] and what they belong to [n]."""
    n, mean = len(values), float(values.mean())
    above, below = int((values > 0).sum()), int((values < 0).sum())
    row = {"mean": mean, "sd": values.std(ddof=1) if n > 1 else np.nan, "low": np.nan, "high": np.nan}
    row |= {"confidence": confidence, "n": n, "above": above, "equal": n - above - below, "below": below}
    row |= {"p_sign": np.nan, "p_wilcoxon": np.nan}
    members = np.unique(clusters, return_inverse=True)[1]
    sizes, reasons = np.bincount(members), []
    means, count = np.bincount(members, values) / sizes, len(sizes)
    if count < 2:
        reasons.append("one value has no interval")
    elif np.ptp(values) == 0:
        reasons.append("all values are equal: no interval")
    else:
        error = np.sqrt(count / (count - 1) * np.sum((sizes * (means - mean)) ** 2)) / n
        reach = stats.t.isf((1 - confidence) / 2, count - 1) * error
        row |= {"low": mean - reach, "high": mean + reach}
    if not means.any():
        reasons.append("all values are 0: no test")
    else:
        row["p_sign"] = float(stats.binomtest(int((means > 0).sum()), int((means != 0).sum())).pvalue)
        row["p_wilcoxon"] = float(stats.wilcoxon(means, zero_method="wilcox").pvalue)
    return row | {"reason": "; ".join(reasons)}
