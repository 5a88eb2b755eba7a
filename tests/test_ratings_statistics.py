"""The statistics of ratings: those of the reference packages, and of readers whose effects are known."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from readers import joined, make_key, read
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from synthworth.ratings import agreement
from synthworth.ratings.agreement import rating_agreement, weighted_kappa
from synthworth.ratings.comparisons import rating_tests
from synthworth.ratings.correlations import correlate, rating_correlations
from synthworth.ratings.discrimination import NO_REAL, rating_discrimination
from synthworth.ratings.preferences import preferences
from synthworth.ratings.summaries import first_ratings, image_means, summarise_ratings
from synthworth.statistics.groups import EQUAL, ONE_GROUP

GENERATORS = ["gan", "ddpm", "lora"]
CLASSES = ["viral", "healthy"]
KEY = make_key("single", GENERATORS, CLASSES, images=8, real=6, repeats=6)


def single(*readers, key=KEY, **settings):
    return joined(*(read(key, name, seed=place, **settings) for place, name in enumerate(readers)), keys=[key])


def of(frame, **names):
    """The rows of a frame with these values."""
    chosen = frame[(frame[list(names)] == pd.Series(names)).all(axis=1)]
    assert len(chosen)
    return chosen


# Means


def test_an_image_that_was_shown_again_counts_once():
    rows = single("A")
    assert len(first_ratings(rows)) == 2 * 60
    again = rows.assign(value=rows["value"].mask(rows["repeats"] != "", 1))
    pd.testing.assert_frame_equal(image_means(rows), image_means(again))
    # Left out when it was first shown, it counts with the second rating.
    skipped = again.assign(value=again["value"].mask(again["item"] == "001"))
    assert len(first_ratings(skipped)) == 2 * 60
    image = again.loc[again["item"] == "001", ["source", "identity"]].iloc[0].to_dict()
    assert set(of(image_means(skipped), **image)["value"]) == {1.0}


def test_means_are_over_all_ratings_of_all_readers():
    rows = single("A", "B")
    summary = summarise_ratings(rows, GENERATORS, CLASSES, ddof=1)
    assert list(summary["generator"].unique()) == ["real", *GENERATORS]
    assert list(summary["class"].unique()) == ["all", *CLASSES]
    own = first_ratings(rows)
    values = of(own, source="ddpm", score="quality")["value"]
    row = of(summary, generator="ddpm", score="quality", **{"class": "all"}).iloc[0]
    assert (row["mean"], row["sd"], row["n"]) == pytest.approx((values.mean(), values.std(), 2 * 2 * 8))
    values = of(own, source="real", score="plausibility", **{"class": "viral"})["value"]
    row = of(summary, generator="real", score="plausibility", **{"class": "viral"}).iloc[0]
    assert (row["mean"], row["n"]) == pytest.approx((values.mean(), 2 * 6))
    assert len(summary) == 4 * 2 * 3


def test_what_was_not_rated_has_no_mean():
    rows = single("A")
    lacking = rows[(rows["source"] == "gan") | ((rows["source"] == "lora") & (rows["class"] == "viral"))].index
    summary = summarise_ratings(rows.assign(value=rows["value"].mask(rows.index.isin(lacking))), GENERATORS, CLASSES, 1)
    assert "gan" not in set(summary["generator"])
    assert set(of(summary, generator="lora")["class"]) == {"all", "viral", "healthy"} - {"viral"}


def test_generators_that_the_study_has_no_longer_come_last():
    summary = summarise_ratings(single("A"), ["lora"], CLASSES, 1)
    assert list(summary["generator"].unique()) == ["real", "lora", "ddpm", "gan"]


# Tests of generators and classes


def test_rank_tests_are_those_of_scipy_and_scikit_posthocs_on_means_of_images():
    rows = single("A", "B", effects={"lora": -1})
    tests = rating_tests(rows)
    means = of(image_means(rows), score="quality")
    means = means[means["source"] != "real"]
    for factor, column in (("generator", "source"), ("class", "class")):
        own = of(tests, score="quality", factor=factor, stratified_by="")
        expected = stats.kruskal(*(values for _, values in means.groupby(column)["value"]))
        overall = of(own, test="kruskal_wallis").iloc[0]
        assert (overall["statistic"], overall["p"]) == (expected.statistic, expected.pvalue)
        assert overall["n_1"] == len(means) == 48
        dunn = scikit_posthocs.posthoc_dunn(means, "value", column, p_adjust="bonferroni")
        for row in of(own, test="dunn_bonferroni").itertuples():
            assert row.p == dunn.loc[row.group_1, row.group_2]
            assert row.mean_1 == means.loc[means[column] == row.group_1, "value"].mean()
    assert set(tests["score"]) == {"quality", "plausibility"}
    assert set(tests["stratified_by"]) == {"", "class", "generator"}


@pytest.mark.parametrize(
    ("key", "value", "names", "reason"),
    [
        (make_key(generators=["gan"]), None, {"factor": "generator"}, ONE_GROUP),
        (make_key(classes=["viral"]), None, {"factor": "class"}, ONE_GROUP),
        (make_key(), 3, {}, EQUAL),
    ],
)
def test_tests_that_say_nothing_say_why(key, value, names, reason):
    rows = joined(read(key), keys=[key])
    rows = rows if value is None else rows.assign(value=float(value))
    found = rating_tests(rows)
    assert set((of(found, **names) if names else found)["reason"]) == {reason}


def test_without_ratings_there_is_no_test():
    rows = single("A")
    assert rating_tests(rows.assign(value=np.nan)).empty
    assert rating_agreement(rows.iloc[:0]).empty
    assert rating_discrimination(rows.iloc[:0], GENERATORS).empty
    assert preferences(rows, GENERATORS, CLASSES).empty


# Agreement


@pytest.mark.parametrize(("power", "weights"), [(1, "linear"), (2, "quadratic")])
@pytest.mark.parametrize("scale", [(1, 5), (-2, 2), (1, 3)])
def test_kappa_is_scikit_learns_and_is_left_one_out_by_images(power, weights, scale):
    rng = np.random.default_rng(power)
    first = rng.integers(scale[0], scale[1] + 1, 30)
    second = np.clip(first + rng.integers(-1, 2, 30), *scale)
    labels = range(scale[0], scale[1] + 1)
    value, left_out = weighted_kappa(first, second, scale, power)
    assert value == pytest.approx(cohen_kappa_score(first, second, labels=labels, weights=weights), rel=1e-12)
    expected = [
        cohen_kappa_score(np.delete(first, place), np.delete(second, place), labels=labels, weights=weights)
        for place in range(30)
    ]
    assert left_out == pytest.approx(expected, rel=1e-12)


def test_agreement_within_and_between_readers_is_of_the_images_that_both_ratings_have():
    rows = single("A", "B", "C")
    # B did not come to the images that were shown again, C not to the first twenty.
    gone = ((rows["reader"] == "B") & (rows["repeats"] != "")) | ((rows["reader"] == "C") & (rows["item"] <= "020"))
    rows = rows.assign(value=rows["value"].mask(gone))
    found = rating_agreement(rows)
    wide = of(rows, score="quality").pivot_table(index="item", columns="reader", values="value")
    within = of(found, score="quality", kind="within", measure="kappa_quadratic").set_index("reader_1")
    assert dict(within["n"]) == {"A": 6, "B": 0, "C": 0}
    first, second = wide["A"].loc["001":"006"].to_numpy(), wide["A"].loc["061":"066"].to_numpy()
    expected = cohen_kappa_score(first.astype(int), second.astype(int), labels=range(1, 6), weights="quadratic")
    assert within.loc["A", "value"] == pytest.approx(expected)
    assert set(within.loc[["B", "C"], "reason"]) == {agreement.TOO_FEW}

    between = of(found, score="quality", kind="between", measure="kappa_linear")
    assert list(zip(between["reader_1"], between["reader_2"], strict=True)) == [
        *combinations("ABC", 2),
        ("all", "all"),
    ]
    # C's images of the first twenty that were shown again have the second rating.
    assert list(between["n"]) == [60, 46, 46, 60]
    assert between["value"].iloc[3] == pytest.approx(between["value"].iloc[:3].mean())
    shares = of(found, score="quality", kind="between", measure="exact_agreement")
    same = (wide["A"] == wide["B"]).loc["001":"060"]
    assert shares["value"].iloc[0] == pytest.approx(same.mean())
    low, high = stats.binomtest(int(same.sum()), 60).proportion_ci(method="wilson")
    assert (shares["low"].iloc[0], shares["high"].iloc[0]) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("first", "second", "value", "reason"),
    [
        ([3, 3, 3], [3, 3, 3], np.nan, agreement.BOTH_CONSTANT),
        ([3, 3, 3], [2, 3, 4], 0.0, agreement.ONE_CONSTANT),
        ([1, 2, 5], [1, 2, 5], 1.0, agreement.NO_DISAGREEMENT),
        ([1], [2], np.nan, agreement.TOO_FEW),
        ([3, 3, 3, 5], [3, 3, 3, 4], 0.6, agreement.ONE_IMAGE),
    ],
)
def test_where_kappa_says_little_it_says_why(first, second, value, reason):
    key = make_key(generators=["gan"], classes=["viral"], images=len(first))
    frames = [read(key, name).assign(quality=scores) for name, scores in (("A", first), ("B", second))]
    row = of(rating_agreement(joined(*frames, keys=[key])), score="quality", measure="kappa_quadratic").iloc[0]
    assert row["reason"] == reason
    assert row["value"] == pytest.approx(value, nan_ok=True, abs=0.3)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_a_single_reader_without_repeats_agrees_with_nobody():
    assert rating_agreement(joined(read(make_key()), keys=[make_key()])).empty


# Real images and synthetic ones


def test_auroc_is_scikit_learns_within_classes():
    rows = single("A", effects={"real": 1})
    found = rating_discrimination(rows, GENERATORS)
    own = first_ratings(of(rows, score="quality"))
    own = own[own["source"].isin(["real", "ddpm"])]
    parts = [roc_auc_score(part["source"] == "real", part["value"]) for _, part in own.groupby("class")]
    row = of(found, score="quality", reader="A", generator="ddpm").iloc[0]
    assert row["auroc"] == pytest.approx(np.mean(parts))
    assert (row["n_real"], row["n_synthetic"]) == (12, 16)
    assert row["low"] < row["auroc"] < row["high"]
    # Of one reader, all readers are that one.
    both = [of(found, reader=name).drop(columns="reader").reset_index(drop=True) for name in ("all", "A")]
    pd.testing.assert_frame_equal(*both)
    assert len(found) == 2 * 2 * 4


def test_other_shares_of_the_classes_are_no_sign_of_origin():
    # Healthy images look better in all hands; nearly all real ones are healthy.
    rows = single("A", key=make_key(images=40, real=40), class_effects={"healthy": 2}, noise=0.1)
    gone = (rows["source"] == "real") & (rows["class"] == "viral") & (rows["identity"] > "viral-12")
    gone |= (rows["source"] != "real") & (rows["class"] == "healthy") & (rows["identity"] > "healthy/12")
    rows = rows.assign(value=rows["value"].mask(gone))
    own = first_ratings(of(rows, score="quality"))
    assert roc_auc_score(own["source"] == "real", own["value"]) > 0.7
    row = of(rating_discrimination(rows, ["gan", "ddpm"]), score="quality", reader="A", generator="all").iloc[0]
    assert row["low"] < 0.5 < row["high"]


def test_without_real_images_there_is_a_reason():
    found = rating_discrimination(joined(read(make_key()), keys=[make_key()]), ["gan", "ddpm"])
    assert set(found["reason"]) == {NO_REAL}
    assert found["auroc"].isna().all()


def test_of_pairs_the_share_counts_in_which_the_real_image_is_preferred():
    key = make_key("pair", GENERATORS, CLASSES, images=3)
    rows = joined(read(key, seed=3), keys=[key])
    rows["value"] = np.resize([2.0, 0.0, -1.0, 1.0], len(rows))
    row = of(rating_discrimination(rows, GENERATORS), generator="all", reader="Dr. A").iloc[0]
    # Of 18 pairs 9 for the real image, 5 for neither.
    assert row["auroc"] == pytest.approx(11.5 / 18)
    assert row["low"] < 0.5 < row["high"] < 0.85
    assert (row["n_real"], row["n_synthetic"]) == (18, 18)
    # One real image in all pairs: no more than one independent comparison.
    alone = of(rating_discrimination(rows.assign(against="x.png"), GENERATORS), generator="all", reader="all").iloc[0]
    assert alone["n_real"] == 1
    assert alone["high"] - alone["low"] > 0.7


# Preferences


def test_preferences_are_held_against_zero_as_scipy_does():
    # More than 13 pairs of each, for fewer of which scipy goes through all signs, slowly.
    key = make_key("pair", GENERATORS, CLASSES, images=8)
    rows = joined(*(read(key, name, effects={"lora": 2}, seed=place) for place, name in enumerate("AB")), keys=[key])
    found = preferences(rows, GENERATORS, CLASSES)
    values = image_means(rows).query("source == 'lora'")["value"].to_numpy()
    row = of(found, reader="all", generator="lora", **{"class": "all"}).iloc[0]
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((values.mean(), interval.low, interval.high))
    assert row["p_wilcoxon"] == stats.wilcoxon(values).pvalue
    assert row["p_sign"] == stats.binomtest(int((values > 0).sum()), int((values != 0).sum())).pvalue
    assert (row["n"], row["above"] + row["equal"] + row["below"]) == (16, 16)
    family = of(found, reader="all", **{"class": "all"})
    family = family[family["generator"] != "all"]
    order = family.sort_values("p_wilcoxon")
    assert order["p_adjusted"].iloc[0] == pytest.approx(3 * order["p_wilcoxon"].iloc[0])
    assert found["p_adjusted"].notna().sum() == 3 * 3
    assert len(found) == 3 * 4 * 3


def test_pairs_of_one_real_image_are_one_cluster():
    key = make_key("pair", ["gan"], ["viral"], images=10)
    rows = joined(read(key, seed=1), keys=[key])
    shared = rows.assign(
        against=rows["against"].map({name: f"{place // 2}" for place, name in enumerate(rows["against"])})
    )
    shared["value"] = np.repeat([1.0, 2.0, -1.0, 2.0, 0.0], 2)
    halved = shared.drop_duplicates("against")
    twice, once = (preferences(frame, ["gan"], ["viral"]).iloc[0] for frame in (shared, halved))
    numbers = ["mean", "low", "high", "p_sign", "p_wilcoxon"]
    assert twice[numbers].tolist() == pytest.approx(once[numbers].tolist())
    assert (twice["n"], once["n"]) == (10, 5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0] * 4, "all values are equal: no interval; all values are 0: no test"),
        ([1.0] * 4, "all values are equal: no interval"),
        ([1.0], "one value, or one real image in all pairs: no interval"),
    ],
)
def test_preferences_that_say_little_say_why(values, reason):
    key = make_key("prompt", ["lora"], ["viral"], images=len(values))
    rows = joined(read(key), keys=[key]).assign(value=values)
    row = preferences(rows, ["lora"], ["viral"]).iloc[0]
    assert row["reason"] == reason
    assert np.isnan(row["low"])


# Correlations


@pytest.mark.parametrize("generators", [4, 6])
def test_correlations_over_generators_are_scipys_with_exact_p(generators):
    rng = np.random.default_rng(generators)
    x, y = rng.integers(0, 5, (2, generators, 1)).astype(float)
    for name, statistic in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        value, p = correlate(x, y, name, seed=0)
        assert value == pytest.approx(statistic(x.ravel(), y.ravel()).statistic)
        exact = stats.permutation_test(
            (x.ravel(),),
            lambda moved, statistic=statistic: statistic(moved, y.ravel()).statistic,
            permutation_type="pairings",
            n_resamples=np.inf,
        )
        assert p == pytest.approx(exact.pvalue)


@pytest.mark.parametrize(("name", "statistic"), [("spearman", stats.spearmanr), ("kendall", stats.kendalltau)])
def test_over_cells_whole_generators_change_places(name, statistic):
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 9, (2, 4, 3)).astype(float)
    value, p = correlate(x, y, name, seed=0)
    moved = [statistic(x.ravel(), y[list(order)].ravel()).statistic for order in permutations(range(4))]
    assert value == pytest.approx(moved[0])
    larger, smaller = (np.mean([sign * other >= sign * value - 1e-9 for other in moved]) for sign in (1, -1))
    assert p == pytest.approx(min(1, 2 * min(larger, smaller)))


def test_of_many_generators_arrangements_are_drawn_by_seed():
    x, y = np.random.default_rng(4).normal(size=(2, 9, 2))
    assert correlate(x, y, "kendall", seed=1) == correlate(x, y, "kendall", seed=1)
    assert correlate(x, x, "kendall", seed=1)[1] < 0.01
    assert correlate(x, y, "spearman", seed=1)[1] == pytest.approx(correlate(x, y, "spearman", seed=2)[1], abs=0.05)


def fidelity(value, generators=GENERATORS):
    return pd.DataFrame(
        [
            {
                "generator": name,
                "class": label,
                "selected": selected,
                "metric": "fid",
                "value": value[name] * (1 + selected),
            }
            for name in generators
            for label in CLASSES
            for selected in (True, False)
        ]
    ).assign(extractor="inception", reference="train")


def comparisons(effects):
    rows = [("all", f"{name}+{dose}", effect * dose) for name, effect in effects.items() for dose in (1, 3)]
    rows += [("resnet", arm, -effect) for _, arm, effect in rows] + [("all", "lora+9-replace", 99.0)]
    return pd.DataFrame(rows, columns=["classifier", "arm", "effect"])


def test_ratings_are_correlated_with_the_chosen_checkpoints_and_the_arms_that_count():
    effects = {"gan": 2.0, "ddpm": 0.5, "lora": -2.0}
    rows = single("A", "B", effects=effects, spread=0.3)
    arms = {f"{name}+{dose}": name for name in GENERATORS for dose in (1, 3)}
    scores = fidelity({"gan": 10, "ddpm": 20, "lora": 30})
    found = rating_correlations(rows, scores, comparisons(effects), arms, seed=1)
    spearman = of(found, score="quality", coefficient="spearman").set_index(["against", "over"])
    assert spearman.loc[("fid", "generators"), "value"] == pytest.approx(-1)
    assert spearman.loc[("utility", "generators"), "value"] == pytest.approx(1)
    # Two of six arrangements are as extreme.
    assert spearman.loc[("fid", "generators"), "p"] == pytest.approx(2 / 6)
    assert list(spearman["n"]) == [6, 3, 3]
    cells = of(image_means(rows), score="quality").groupby(["source", "class"])["value"].mean()
    fid = scores[scores["selected"]].set_index(["generator", "class"])["value"]
    expected = stats.spearmanr(*(side.loc[GENERATORS].sort_index() for side in (cells, fid))).statistic
    assert spearman.loc[("fid", "cells"), "value"] == pytest.approx(expected)


def test_of_preferences_correlations_are_as_of_all_other_ratings():
    # How much better the real image is: the gan, whose FID and effects are the best, comes closest.
    effects = {"gan": -2.0, "ddpm": -0.5, "lora": 2.0}
    key = make_key("pair", GENERATORS, CLASSES, images=8)
    rows = joined(read(key, effects=effects, spread=0.3), keys=[key])
    means = image_means(rows).groupby("source")["value"].mean()
    assert means["gan"] < means["ddpm"] < means["lora"]
    arms = {f"{name}+1": name for name in GENERATORS}
    scores = fidelity({"gan": 10, "ddpm": 20, "lora": 30})
    found = rating_correlations(rows, scores, comparisons({"gan": 2, "ddpm": 1, "lora": 0}), arms, seed=1)
    found = of(found, score="preference", over="generators", coefficient="spearman").set_index("against")["value"]
    assert dict(found) == {"fid": pytest.approx(-1), "utility": pytest.approx(1)}


def test_trainings_of_one_generator_have_one_utility():
    key = make_key("single", ["gan", "gan.seed-2", "ddpm", "lora"], CLASSES, images=4)
    rows = joined(read(key, effects={"gan": 2, "gan.seed-2": 2, "ddpm": 0, "lora": -2}, spread=0.1), keys=[key])
    arms = {f"{name}+1": name for name in GENERATORS}
    found = rating_correlations(
        rows, fidelity({"gan": 1, "ddpm": 2, "lora": 3}), comparisons({"gan": 2, "ddpm": 1, "lora": 0}), arms, seed=1
    )
    worth = of(found, against="utility", score="quality", coefficient="spearman").iloc[0]
    assert (worth["n"], worth["value"]) == (3, pytest.approx(1))


@pytest.mark.parametrize(
    ("generators", "fid", "reason"),
    [
        (["gan"], {"gan": 1}, "fewer than 3 points"),
        (GENERATORS, dict.fromkeys(GENERATORS, 5), "all values of fid are equal"),
    ],
)
def test_correlations_that_cannot_be_had_say_why(generators, fid, reason):
    key = make_key("single", generators, CLASSES, images=4)
    found = rating_correlations(joined(read(key), keys=[key]), fidelity(fid, generators), comparisons({}), {}, seed=1)
    assert set(of(found, against="fid")["reason"]) == {reason}
    assert set(of(found, against="utility")["reason"]) == {"fewer than 3 points"}
    assert found["p"].isna().all()
