"""Rank tests of whether groups differ: over all values, and within strata."""

from itertools import combinations

import numpy as np
import pandas as pd
import scikit_posthocs
from scipy import stats

COLUMNS = ["test", "group_1", "group_2", "n_1", "n_2", "statistic", "surplus", "p", "reason"]
ALL = "all"
ONE_GROUP, EQUAL = "fewer than two groups", "all values are equal"
NEVER_TOGETHER = "no stratum in which groups can be told apart"


def compare_groups(values: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """Kruskal-Wallis over groups and Dunn's test of each pair, Bonferroni-adjusted over the pairs.

    `values` float [n], finite; `groups` str [n]. One row `kruskal_wallis` (group_1 `all`; statistic H, its p; n_1
    all values), then a row `dunn_bonferroni` per pair of groups, sorted by name (statistic NaN; p adjusted, in [0, 1]).
    `surplus` of a pair is above 0 where group_1 has the higher values: here the difference of the mean ranks among all
    values, which Dunn's test is of. Ties are corrected for. Where a test says nothing its numbers are NaN and `reason`
    says why: `fewer than two groups` or `all values are equal`; `reason` is empty else.
    """
    names = sorted(set(groups))
    samples = [values[groups == name] for name in names]
    reason, statistic, p, pairs, ranks = "", np.nan, np.nan, None, stats.rankdata(values)
    if len(names) < 2:
        reason = ONE_GROUP
    elif np.ptp(values) == 0:
        reason = EQUAL
    else:
        statistic, p = stats.kruskal(*samples)
        pairs = scikit_posthocs.posthoc_dunn(samples, p_adjust="bonferroni").to_numpy()
    rows = [("kruskal_wallis", ALL, "", len(values), 0, statistic, np.nan, p, reason)]
    for one, other in combinations(range(len(names)), 2):
        adjusted = np.nan if pairs is None else pairs[one, other]
        sizes = len(samples[one]), len(samples[other])
        above = np.nan if pairs is None else ranks[groups == names[one]].mean() - ranks[groups == names[other]].mean()
        rows.append(("dunn_bonferroni", names[one], names[other], *sizes, np.nan, above, adjusted, reason))
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_groups_within(values: np.ndarray, groups: np.ndarray, strata: np.ndarray) -> pd.DataFrame:
    """Van Elteren's test over groups and of each pair, Bonferroni-adjusted over the pairs: ranks within strata alone.

    What a whole stratum has in common, such as a class that looks better in all its images, counts for no group.
    Arguments and rows as of `compare_groups`; `strata` str [n]. A row `van_elteren` (statistic chi-squared, p), then
    a row `van_elteren_bonferroni` per pair, for which the two groups alone are ranked (statistic chi-squared with one
    degree of freedom; p adjusted). `surplus` of a pair is that of the scores of group_1 over their expectation; where
    strata have other shares of the groups, means over all values may say the opposite. A further reason: `no stratum
    in which groups can be told apart`.
    """
    names = sorted(set(groups))
    statistic, _, p, reason = _van_elteren(values, groups, strata)
    rows = [("van_elteren", ALL, "", len(values), 0, statistic, np.nan, p, reason)]
    pairs = list(combinations(names, 2))
    for one, other in pairs:
        own = (groups == one) | (groups == other)
        statistic, surplus, p, reason = _van_elteren(values[own], groups[own], strata[own])
        sizes = int((groups == one).sum()), int((groups == other).sum())
        p = min(1.0, p * len(pairs)) if p == p else p
        rows.append(("van_elteren_bonferroni", one, other, *sizes, statistic, surplus, p, reason))
    return pd.DataFrame(rows, columns=COLUMNS)


def _van_elteren(values: np.ndarray, groups: np.ndarray, strata: np.ndarray) -> tuple[float, float, float, str]:
    """The chi-squared of van Elteren's test (1960) of any number of groups, the surplus of the first one's scores (by
    name) over their expectation, the p, and why it says nothing.

    That is the test of mean scores of the extended Cochran-Mantel-Haenszel family (Landis, Heyman and Koch,
    International Statistical Review 46, 1978) with the scores rank / (n + 1) of each stratum of n values. Given the
    values of each stratum, the groups' sums of scores have a hypergeometric covariance, ties and all; expectations
    and covariances add up over strata. One stratum gives Kruskal and Wallis's H, two groups van Elteren's test,
    one value of each group in a stratum Friedman's test, equal cells without ties Mack and Skillings's.
    """
    names = np.unique(groups)
    if len(names) < 2:
        return np.nan, np.nan, np.nan, ONE_GROUP
    if np.ptp(values) == 0:
        return np.nan, np.nan, np.nan, EQUAL
    surplus, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for stratum in np.unique(strata):
        own = strata == stratum
        n = int(own.sum())
        if n < 2:
            continue
        scores = stats.rankdata(values[own]) / (n + 1)
        member = groups[own] == names[:, None]
        shares = member.sum(axis=1) / n
        surplus += member @ (scores - scores.mean())
        covariance += n * scores.var(ddof=1) * (np.diag(shares) - np.outer(shares, shares))
    degrees = int(np.linalg.matrix_rank(covariance, tol=1e-9 * max(covariance.max(), 1e-12)))
    if degrees == 0:
        return np.nan, np.nan, np.nan, NEVER_TOGETHER
    statistic = float(surplus @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ surplus)
    return statistic, float(surplus[0]), float(stats.chi2.sf(statistic, degrees)), ""
