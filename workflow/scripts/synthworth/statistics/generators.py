"""Do generators differ: the paper's rank tests (Schaudt et al. 2023, references 63, 64), for runs."""

from collections.abc import Sequence

import pandas as pd

from synthworth.statistics.groups import compare_groups

COLUMNS = ["metric", "test", "generator_1", "generator_2", "n_1", "n_2", "statistic", "p", "reason"]


def compare_generators(runs: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """`compare_groups` of the generators by the values of `metric` over the runs of `arms` (classifiers, doses, seeds).

    `arms` are those that add synthetic images and do nothing else, as the paper's: the runs of one that replaces real
    images, or of a loss of its own, would be its generator's alone. `runs`: frame with columns arm, generator, metric,
    class, value; metrics of single classes are left out, as are runs without the metric (NaN). The test reads runs as
    independent and does not count the chance of the test images, which all runs share: it describes, `comparisons`
    decides.
    """
    own = runs["arm"].isin(arms) & (runs["metric"] == metric) & (runs["class"] == "all")
    chosen = runs[own & runs["value"].notna()]
    frame = compare_groups(chosen["value"].to_numpy(float), chosen["generator"].to_numpy(str))
    return frame.rename(columns={"group_1": "generator_1", "group_2": "generator_2"}).assign(metric=metric)[COLUMNS]
