"""Whether generators, or classes, are rated differently: rank tests."""

import pandas as pd

from synthworth.ratings.scales import ALL, REAL
from synthworth.ratings.summaries import image_means
from synthworth.statistics.groups import compare_groups, compare_groups_within

COLUMNS = ["score", "factor", "stratified_by", "test", "group_1", "group_2", "n_1", "n_2", "mean_1", "mean_2"]
COLUMNS += ["statistic", "surplus", "p", "reason"]


def rating_tests(rows: pd.DataFrame) -> pd.DataFrame:
    """Rank tests of each score over generators and over classes: columns COLUMNS.

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
            plain = plain.assign(mean_1=plain["group_1"].map(of_group), mean_2=plain["group_2"].map(of_group))
            frames.append(pd.concat([plain, within]).assign(score=score, factor=factor))
    return pd.concat([pd.DataFrame(columns=COLUMNS), *frames], ignore_index=True)[COLUMNS]
