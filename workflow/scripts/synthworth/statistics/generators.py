"""Do generators differ: the paper's rank tests (Schaudt et al. 2023, references 63, 64), for runs."""

import pandas as pd

from synthworth.statistics.groups import compare_groups

COLUMNS = ["metric", "test", "generator_1", "generator_2", "n_1", "n_2", "statistic", "p", "reason"]


def compare_generators(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """`compare_groups` of the generators by the values of `metric` over all their runs (classifiers, doses, seeds).

    `runs`: frame with columns generator, dose, metric, class, value; rows with dose 0 have no generator and are
    left out, as are metrics of single classes and runs without the metric (NaN). The test reads runs as independent
    and does not count the chance of the test images, which all runs share: it describes, `comparisons` decides.
    """
    chosen = runs[(runs["metric"] == metric) & (runs["class"] == "all") & (runs["dose"] > 0) & runs["value"].notna()]
    frame = compare_groups(chosen["value"].to_numpy(float), chosen["generator"].to_numpy(str))
    return frame.rename(columns={"group_1": "generator_1", "group_2": "generator_2"}).assign(metric=metric)[COLUMNS]
