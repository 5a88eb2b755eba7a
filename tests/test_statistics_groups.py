"""Rank tests of groups, over all values and within strata."""

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from synthworth.statistics.groups import EQUAL, NEVER_TOGETHER, compare_groups, compare_groups_within


def test_rank_tests_are_those_of_scipy_and_scikit_posthocs():
    generator = np.random.default_rng(15)
    values = generator.integers(0, 12, size=60) / 12 + np.repeat([0, 0, 0.2], 20)
    groups = np.repeat(["gan", "ddpm", "lora"], 20)
    frame = compare_groups(values, groups)
    kruskal = stats.kruskal(values[:20], values[20:40], values[40:])
    assert frame.loc[0, "statistic"] == kruskal.statistic
    assert frame.loc[0, "p"] == kruskal.pvalue
    long = pd.DataFrame({"value": values, "group": groups})
    dunn = scikit_posthocs.posthoc_dunn(long, "value", "group", p_adjust="bonferroni")
    pairs = frame[frame["test"] == "dunn_bonferroni"]
    assert list(zip(pairs["group_1"], pairs["group_2"], strict=True)) == [
        ("ddpm", "gan"),
        ("ddpm", "lora"),
        ("gan", "lora"),
    ]
    for row in pairs.itertuples():
        assert row.p == dunn.loc[row.group_1, row.group_2]
        of_ranks = long["value"].rank().groupby(long["group"]).mean()
        assert row.surplus == pytest.approx(of_ranks[row.group_1] - of_ranks[row.group_2])


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [
        ([0.1, 0.2], ["gan", "gan"], "fewer than two groups"),
        ([], [], "fewer than two groups"),
        ([0.5, 0.5, 0.5, 0.5], ["gan", "gan", "ddpm", "ddpm"], "all values are equal"),
    ],
)
def test_rank_tests_that_say_nothing_say_why(values, groups, reason):
    frame = compare_groups(np.array(values), np.array(groups, str))
    assert set(frame["reason"]) == {reason}
    assert frame["p"].isna().all()


def stratified(values, groups, strata):
    arrays = np.asarray(values, float), np.asarray(groups, str), np.asarray(strata, str)
    return compare_groups_within(*arrays)


def test_in_one_stratum_the_stratified_test_is_kruskal_and_walliss():
    rng = np.random.default_rng(0)
    values, groups = rng.integers(1, 6, 60), np.repeat(["a", "b", "c"], [10, 30, 20])
    first = stratified(values, groups, ["s"] * 60).iloc[0]
    expected = stats.kruskal(*(values[groups == name] for name in "abc"))
    assert (first["statistic"], first["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_with_one_value_of_each_group_in_a_stratum_it_is_friedmans():
    rng = np.random.default_rng(1)
    table = rng.integers(1, 6, (12, 4)) + np.arange(4) / 2
    expected = stats.friedmanchisquare(*table.T)
    first = stratified(table.ravel(), np.tile(list("abcd"), 12), np.repeat(np.arange(12), 4)).iloc[0]
    assert (first["statistic"], first["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_with_equal_cells_and_no_ties_it_is_mack_and_skillingss():
    rng = np.random.default_rng(2)
    blocks, groups, cell = 5, 3, 4
    values = rng.permutation(blocks * groups * cell).reshape(blocks, groups, cell)
    in_block = groups * cell
    ranks = stats.rankdata(values.reshape(blocks, -1), axis=1).reshape(values.shape)
    # Mack and Skillings 1980, of the sums over blocks of a group's mean rank.
    sums, total = ranks.mean(axis=2).sum(axis=0), blocks * in_block
    expected = 12 / (groups * (total + blocks)) * np.sum((sums - (total + blocks) / 2) ** 2)
    names = np.broadcast_to(np.array(list("abc"))[:, None], values.shape)
    strata = np.broadcast_to(np.arange(blocks)[:, None, None], values.shape)
    found = stratified(values.ravel(), names.ravel(), strata.ravel()).iloc[0]
    assert found["statistic"] == pytest.approx(expected, rel=1e-9)


def test_pairs_are_van_elterens_test_of_the_two_groups_alone():
    rng = np.random.default_rng(3)
    strata = np.repeat(["s", "t", "u"], [20, 31, 12])
    groups = rng.choice(["a", "b", "c"], len(strata))
    values = rng.integers(1, 4, len(strata)) + (groups == "c")
    frame = stratified(values, groups, strata)
    for row in frame.iloc[1:].itertuples():
        # The textbook's form: Wilcoxon's rank sums weighted by 1 / (n + 1), with variances for ties.
        surplus, variance = 0.0, 0.0
        for name in np.unique(strata):
            x, y = (values[(strata == name) & (groups == group)] for group in (row.group_1, row.group_2))
            n, ranks = len(x) + len(y), stats.rankdata(np.concatenate([x, y]))
            surplus += (ranks[: len(x)].sum() - len(x) * (n + 1) / 2) / (n + 1)
            variance += len(x) * len(y) / (n * (n - 1)) * np.sum((ranks - (n + 1) / 2) ** 2) / (n + 1) ** 2
        assert row.statistic == pytest.approx(surplus**2 / variance, rel=1e-9)
        assert row.surplus == pytest.approx(surplus, rel=1e-9)
        assert row.p == pytest.approx(min(1, 3 * stats.chi2.sf(surplus**2 / variance, 1)), rel=1e-9)
    assert list(frame["test"]) == ["van_elteren", *["van_elteren_bonferroni"] * 3]


def test_what_a_stratum_has_in_common_counts_for_no_group():
    # Group a has the images of the better class; within a class the groups are alike.
    values = np.tile([1, 2], 40) + np.repeat([0, 3], 40)
    groups, strata = np.array((["a"] * 8 + ["b"] * 32) + (["a"] * 32 + ["b"] * 8)), np.repeat(["s", "t"], 40)
    assert compare_groups(values.astype(float), groups)["p"].iloc[0] < 1e-4
    assert stratified(values, groups, strata)["p"].iloc[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "groups", "strata", "reason"),
    [
        ([1, 2], ["a", "a"], ["s", "t"], "fewer than two groups"),
        ([2, 2, 2], ["a", "b", "b"], ["s", "s", "t"], EQUAL),
        ([1, 2, 1, 3], ["a", "a", "b", "b"], ["s", "s", "t", "t"], NEVER_TOGETHER),
        ([1, 1, 3, 3], ["a", "b", "a", "b"], ["s", "s", "t", "t"], NEVER_TOGETHER),
        ([1, 2], ["a", "b"], ["s", "t"], NEVER_TOGETHER),
    ],
)
def test_stratified_tests_that_say_nothing_say_why(values, groups, strata, reason):
    frame = stratified(values, groups, strata)
    assert set(frame["reason"]) == {reason}
    assert frame["p"].isna().all()


def test_a_group_that_meets_no_other_is_left_to_its_pairs():
    values, groups = [1, 2, 1, 4, 4, 5, 5], ["a", "b", "a", "b", "b", "c", "c"]
    frame = stratified(values, groups, list("sssss") + list("tt"))
    assert frame["reason"].tolist() == ["", "", NEVER_TOGETHER, NEVER_TOGETHER]
    assert frame.loc[0, "p"] == pytest.approx(frame.loc[1, "p"] / 3)
