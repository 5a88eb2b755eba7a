"""Do generators differ: the paper's rank tests (Schaudt et al. 2023, references 63, 64), for runs and for ratings."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scikit_posthocs
from scipy import stats

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
    return frame.assign(metric=metric)[COLUMNS]


def compare_groups(values: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """Kruskal-Wallis over groups and Dunn's test of each pair, Bonferroni-adjusted over the pairs.

    `values` float [n], finite; `groups` str [n]. One row `kruskal_wallis` (generator_1 `all`; statistic H, its p; n_1
    all values), then a row `dunn_bonferroni` per pair of groups, sorted by name (statistic NaN; p adjusted, in [0, 1]).
    Ties are corrected for. Where a test says nothing its numbers are NaN and `reason` says why: `fewer than two groups`
    or `all values are equal`; `reason` is empty else.
    """
    names = sorted(set(groups))
    samples = [values[groups == name] for name in names]
    reason, statistic, p, pairs = "", np.nan, np.nan, None
    if len(names) < 2:
        reason = "fewer than two groups"
    elif np.ptp(values) == 0:
        reason = "all values are equal"
    else:
        statistic, p = stats.kruskal(*samples)
        pairs = scikit_posthocs.posthoc_dunn(samples, p_adjust="bonferroni").to_numpy()
    rows = [("kruskal_wallis", "all", "", len(values), 0, statistic, p, reason)]
    for one, other in combinations(range(len(names)), 2):
        adjusted = np.nan if pairs is None else pairs[one, other]
        sizes = len(samples[one]), len(samples[other])
        rows.append(("dunn_bonferroni", names[one], names[other], *sizes, np.nan, adjusted, reason))
    return pd.DataFrame(rows, columns=COLUMNS[1:])
