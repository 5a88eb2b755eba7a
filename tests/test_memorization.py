from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.stats import betabinom, binomtest, norm
from scipy.stats import t as student

from synthworth.cells import read_scores
from synthworth.errors import StudyError
from synthworth.memorization.audit import Score, _duplicates, _set_score, audit
from synthworth.memorization.collecting import collect_audits
from synthworth.memorization.comparison import compare_real, compare_synthetic, compare_twins
from synthworth.memorization.nearest import PARTS, WITHOUT_COLUMNS, _parts, compare_features
from synthworth.memorization.outputs import read_reference, read_table, write_csv
from synthworth.memorization.plants import STRENGTHS, plant_copies
from synthworth.memorization.power import (
    SET_SCORES,
    SHARES,
    Power,
    Rate,
    SetPower,
    as_rows,
    calibrate,
    contrast,
    recall,
    recalls,
    set_powers,
)
from synthworth.memorization.scores import subset_weights
from synthworth.memorization.sets import ImageSet
from synthworth.memorization.summaries import FALSE_ALARMS
from synthworth.phantoms import draw_phantoms
from synthworth.resizing import resize
from synthworth.tables.audits import memorization

TRAIN, HELD_OUT, FRESH = slice(0, 60), slice(60, 100), slice(100, 130)
TRIALS = 60


def features_of(images):
    return resize(images, 8).reshape(len(images), -1).astype(float)


def as_set(pixels, **names):
    return ImageSet(features_of(pixels), pixels, **names)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """130 patients of one class, one image each: uint8 [130, 64, 64, 1]."""
    folder = tmp_path_factory.mktemp("phantoms")
    draw_phantoms(folder / "manifest.csv", folder / "images", {"viral": 130}, seed=0, size=64, images_per_patient=1.0)
    files = sorted((folder / "images").iterdir())
    return np.stack([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files])[..., None]


@pytest.fixture(scope="module")
def train(phantoms):
    names = [f"viral/{place}.png" for place in range(60)]
    return as_set(phantoms[TRAIN], names=names, patients=[f"P{place // 2:03d}" for place in range(60)])


@pytest.fixture(scope="module")
def held_out(phantoms):
    return as_set(phantoms[HELD_OUT], names=[f"h{place}" for place in range(40)])


@pytest.fixture(scope="module")
def reference(train, held_out):
    return compare_real(train, held_out, features_of, seed=0, sources=12)


@pytest.fixture(scope="module")
def judge(train, held_out, reference):
    """The audit of some images, and its scores by name."""

    def judge(pixels):
        found = audit(compare_synthetic(as_set(pixels), train, held_out, 0), reference, 0, trials=TRIALS)
        return found, {score.name: score for score in found.scores}

    return judge


def test_a_set_of_copies_is_caught_by_every_score(phantoms, train, judge):
    found, scores = judge(phantoms[TRAIN][:30])
    assert scores["flagged"].value == 1
    assert scores["auth_pct"].value == 0
    assert scores["c_t"].value < -5
    # Of 60 training images 39 are compared with the 39 held-out ones, the copied one or not.
    assert scores["gap"].value < -0.4
    assert all(scores[name].beyond_real for name in ("flagged", "auth_pct", "c_t", "gap"))
    assert scores["duplicates"].value == 0
    assert found.images["similar_patient"].tolist() == train.patients[:30]
    assert found.images["nearest_patient"].tolist() == train.patients[:30]
    assert found.images["nearest_image"].tolist() == train.names[:30]


def test_real_images_of_new_patients_are_not(phantoms, judge):
    _, scores = judge(phantoms[FRESH])
    assert not any(score.beyond_real for score in scores.values())
    assert scores["flagged"].value <= 1 / 30
    assert abs(scores["c_t"].value) < 3
    assert abs(scores["gap"].value) < 0.1
    for name in ("auth_pct", "gap"):
        assert scores[name].reference_low <= scores[name].value <= scores[name].reference_high


def test_images_of_nothing_are_not(judge):
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 1), dtype=np.uint8)
    found, scores = judge(noise)
    assert not found.images["flagged"].any()
    assert scores["auth_pct"].value == 100
    assert not scores["c_t"].beyond_real


def test_scores_follow_the_share_of_copies(phantoms, judge):
    curves = {name: [] for name in ("flagged", "auth_pct", "c_t", "gap")}
    copies = plant_copies(phantoms[TRAIN], seed=4, sources=20)[0][:20]
    for count in (0, 5, 10, 15, 20):
        _, scores = judge(np.concatenate([copies[:count], phantoms[FRESH][: 20 - count]]))
        for name, curve in curves.items():
            curve.append(scores[name].value)
    assert curves["flagged"] == sorted(curves["flagged"])
    assert curves["flagged"][-1] - curves["flagged"][0] > 0.9
    for name in ("auth_pct", "c_t", "gap"):
        assert curves[name] == sorted(curves[name], reverse=True)


def test_a_collapsed_generator_has_duplicates_but_no_copies(phantoms, judge):
    found, scores = judge(np.repeat(phantoms[FRESH][:1], 12, axis=0))
    assert scores["duplicates"].value == 1
    assert scores["duplicates"].beyond_real
    assert scores["duplicates"].reference < 0.1
    assert scores["flagged"].value == 0
    assert found.images["duplicate"].all()
    assert found.images["repeated"].tolist() == [False] + [True] * 11


def test_blurred_images_are_nearer_than_real_ones_and_no_copies(phantoms, tmp_path):
    def as_pixels(images):
        return images.reshape(len(images), -1).astype(float)

    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 0.8)[..., None] for image in phantoms[FRESH]])
    train, held_out, ours = (
        ImageSet(as_pixels(images), images) for images in (phantoms[TRAIN], phantoms[HELD_OUT], blurred)
    )
    reference = compare_real(train, held_out, as_pixels, seed=0, sources=12)
    summary = audit(compare_synthetic(ours, train, held_out, 0), reference, 0, trials=TRIALS).summary()
    beyond = summary.set_index("score")["beyond_real"]
    assert beyond[["flagged", "auth_pct", "c_t", "gap"]].tolist() == [False, True, True, False]
    write_csv(summary.assign(generator="gan", selected=True, **{"class": "viral"}), tmp_path / "audit.csv")
    collect_audits([str(tmp_path / "audit.csv")], str(tmp_path / "all.csv"))
    told = memorization(read_scores(tmp_path / "all.csv"), "baseline").frame.iloc[0]
    assert "; nearer than real; " in told["C_T"]
    assert not told.str.contains("copies").any()


def test_a_generator_less_varied_than_real_images_is_nearer_but_its_gap_is_theirs():
    beyond = dict.fromkeys(SET_SCORES, 0)
    patients = [str(place) for place in range(50)]
    for repeat in range(8):
        rng = np.random.default_rng(repeat)
        train, held_out, ours = rng.normal(size=(150, 32)), rng.normal(size=(50, 32)), 0.8 * rng.normal(size=(50, 32))
        ours = compare_features(ours, train, held_out, patients, 0).assign(repeated=False)
        real = compare_features(held_out, train, held_out, patients, 0, held_out_queries=True).assign(patient=patients)
        powers = set_powers(real, real, 50, seed=repeat, trials=40)
        for name in SET_SCORES:
            beyond[name] += _set_score(name, ours, real, powers[name], repeat, 2).beyond_real
    assert beyond["c_t"] == beyond["auth_pct"] == 8
    # Of 8 at 5 % each, more than 2 come once in 170 times.
    assert beyond["gap"] <= 2


def test_a_gaussian_fitted_to_the_training_images_overfits_and_is_no_copier(tmp_path):
    """Images are 32 waves, one patient each; the generator knows the mean and the covariance of their heights alone."""
    place = np.arange(64) / 64
    rows, columns, phases = np.random.default_rng(0).uniform([[1], [1], [0]], [[5], [5], [2 * np.pi]], (3, 32))
    waves = np.cos(
        2 * np.pi * (rows[:, None, None] * place[:, None] + columns[:, None, None] * place) + phases[:, None, None]
    )

    def drawn(heights):
        pixels = np.clip(127.5 + 10 * np.tensordot(heights, waves, 1), 0, 255).round().astype(np.uint8)[..., None]
        return ImageSet(heights, pixels)

    scores = []
    for study in range(4):
        rng = np.random.default_rng(study)
        train, held_out, noise = (rng.normal(size=(n, 32)) for n in (150, 50, 50))
        ours = train.mean(axis=0) + noise @ np.linalg.cholesky(np.cov(train.T)).T
        train, held_out = drawn(train), drawn(held_out)
        # What is planted says how much would have been found, and has no say in what is.
        reference = compare_real(train, held_out, lambda pixels: np.zeros((len(pixels), 32)), seed=study, sources=2)
        found = audit(compare_synthetic(drawn(ours), train, held_out, study), reference, study, trials=TRIALS)
        scores.append(found.summary().assign(generator=str(study), selected=True, **{"class": "viral"}))
    beyond = pd.concat(scores).groupby("score")["beyond_real"].sum()
    assert beyond["flagged"] == 0
    assert beyond["gap"] >= 2
    write_csv(pd.concat(scores), tmp_path / "audit.csv")
    collect_audits([str(tmp_path / "audit.csv")], str(tmp_path / "all.csv"))
    told = memorization(read_scores(tmp_path / "all.csv"), "baseline").frame
    assert told["Generalisation gap"].str.contains("; overfits").sum() >= 2
    assert not told.map(lambda text: "; copies" in text).any(axis=None)


def test_an_image_made_fifty_times_has_one_chance_to_be_like_a_training_image(phantoms, train, held_out, reference):
    fresh = compare_synthetic(as_set(phantoms[FRESH]), train, held_out, 0)
    repeated = fresh.loc[[0] * 50].assign(other_similarity=1.0, linked_similarity=[-1.0] + [1.0] * 49, similarity=1.0)
    found = audit(repeated.reset_index(drop=True), reference, 0, trials=TRIALS)
    flagged = found.scores[0]
    assert (flagged.value, flagged.n, flagged.n_different) == (1, 50, 1)
    assert flagged.p == pytest.approx(1 / 41)
    # A copier of many images is another matter.
    copies = repeated.assign(linked_similarity=np.tile([-1.0, 1.0], 25)).reset_index(drop=True)
    assert audit(copies, reference, 0, trials=TRIALS).scores[0].p < 1e-9


def test_a_generator_that_repeats_one_real_image_is_seldom_called_a_copier(phantoms, train, held_out, reference):
    fresh = compare_synthetic(as_set(phantoms[FRESH]), train, held_out, 0)
    beyond = dict.fromkeys(("flagged", *SET_SCORES), 0)
    for row in range(30):
        repeated = fresh.loc[[row] * 20].assign(other_similarity=1.0, linked_similarity=[-1.0] + [1.0] * 19)
        for score in audit(repeated.reset_index(drop=True), reference, 0, trials=20).scores[:-1]:
            beyond[score.name] += score.beyond_real
    # Of 30 at 5 % each, more than 4 come once in 150 times.
    assert max(beyond.values()) <= 4


def test_duplicates_among_real_images_are_all_that_a_part_of_them_holds(phantoms, train):
    """Three images alike and four more: of 4 drawn of the 7, by all 35 ways to draw."""
    pixels = np.concatenate([phantoms[[0, 0, 0]], phantoms[1:5]])
    twins = compare_twins(as_set(pixels, patients=["a", "a", *"bcdef"]))
    alike = {(row.image, row.other_image) for row in twins.itertuples() if row.other_similarity > 0.999}
    assert alike == {(a, b) for a in "012" for b in "012" if a != b}
    assert twins.groupby("image")["patient"].first().tolist() == ["a", "a", *"bcdef"]
    rates = [max(0, k if (k := len({0, 1, 2} & set(drawn))) > 1 else 0) / 4 for drawn in combinations(range(7), 4)]
    images = pd.DataFrame({"duplicate": [True, True, False, False], "repeated": [False, True, False, False]})
    alarm, power = calibrate(known([0.9, 0.99])), some_power(0.5)
    score = _duplicates(images, twins, alarm, power, seed=0, trials=4000)
    assert score.reference == pytest.approx(np.mean(rates), abs=0.015)
    # Of two pairs one, where 3.5 pairs of real images were seen, of which that share are.
    chance = betabinom(2, 3.5 * score.reference + 1, 3.5 * (1 - score.reference) + 1)
    assert score.p == pytest.approx(chance.sf(0))
    assert not score.beyond_real
    assert _duplicates(images.assign(duplicate=False), twins, alarm, power, seed=0, trials=10).p == 1
    # Of an odd number all are duplicates in one pair.
    three = pd.DataFrame({"duplicate": [True] * 3, "repeated": [False, True, True]})
    assert _duplicates(three, twins, alarm, power, seed=0, trials=10).p > 0


def test_power_is_measured_through_the_same_pipeline(train, held_out, reference, judge, phantoms):
    found, scores = judge(phantoms[FRESH])
    table = found.power[found.power["score"] == "flagged"].set_index(["perturbation", "strength"])
    copies, plants = plant_copies(train.pixels, seed=0, sources=12)
    alone = compare_synthetic(as_set(copies), train, held_out, 0)
    for (name, strength), own in plants.groupby(["perturbation", "strength"]):
        flagged = alone["similarity"][own.index] > found.alarm.threshold
        expected = binomtest(int(flagged.sum()), 12).proportion_ci(0.95, method="exact")
        row = table.loc[(name, strength)]
        assert row[["power", "low", "high", "n"]].tolist() == pytest.approx([flagged.mean(), *expected, 12])
    assert table.loc[("exact", 0), "power"] == table.loc[("flip", 0), "power"] == 1
    assert scores["flagged"].power.value == pytest.approx(table["power"].mean())
    mild = [(name, strengths[0]) for name, strengths in STRENGTHS.items()]
    assert table.loc[mild, "power"].min() > 0.8


def test_the_threshold_flags_no_held_out_image_beyond_its_rank(reference, judge, phantoms):
    found, scores = judge(phantoms[HELD_OUT])
    alarm = found.alarm
    assert found.images["similarity"].max() == alarm.threshold
    assert scores["flagged"].value == 0
    known = reference.of_kind("held_out")["similarity"]
    assert (known > alarm.threshold).sum() == alarm.own.rank - 1 == 0
    assert alarm.own.value == pytest.approx(1 / 41)


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (20, 1), (98, 1), (99, 1), (199, 2), (1000, 10)])
def test_the_false_alarm_rate_is_what_so_many_images_can_vouch_for(n, rank):
    scores = np.random.default_rng(n).uniform(size=n)
    alarm = calibrate(known(scores), rate=0.01)
    assert alarm.own == alarm.pooled
    assert alarm.own.value == pytest.approx(rank / (n + 1))
    assert (scores > alarm.threshold).sum() == rank - 1
    expected = binomtest(rank - 1, n).proportion_ci(0.95, method="exact")
    assert (alarm.own.low, alarm.own.high) == pytest.approx((expected.low, expected.high))
    assert calibrate(known(scores), rate=1).threshold == scores.min()


def test_the_rates_hold_for_new_images_of_each_class_and_of_all():
    """Two classes of which one's images are much more alike: its own rate must hold, and the common one on average."""
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(1500):
        alike, unlike = rng.normal(0.6, 0.05, 30), rng.normal(0.4, 0.1, 60)
        both = known(alike, [f"a{place}" for place in range(30)]), known(unlike)
        first, second = calibrate(both[0], [both[1]], 0.02), calibrate(both[1], [both[0]], 0.02)
        flagged = rng.normal(0.6, 0.05, 10) > first.threshold, rng.normal(0.4, 0.1, 20) > second.threshold
        alarms.append([flagged[0].mean(), flagged[1].mean(), np.concatenate(flagged).mean()])
        assert first.pooled.n == second.pooled.n == 90
    rates = np.mean(alarms, axis=0)
    assert rates[0] <= 1.1 * first.own.value
    assert rates[1] <= 1.1 * second.own.value
    assert rates[2] <= 1.1 * first.pooled.value
    # Not by flagging nothing.
    assert rates[0] > 0.5 * first.own.value


def test_images_of_a_patient_vouch_for_one_patient_together():
    """By the definition: of each threshold the rate, and the lowest that keeps to what is asked."""
    rng = np.random.default_rng(1)
    patients = np.repeat(list("abcdef"), [1, 5, 2, 2, 9, 3])
    scores = rng.uniform(size=len(patients)).round(2)
    for asked in (0.01, 0.2, 0.35, 0.6):
        alarm = calibrate(known(scores, patients), rate=asked)
        rates = {
            level: (1 + sum(np.mean(scores[patients == name] > level) for name in "abcdef")) / 7 for level in scores
        }
        fitting = [level for level, rate in rates.items() if rate <= asked] or [scores.max()]
        assert alarm.threshold == min(fitting)
        assert alarm.own.value == pytest.approx(rates[alarm.threshold])
        assert alarm.own.n == 6


def test_the_rate_holds_where_patients_have_many_images_all_alike():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(12), 8)
    rates = {"patients": [], "images": []}
    for _ in range(600):
        new, own = rng.normal(size=30), np.repeat(rng.normal(size=12), 8)
        for unit, found in rates.items():
            alarm = calibrate(known(own, patients if unit == "patients" else None), rate=0.1)
            found.append((new > alarm.threshold).mean())
    assert np.mean(rates["patients"]) == pytest.approx(1 / 13, abs=0.015)
    # Ninety-six images would promise less than one in ten, and not keep it by much: twelve patients are twelve.
    assert alarm.own.value == pytest.approx(9 / 97)
    alone = calibrate(known(own), rate=0.02).own.value
    assert alone < 0.02 < calibrate(known(own, patients), rate=0.02).own.value


def test_what_is_expected_of_flags_is_what_held_out_images_give(judge, phantoms):
    """Of n new images, those above the highest of 40: by simulation."""
    _, scores = judge(phantoms[FRESH])
    rng = np.random.default_rng(0)
    counts = (rng.uniform(size=(20000, 30)) > rng.uniform(size=(20000, 40)).max(axis=1)[:, None]).sum(axis=1)
    assert scores["flagged"].reference_high == pytest.approx(np.quantile(counts, 0.975) / 30, abs=1e-9)


def some_power(value):
    return Power(value, 0.4, 0.6, 10, "a planted copy", 1, 1, Rate(0.05, 0.01, 0.1, 40))


def known(scores, patients=None):
    return pd.DataFrame({"similarity": scores, "patient": range(len(scores)) if patients is None else patients})


def gaussian_rows(n, seed, train, held_out, held_out_queries=False):
    patients = [str(place) for place in range(len(held_out))]
    queries = held_out if held_out_queries else np.random.default_rng(seed).normal(size=(n, train.shape[1]))
    return compare_features(queries, train, held_out, patients, 0, held_out_queries)


@pytest.mark.parametrize("trials", [19, 50, 400])
def test_power_is_that_of_the_rule_by_which_a_set_is_beyond_real_ones(trials):
    rng = np.random.default_rng(1)
    train, held_out = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    real = gaussian_rows(0, 0, train, held_out, held_out_queries=True).assign(
        patient=[str(place) for place in range(20)]
    )
    for own in set_powers(real, gaussian_rows(9, 0, train, held_out), 9, seed=0, trials=trials).values():
        assert [own.p(value) <= 0.05 for value in own.null] == [value < own.critical for value in own.null]


def test_alarms_of_whole_sets_are_false_as_seldom_as_told_and_find_copies_as_often_as_told():
    alarms, hits, told = ({name: [] for name in ("auth_pct", "c_t", "gap")} for _ in range(3))
    for repeat in range(12):
        rng = np.random.default_rng([repeat, 1])
        train, held_out = rng.normal(size=(80, 6)), rng.normal(size=(80, 6))
        real = gaussian_rows(0, 0, train, held_out, held_out_queries=True)
        patients = [str(place) for place in range(80)]
        copies = compare_features(train + rng.normal(0, 0.1, train.shape), train, held_out, patients, 0)
        powers = set_powers(real.assign(patient=patients), copies, 40, seed=repeat, trials=60)
        fresh = gaussian_rows(40, [repeat, 2], train, held_out)
        mixed = pd.concat([fresh.head(32), copies.sample(8, random_state=repeat)])
        for name, own in powers.items():
            difference = contrast(name, as_rows(fresh), as_rows(real))
            alarms[name].append(difference < own.critical)
            assert (own.p(difference) <= 0.05) == (difference < own.critical)
            hits[name].append(contrast(name, as_rows(mixed), as_rows(real)) < own.critical)
            told[name].append(own.table.set_index("share")["power"][0.2])
    for name in alarms:
        assert np.mean(alarms[name]) <= 0.2
        assert np.mean(hits[name]) == pytest.approx(np.mean(told[name]), abs=0.3)
    assert np.mean(hits["gap"]) > 0.5


def clustered(patients, images_each, seed):
    """Held-out images of patients who differ in how far they are from the training images."""
    rng = np.random.default_rng(seed)
    distance = np.repeat(rng.gamma(9, size=patients), images_each) + 0.01 * rng.normal(size=patients * images_each)
    rows = pd.DataFrame({"distance": distance, "own_distance": 9.0, "to_train": distance, "to_held_out": 9.0})
    return rows.assign(cell=0, patient=np.repeat(np.arange(patients), images_each))


def test_held_out_images_are_drawn_patient_by_patient():
    real = clustered(8, 10, seed=0)
    alone = real.assign(patient=range(80))
    spreads, degrees = [], []
    for rows in (real, alone):
        own = set_powers(rows, real, 40, seed=0, trials=60)["gap"]
        spreads.append(own.null.std())
        degrees.append(own.degrees)
    assert spreads[0] > 1.5 * spreads[1]
    assert degrees == [7, 39]


def test_intervals_cover_what_other_images_and_other_held_out_patients_score():
    rng = np.random.default_rng(0)
    train, patients = rng.normal(size=(100, 64)), [str(place) for place in range(30)]
    values, ends = ({name: [] for name in SET_SCORES} for _ in range(2))
    for draw in range(100):
        held_out, synthetic = rng.normal(size=(30, 64)), 0.9 * rng.normal(size=(100, 64))
        ours = compare_features(synthetic, train, held_out, patients, 0)
        real = compare_features(held_out, train, held_out, patients, 0, held_out_queries=True)
        ours, held = ours.assign(repeated=False), real.assign(patient=patients)
        powers = set_powers(held, real, 100, seed=0, trials=2) if draw < 40 else {}
        for name, found in values.items():
            found.append(SET_SCORES[name](as_rows(ours), as_rows(real)))
            if draw < 40:
                score = _set_score(name, ours, held, powers[name], seed=draw, trials=20)
                ends[name].append((score.low, score.high))
    for name, found in values.items():
        low, high = np.transpose(ends[name])
        assert ((low <= np.mean(found)) & (np.mean(found) <= high)).mean() >= 0.8, name
        # Normal ones are 3.9 wide.
        assert np.mean(high - low) < 6 * np.std(found), name


def test_parts_of_held_out_patients_are_left_out_as_if_they_had_never_been_there():
    rng = np.random.default_rng(0)
    queries, train, held_out = (rng.normal(size=(n, 3)) for n in (5, 90, 60))
    patients = np.repeat([f"p{place}" for place in range(45)], [6] + [2] * 10 + [1] * 34)
    found = compare_features(queries, train, held_out, patients, seed=1)
    without = found.filter(WITHOUT_COLUMNS).to_numpy()
    assert without.shape == (5, PARTS)
    parts = _parts(np.unique(patients, return_inverse=True)[1], seed=1)
    dealt = np.unique(np.c_[parts, np.unique(patients, return_inverse=True)[1]], axis=0)
    assert len(dealt) == 45
    assert set(np.bincount(dealt[:, 0])) == {2, 3}
    size = 60 - np.bincount(parts).max()
    distances = np.sort(np.linalg.norm(queries[:, None] - held_out, axis=2))
    expected = [(row[: 60 - size + 1] * subset_weights(60, size, tail=0)).sum() for row in distances]
    np.testing.assert_allclose(found["to_held_out"], expected, rtol=1e-3)
    for part in range(PARTS):
        kept = held_out[parts != part]
        distances = np.sort(np.linalg.norm(queries[:, None] - kept, axis=2))
        weights = subset_weights(len(kept), size, tail=0)
        np.testing.assert_allclose(without[:, part], distances[:, : len(weights)] @ weights, rtol=1e-3)


def test_intervals_leave_out_patients_as_a_whole(reference, train, held_out, phantoms):
    comparison = compare_synthetic(as_set(phantoms[FRESH]), train, held_out, 0)
    # Eight patients of five images each, alike in their distances.
    order = reference.comparisons["distance"].where(reference.comparisons["kind"] == "held_out").rank(method="first")
    grouped = reference.comparisons.assign(patient=((order.fillna(0) - 1) // 5).astype(str))
    widths = []
    for comparisons in (reference.comparisons, grouped):
        summary = audit(comparison, replace(reference, comparisons=comparisons), 0, trials=20).summary()
        row = summary.set_index("score").loc["c_t"]
        widths.append(row["high"] - row["low"])
    assert widths[1] > 1.3 * widths[0]


def test_p_is_the_share_of_trials_and_past_them_a_tail():
    rng = np.random.default_rng(0)
    null = np.sort(rng.normal(size=99))
    own = SetPower(some_power(0.5), pd.DataFrame(), null, 0.0, 0.0, 0.0, degrees=19)
    assert own.p(null[4]) == pytest.approx(6 / 100)
    assert own.p(np.inf) == 1
    beyond = [own.p(null[0] - step) for step in (1e-9, 0.5, 2, 4)]
    assert beyond[0] == pytest.approx(1 / 100)
    assert beyond == sorted(beyond, reverse=True)
    # Far out it is the tail of Student's t with 19 degrees of freedom, not nothing.
    z = (null[0] - 4 - null.mean()) / null.std()
    assert norm.cdf(z) < beyond[-1] == pytest.approx(student.cdf(z, 19))
    same = replace(own, null=np.zeros(99))
    assert (same.p(0), same.p(-1)) == (1, 1 / 100)


def test_scores_that_never_differ_have_no_power():
    rows = pd.DataFrame(1.0, index=range(10), columns=["distance", "own_distance", "to_train", "to_held_out", "cell"])
    for own in set_powers(rows.assign(patient=range(10)), rows, 5, seed=0, trials=20).values():
        assert own.table["power"].tolist() == [0] * len(SHARES)
        assert (own.low, own.high) == (own.critical, own.critical) == (0, 0)


def test_a_copy_whose_features_are_of_another_is_told_by_both_patients(phantoms, train, held_out):
    swapped = ImageSet(train.features[[20]], phantoms[[4]])
    row = compare_synthetic(swapped, train, held_out, 0).iloc[0]
    assert (row["nearest_image"], row["nearest_patient"]) == ("viral/20.png", "P010")
    assert (row["similar_image"], row["similar_patient"]) == ("viral/4.png", "P002")


def test_power_of_whole_sets_grows_with_the_share_planted(judge, phantoms):
    found, scores = judge(phantoms[FRESH])
    for name in ("auth_pct", "c_t", "gap"):
        own = found.power[found.power["score"] == name]
        assert own["share"].tolist() == list(SHARES)
        assert (own["power"].diff().dropna() >= -0.05).all()
        assert scores[name].power.value == own.set_index("share")["power"][0.1]
        assert own["images"].tolist() == [30] * len(SHARES)
        assert own["copies"].tolist() == [1, 2, 3, 6, 15, 30]
        assert (scores[name].power.copies, scores[name].power.images) == (3, 30)
        # Of 60 trials without copies not more than 3 may raise the alarm.
        alarms = scores[name].power.false_alarms
        assert alarms.value <= 3 / 60
        expected = binomtest(round(60 * alarms.value), 60).proportion_ci(0.95, method="exact")
        assert (alarms.low, alarms.high, alarms.n) == pytest.approx((expected.low, expected.high, 60))
    assert found.power[found.power["score"] == "gap"]["power"].iloc[-1] > 0.9


def test_recall_is_told_with_the_false_alarm_rate_that_was_reached(judge, phantoms):
    found, _ = judge(phantoms[FRESH])
    summary, power = found.summary().set_index("score"), found.power.set_index("score")
    # Asked for was 1 in 100; 40 patients cannot vouch for less than 1 in 41.
    upper = binomtest(0, 40).proportion_ci(0.95, method="exact").high
    for row in (summary.loc["flagged"], power.loc["flagged"].iloc[0], power.loc["named"].iloc[0]):
        assert row[FALSE_ALARMS].tolist() == pytest.approx([1 / 41, 0, upper, 40])


def test_a_tenth_of_a_few_images_is_one_of_them():
    rows = clustered(8, 1, seed=0)
    own = set_powers(rows, rows, 6, seed=0, trials=20)["gap"]
    assert own.table["copies"].tolist() == [1, 1, 1, 1, 3, 6]
    assert (own.table["images"] == 6).all()
    assert (own.power.copies, own.power.images) == (1, 6)


def test_no_score_without_power_and_none_that_is_not_finite():
    power = some_power(0.5)
    numbers = {"value": 0.1, "low": 0.0, "high": 0.2, "n": 10, "n_different": 9, "reference": 0.0, "reference_low": 0.0}
    numbers |= {"reference_high": 0.1, "n_reference": 20, "p": 0.5}
    Score("flagged", **numbers, power=power)
    with pytest.raises(TypeError):
        Score("flagged", **numbers)
    with pytest.raises(TypeError, match="no measured power"):
        Score("flagged", **numbers, power=None)
    with pytest.raises(ValueError, match="not finite"):
        Score("flagged", **numbers | {"value": float("nan")}, power=power)
    with pytest.raises(ValueError, match="not finite"):
        Score("flagged", **numbers, power=replace(power, value=float("nan")))


def test_the_summary_has_a_whole_row_for_every_score(judge, phantoms):
    found, _ = judge(phantoms[FRESH])
    summary = found.summary()
    assert summary["score"].tolist() == ["flagged", "auth_pct", "c_t", "gap", "duplicates"]
    assert not summary.isna().any(axis=None)
    assert not found.images.isna().any(axis=None)
    assert not found.power.isna().any(axis=None)
    assert ((summary["low"] <= summary["value"]) & (summary["value"] <= summary["high"])).all()
    assert summary["power"].between(0, 1).all()


def test_one_synthetic_image_has_scores_with_the_intervals_of_one(phantoms, judge):
    found, scores = judge(phantoms[TRAIN][:1])
    assert scores["flagged"].value == 1
    assert scores["flagged"].low == pytest.approx(0.025)
    assert scores["duplicates"].value == 0
    assert found.images["other_image"].tolist() == [""]
    assert np.isfinite(found.summary().select_dtypes("number")).all(axis=None)


def test_identical_and_very_few_real_images_give_defined_values(phantoms):
    same = np.repeat(phantoms[:1], 3, axis=0)
    train, held_out = as_set(same), as_set(phantoms[60:62])
    reference = compare_real(train, held_out, features_of, 0)
    found = audit(compare_synthetic(as_set(same), train, held_out, 0), reference, 0, trials=20)
    assert found.alarm.own.value == pytest.approx(1 / 3)
    assert not found.summary().isna().any(axis=None)
    values = found.summary().set_index("score")["value"]
    assert values[["flagged", "auth_pct", "duplicates"]].tolist() == [1, 0, 1]
    # Copies among the held-out images themselves: nothing exceeds them, and the power says so.
    blind = audit(
        compare_synthetic(as_set(same), train, as_set(same), 0),
        compare_real(train, as_set(same), features_of, 0),
        0,
        trials=20,
    )
    assert {score.name: score for score in blind.scores}["flagged"].power.value < 0.1


def test_results_depend_on_neither_order_nor_the_clock(phantoms, train, held_out, reference):
    first = compare_synthetic(as_set(phantoms[FRESH]), train, held_out, 0)
    again = compare_synthetic(as_set(phantoms[FRESH][::-1]), train, held_out, 0).iloc[::-1].reset_index(drop=True)
    columns = ["nearest_image", "similar_image", "nearest_patient"]
    assert first[columns].equals(again[columns])
    np.testing.assert_allclose(first["distance"], again["distance"], rtol=1e-9)
    results = [audit(first, reference, 0, trials=20) for _ in range(2)]
    assert results[0].summary().equals(results[1].summary())
    again = compare_real(train, held_out, features_of, seed=0, sources=12)
    pd.testing.assert_frame_equal(again.comparisons, reference.comparisons)


def test_other_classes_make_the_common_rate_finer(reference, train, held_out, phantoms):
    comparison = compare_synthetic(as_set(phantoms[FRESH]), train, held_out, 0)
    held = reference.comparisons
    more = [replace(reference, comparisons=held.assign(patient=f"{place} " + held["patient"])) for place in range(2)]
    alone, together = (audit(comparison, reference, 0, others, trials=20).alarm for others in ([], more))
    assert together.own == alone.own
    assert together.pooled.n == 120
    assert together.pooled.value == pytest.approx(1 / 121)
    assert together.threshold >= alone.threshold


def bad(**changes):
    pixels = np.zeros((3, 16, 16, 1), np.uint8)
    return ImageSet(**{"features": np.eye(3), "pixels": pixels, "patients": ["a", "b", "c"]} | changes)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ({"train": bad(features=np.full((3, 3), np.nan))}, "training images: features of 3 of 3 images are not finite"),
        ({"synthetic": bad(features=np.eye(3)[:, :2])}, r"differ: 2 \(synthetic images\), 3 \(training images\)"),
        ({"synthetic": bad(features=np.zeros(3))}, r"synthetic images: features have shape \(3,\)"),
        ({"synthetic": bad(features=np.eye(3)[:2])}, "synthetic images: 3 images, but 2 features"),
        (
            {"train": bad(features=np.eye(3)[:1], pixels=np.zeros((1, 16, 16, 1), np.uint8), patients=["a"])},
            "at least 2",
        ),
        ({"held_out": bad(patients=["a"] * 3)}, "held-out images: all 3 of one patient"),
        ({"synthetic": bad(pixels=np.zeros((3, 16, 16, 1)))}, "float64"),
        ({"synthetic": bad(pixels=np.zeros((3, 4, 4, 1), np.uint8))}, "8 or more a side"),
        ({"synthetic": ImageSet(np.zeros((0, 3)), np.zeros((0, 16, 16, 1), np.uint8))}, "synthetic images: 0 image"),
        ({"held_out": bad(names=["a", "b"])}, "held-out images: 3 images, but 3 features, 2 names and 3 patients"),
    ],
)
def test_says_what_is_wrong_with_images(sets, problem):
    sets = {"synthetic": bad(), "train": bad(), "held_out": bad()} | sets
    with pytest.raises(StudyError, match=problem):
        compare_synthetic(**sets, seed=0)
    if "synthetic" not in problem:
        with pytest.raises(StudyError):
            compare_real(sets["train"], sets["held_out"], lambda images: sets["synthetic"].features[:, :2], seed=0)


def test_an_empty_comparison_is_an_error(reference, train, held_out, phantoms):
    comparison = compare_synthetic(as_set(phantoms[:1]), train, held_out, 0)
    with pytest.raises(StudyError, match="no synthetic images"):
        audit(comparison.head(0), reference, 0)


def test_files_hold_what_was_found(tmp_path, phantoms, held_out):
    names = ["NA", "007", "a,b.png", *(str(place) for place in range(9))]
    train = as_set(phantoms[:12], names=names, patients=["007", "NA", *names[2:]])
    synthetic = as_set(phantoms[[0, 1, 100]])
    paths = {name: tmp_path / f"{name}.csv" for name in ("comparisons", "twins", "synthetic")}
    reference = compare_real(train, held_out, features_of, 0, sources=3)
    comparison = compare_synthetic(synthetic, train, held_out, 0)
    for name, frame in (("comparisons", reference.comparisons), ("twins", reference.twins), ("synthetic", comparison)):
        write_csv(frame, paths[name])
    read = read_reference(paths["comparisons"], paths["twins"])
    pd.testing.assert_frame_equal(read.comparisons, reference.comparisons, check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(read.twins, reference.twins, check_exact=True, check_dtype=False)
    # An audit of what was read is that of what was written.
    found = audit(read_table(paths["synthetic"]), read, 0, [read], trials=20)
    pd.testing.assert_frame_equal(found.summary(), audit(comparison, reference, 0, [reference], trials=20).summary())
    # Classes of one file may have held-out sets of other sizes.
    few = compare_synthetic(synthetic, train, as_set(phantoms[100:106]), 0)
    write_csv(pd.concat([comparison.assign(label="a"), few.assign(label="b")]), paths["synthetic"])
    both = read_table(paths["synthetic"])
    for label, own in (("a", comparison), ("b", few)):
        again = both[both["label"] == label].drop(columns="label").reset_index(drop=True)
        expected = audit(own, reference, 0, trials=20).summary()
        pd.testing.assert_frame_equal(audit(again, reference, 0, trials=20).summary(), expected)
    write_csv(found.images, tmp_path / "images.csv")
    images = read_table(tmp_path / "images.csv")
    assert images["similar_image"].tolist()[:2] == ["NA", "007"]
    assert images["similar_patient"].tolist()[:2] == ["007", "NA"]
    assert images["flagged"].tolist()[:2] == [True, True]
    assert found.alarm_table()["n"].tolist() == [40, 40]


def test_recall_counts_sources_once():
    plants = pd.DataFrame(
        {
            "perturbation": ["exact", "flip"] * 4,
            "strength": 0.0,
            "source": np.repeat(["a", "b", "c", "d"], 2),
            "similarity": [1, 1, 1, 0.2, 1, 1, 1, 0.2],
            "similar_image": ["a", "b", "b", "b", "c", "c", "d", "d"],
        }
    )
    alarm = calibrate(known([0.3, 0.5]))
    power = recall(plants, alarm)
    assert (power.value, power.n) == (0.75, 4)
    expected = binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert (power.low, power.high) == pytest.approx((expected.low, expected.high))
    table = recalls(plants, alarm).set_index(["score", "perturbation"])["power"]
    assert table["flagged"].to_dict() == {"exact": 1.0, "flip": 0.5}
    assert table["named"].to_dict() == {"exact": 1.0, "flip": 0.25}


def test_the_audits_of_a_study_are_adjusted_together_over_the_chosen_checkpoints(tmp_path):
    rows = {"class": "NA", "selected": [True, False, True], "score": ["flagged", "flagged", "gap"]}
    paths = [tmp_path / f"{name}.csv" for name in ("0", "1")]
    for path, p in zip(paths, ([0.01, 1e-9, 0.3], [0.02, 0.5, 0.04]), strict=True):
        write_csv(pd.DataFrame({"generator": path.stem, **rows, "p": p, "beyond_real": False}), path)
    collect_audits([str(path) for path in paths], str(tmp_path / "all.csv"))
    found = read_scores(tmp_path / "all.csv")
    assert found["generator"].tolist() == ["0"] * 3 + ["1"] * 3
    assert found["class"].tolist() == ["NA"] * 6
    # Of 0.01, 0.02, 0.04 and 0.3: times four, three, two and one.
    assert found.loc[found["selected"], "p_adjusted"].tolist() == pytest.approx([0.04, 0.3, 0.06, 0.08])
    assert found.loc[~found["selected"], "p_adjusted"].isna().all()
    powers = [tmp_path / f"power{place}.csv" for place in range(2)]
    for path in powers:
        write_csv(pd.DataFrame({"class": ["NA"], "power": 0.1}), path)
    collect_audits([str(path) for path in powers], str(tmp_path / "power.csv"))
    assert read_table(tmp_path / "power.csv").columns.tolist() == ["class", "power"]


@pytest.fixture
def audit_levels(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return pytest.importorskip("audit_levels")


def test_scores_are_beyond_real_ones_at_the_level_told_and_the_gap_where_a_generator_overfits(audit_levels):
    real = audit_levels.beyond_real(audit_levels.Study(1.0), studies=100, trials=20)
    # At 7.5 % more than 14 of 100 come once in 130 times, none once in 2,400.
    assert all(1 <= found <= 14 for found in real.values()), real
    fitted = audit_levels.beyond_real(audit_levels.Study(None), studies=30, trials=20)
    # At 5 % more than 5 of 30 come once in 300 times.
    assert fitted["gap"] > 5
