"""Simulated readers: what there is, is found; what there is not, is found as often as it may be; intervals cover."""

import numpy as np
import pytest
from readers import joined, look, make_key, read

from synthworth.ratings.agreement import POWERS, _jackknife, rating_agreement, weighted_kappa
from synthworth.ratings.comparisons import rating_tests
from synthworth.ratings.discrimination import rating_discrimination
from synthworth.ratings.preferences import mean_interval, signed_tests
from synthworth.ratings.scales import SCALES
from synthworth.statistics.areas import area_under_curve, pooled_area
from synthworth.statistics.groups import compare_groups, compare_groups_within

STUDIES = 200
# Of 200 studies the share that errs is within this of 5 % in all but one of a thousand simulations.
CHANCE = 0.05
GENERATORS = np.repeat(["gan", "ddpm", "lora"], 24)
CLASSES = np.tile(np.repeat(["viral", "healthy"], 12), 3)


def rejections(effects, class_effect, rated=None, noise=0.5):
    """The shares of studies in which the test over generators finds something, plain and within classes.

    Two readers rate the quality of 12 images of each generator and class, or those that are `rated`, one of them
    more mildly; an image has their mean. Healthy images look better by `class_effect`.
    """
    rated = np.ones(len(GENERATORS), bool) if rated is None else rated
    rng = np.random.default_rng(7)
    found = []
    for _ in range(STUDIES):
        latent = rng.normal(size=len(GENERATORS)) + class_effect * (CLASSES == "healthy")
        latent += np.array([effects.get(name, 0) for name in GENERATORS])
        values = np.mean([look(latent + bias, "quality", noise, rng) for bias in (0, 0.7)], axis=0)[rated]
        plain = compare_groups(values, GENERATORS[rated])
        within = compare_groups_within(values, GENERATORS[rated], CLASSES[rated])
        found.append([plain["p"].iloc[0] < 0.05, within["p"].iloc[0] < 0.05])
    return np.mean(found, axis=0)


def test_where_generators_are_alike_tests_hold_their_level():
    plain, within = rejections({}, class_effect=0.5)
    assert plain < 0.05 + CHANCE
    assert abs(within - 0.05) < CHANCE


def test_a_better_generator_is_found():
    plain, within = rejections({"gan": 1}, class_effect=0)
    assert min(plain, within) > 0.8


def test_a_class_that_looks_better_is_no_better_generator():
    # Of ddpm mostly viral images are rated, of the others mostly healthy ones.
    place = np.tile(np.arange(12), 6)
    most = {("gan", "viral"): 3, ("ddpm", "healthy"): 3, ("lora", "viral"): 3}
    rated = place < [most.get(names, 12) for names in zip(GENERATORS, CLASSES, strict=True)]
    plain, within = rejections({}, class_effect=2, rated=rated)
    assert plain > 0.5
    assert abs(within - 0.05) < CHANCE


def test_within_classes_a_difference_is_found_that_classes_hide():
    plain, within = rejections({"gan": 0.7}, class_effect=2, noise=0.2)
    assert within > plain + 0.05


@pytest.mark.parametrize("score", ["quality", "plausibility"])
@pytest.mark.parametrize("effect", [0, 1, 2.5])
def test_intervals_of_the_auroc_hold_the_truth(score, effect):
    rng = np.random.default_rng(0)

    def rate(count, latent):
        return look(rng.normal(latent, size=count), score, 0.5, rng)

    truth = area_under_curve(rate(100_000, 0), rate(100_000, effect))
    held = []
    for _ in range(STUDIES):
        found = pooled_area([(1.0, area_under_curve(rate(25, 0), rate(12, effect)), 12, 25)], 0.95)
        held.append(found["low"] <= truth <= found["high"])
    # Scores tie, so that intervals may be wide, not narrow.
    assert np.mean(held) > 0.95 - CHANCE


@pytest.mark.parametrize(("noise", "images"), [(0.4, 25), (1.0, 25), (1.0, 60), (0.7, 12)])
@pytest.mark.parametrize("measure", list(POWERS))
def test_intervals_of_kappa_hold_the_truth(noise, images, measure):
    rng = np.random.default_rng(images)

    def kappa(count):
        latent = rng.normal(size=count)
        scores = (look(latent + bias, "quality", noise, rng) for bias in (0, 0.5))
        return weighted_kappa(*scores, SCALES["single"]["quality"], POWERS[measure])

    truth = kappa(100_000)[0]
    held = []
    for _ in range(STUDIES):
        found = _jackknife(*kappa(images), "", 0.95)
        held.append(found["low"] <= truth <= found["high"])
    assert abs(np.mean(held) - 0.95) < CHANCE


def against_zero(values, clusters):
    """Whether the interval holds 0, and whether either test rejects it."""
    interval = mean_interval(values, clusters, 0.95)[0]
    p = signed_tests(values, clusters)[0]
    return interval["low"] <= 0 <= interval["high"], p["p_sign"] < 0.05, p["p_wilcoxon"] < 0.05


def test_preferences_hold_their_level_and_find_what_there_is():
    rng = np.random.default_rng(0)

    def shares(effect):
        studies = [look(rng.normal(effect, size=30), "preference", 0.5, rng).astype(float) for _ in range(STUDIES)]
        return np.mean([against_zero(values, np.arange(30)) for values in studies], axis=0)

    held, *rejected = shares(0)
    assert abs(held - 0.95) < CHANCE
    assert max(rejected) < 0.05 + CHANCE
    assert min(shares(0.7)[1:]) > 0.6


def test_pairs_that_share_real_images_mislead_nobody():
    rng = np.random.default_rng(0)
    # Twenty real images, each in six pairs: what is odd about one is so in all of its pairs.
    shared = np.repeat(np.arange(20), 6)
    studies = [look(rng.normal(size=20)[shared], "preference", 0.5, rng).astype(float) for _ in range(STUDIES)]
    held, *rejected = np.mean([against_zero(values, shared) for values in studies], axis=0)
    assert abs(held - 0.95) < CHANCE
    assert max(rejected) < 0.05 + CHANCE
    held, *rejected = np.mean([against_zero(values, np.arange(120)) for values in studies], axis=0)
    assert held < 0.8
    assert min(rejected) > 0.2


def test_what_readers_were_made_to_see_stands_in_all_tables():
    key = make_key("single", ["gan", "ddpm", "lora"], ["viral", "healthy"], images=25, real=25, repeats=40)
    effects = {"gan": 0.3, "lora": -1.5, "real": 1.5}
    # B sees as A does, and less surely; C guesses.
    frames = [
        read(key, "A", effects, {"healthy": 0.8}, noise=0.2, seed=1),
        read(key, "B", effects, {"healthy": 0.8}, noise=0.8, seed=2),
        read(key, "C", {}, {}, noise=5, spread=0, seed=3),
    ]
    rows = joined(*frames, keys=[key])
    tests = rating_tests(rows)
    tests = tests[tests["score"] == "quality"].set_index(["factor", "stratified_by", "test", "group_1", "group_2"])["p"]
    assert tests["generator", "class", "van_elteren_bonferroni", "ddpm", "lora"] < 0.001
    assert tests["class", "generator", "van_elteren", "all", ""] < 0.01
    agreement = rating_agreement(rows)
    kappa = agreement[(agreement["score"] == "quality") & (agreement["measure"] == "kappa_quadratic")]
    within = kappa[kappa["kind"] == "within"].set_index("reader_1")
    assert within.loc["A", "value"] > within.loc["B", "value"] > within.loc["C", "high"]
    between = kappa[kappa["kind"] == "between"].set_index(["reader_1", "reader_2"])
    assert between.loc[("A", "B"), "low"] > 0.5 > between.loc[("A", "C"), "high"]
    told = rating_discrimination(rows, ["gan", "ddpm", "lora"])
    told = told[told["score"] == "quality"].set_index(["reader", "generator"])
    assert told.loc[("A", "lora"), "low"] > told.loc[("A", "gan"), "high"] > told.loc[("A", "gan"), "low"] > 0.5
    assert told.loc[("C", "all"), "low"] < 0.5 < told.loc[("C", "all"), "high"]
