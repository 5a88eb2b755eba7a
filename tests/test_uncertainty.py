import tracemalloc

import numpy as np
import pytest
from scipy import stats

from synthworth.errors import StudyError
from synthworth.fidelity import fid, kid, prdc
from synthworth.fidelity.uncertainty import RANGES, floor, interval


def features(n, d=16, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def mean(x):
    return x[:, 0].mean()


def difference(x, y):
    return y[:, 0].mean() - x[:, 0].mean()


def alike(x):
    """The mean over pairs, as MS-SSIM is one, from all pairs made once."""
    values = np.exp(-((x[:, None] - x) ** 2).mean(axis=-1))
    np.fill_diagonal(values, 0)
    return lambda rows: values[np.ix_(rows, rows)].sum() / (len(rows) * (len(rows) - 1))


def judged(function, synthetic, reference=None, scales=("real",), confidence=0.95, replicates=40, seed=0, **options):
    return interval(
        function,
        synthetic,
        reference,
        scales=scales,
        confidence=confidence,
        replicates=replicates,
        seed=seed,
        **options,
    )


@pytest.mark.parametrize("n", [3, 9])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_mean_of_few_images_has_students_interval(n, confidence):
    x = features(n)
    expected = stats.t.interval(confidence, n - 1, x[:, 0].mean(), stats.sem(x[:, 0]))
    np.testing.assert_allclose(judged(mean, x, confidence=confidence), [expected])


def test_a_mean_of_many_images_has_students_interval_up_to_chance():
    x = features(103)
    expected = stats.t.interval(0.95, 102, x[:, 0].mean(), stats.sem(x[:, 0]))
    np.testing.assert_allclose(judged(mean, x, replicates=1000)[0], expected, atol=0.1 * stats.sem(x[:, 0]))


def test_both_sets_add_their_variance_each_by_its_own_size():
    x, y = features(9), 3 * features(4, seed=1)
    reach = stats.t.ppf(0.975, 3) * np.hypot(stats.sem(x[:, 0]), stats.sem(y[:, 0]))
    np.testing.assert_allclose(judged(difference, y, x), [difference(x, y) + np.array([-reach, reach])])


def test_nothing_is_drawn_twice_and_a_fifth_is_left_out_of_one_set_at_a_time():
    x, y = features(23), features(40, seed=1)
    sizes = set()

    def watched(a, b):
        assert len(np.unique(a[:, 0])) == len(a)
        assert len(np.unique(b[:, 0])) == len(b)
        sizes.add((len(a), len(b)))
        return difference(a, b)

    judged(watched, y, x)
    assert sizes == {(23, 40), (19, 40), (23, 32)}


@pytest.mark.parametrize("n", [20, 50])
def test_intervals_cover_what_other_images_score(n):
    """Of Gaussians, the share of intervals about a sample's value that hold the mean value of samples of that size."""
    rng = np.random.default_rng(n)

    def draw():
        return rng.normal(size=(n, 16)), 0.8 * rng.normal(size=(n, 16)) + 0.4

    metrics = {
        "fid": (fid.fid, None, ("positive",)),
        "kid": (kid.kid, kid.on_subsets, kid.SCALES),
        "prdc": (prdc.prdc, prdc.on_subsets, prdc.SCALES),
        "pairs": (lambda _, y: alike(y)(np.arange(n)), lambda _, y: lambda _, rows: alike(y)(rows), ("unit",)),
    }
    for name, (function, prepare, scales) in metrics.items():
        values = [np.atleast_1d(function(*draw())) for _ in range(150)]
        expected, spread = np.mean(values, axis=0), np.std(values, axis=0)
        held, width = 0, 0
        for sample in range(40):
            x, y = draw()
            low, high = judged(function, y, x, scales, replicates=20, seed=sample, prepare=prepare).T
            held = held + ((low <= expected) & (expected <= high))
            width = width + (high - low) / 40
        assert (held >= 0.85 * 40).all(), (name, held)
        # Normal ones are 4 wide; shares near 1 need more.
        assert (width < 7 * spread).all(), (name, width / spread)


def test_of_fid_the_bootstraps_interval_does_not_hold_what_the_jackknifes_does():
    rng = np.random.default_rng(0)

    def draw():
        return rng.normal(size=(50, 64)), 0.8 * rng.normal(size=(50, 64)) + 0.4

    expected = np.mean([fid.fid(*draw()) for _ in range(100)])
    held = {"jackknife": 0, "bootstrap": 0}
    for sample in range(20):
        x, y = draw()
        low, high = judged(fid.fid, y, x, ("positive",), replicates=20, seed=sample, prepare=fid.on_subsets)[0]
        held["jackknife"] += low <= expected <= high
        of_rows = fid.on_subsets(x, y)
        again = [of_rows(rng.integers(50, size=50), rng.integers(50, size=50)) for _ in range(60)]
        low, high = np.quantile(again, [0.025, 0.975])
        held["bootstrap"] += low <= expected <= high
    assert held["jackknife"] >= 17
    assert held["bootstrap"] <= 1


def test_shares_have_a_width_at_their_ends_and_stay_inside():
    n, square = 30, stats.t.ppf(0.975, 29) ** 2
    everyone = judged(lambda x: 1.0, features(n), scales=("share",))
    np.testing.assert_allclose(everyone, [[n / (n + square), 1]])
    np.testing.assert_allclose(judged(lambda x: 0.0, features(n), scales=("share",)), 1 - everyone[:, ::-1])
    np.testing.assert_allclose(judged(lambda x: 0.0, features(n), scales=("rate",)), 1 - everyone[:, ::-1])
    nearly = judged(lambda x: 0.3 + 1e-9 * mean(x), features(n), scales=("share",))[0]
    exact = stats.binomtest(9, n).proportion_ci(0.95, "wilson")
    assert np.diff(nearly) == pytest.approx(np.diff(exact), rel=0.06)
    hits = np.arange(n)[:, None] < 9
    wilson = stats.binomtest(9, n).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(judged(mean, hits, scales=("share",), replicates=500)[0], wilson, atol=0.02)


@pytest.mark.parametrize("scale", RANGES)
def test_intervals_stay_in_the_range_of_their_scale(scale):
    low, high = RANGES[scale]
    noise = features(6)
    for centre in (low, high, 0.5 if high == 1 else 1.0):
        if np.isfinite(centre):
            found = judged(lambda x, c=centre: float(np.clip(c + 3 * mean(x), low, high)), noise, scales=(scale,))[0]
            assert low <= found[0] <= found[1] <= min(high, 6 if scale == "number" else np.inf)


def test_numbers_are_judged_by_their_logarithm():
    x = features(8)
    found = judged(lambda x: np.exp(mean(x)), x + 1, scales=("number",))
    np.testing.assert_allclose(np.log(found), judged(mean, x + 1))


def test_too_few_images_have_no_interval():
    x, y = features(6), features(6, seed=1)
    assert np.isnan(judged(prdc.prdc, y, x, prdc.SCALES)).all()
    assert np.isnan(judged(kid.kid, y[:2], x)).all()
    assert np.isnan(judged(mean, y[:1], scales=("number",))).all()
    assert np.isfinite(judged(mean, y[:2], scales=("number",))).all()


def test_sets_that_a_metric_is_not_defined_on_are_an_error():
    with pytest.raises(StudyError, match="not finite"):
        judged(kid.kid, np.full((9, 16), np.nan), features(9))
    with pytest.raises(StudyError, match="0 image"):
        judged(kid.kid, features(0), features(9), prepare=kid.on_subsets)


def test_prepared_metrics_have_the_same_intervals():
    x, y = features(23), features(17, seed=1, shift=0.3)
    for module in (kid, prdc):
        function = getattr(module, module.__name__.rpartition(".")[2])
        plain = judged(function, y, x, module.SCALES)
        np.testing.assert_allclose(judged(function, y, x, module.SCALES, prepare=module.on_subsets), plain, rtol=1e-9)


def test_the_seed_decides():
    x = features(40)
    np.testing.assert_array_equal(judged(mean, x), judged(mean, x))
    assert (judged(mean, x) != judged(mean, x, seed=1)).any()


def test_images_of_a_patient_are_left_out_together():
    x, y = features(8), features(30, seed=1)
    thrice, patients = np.repeat(x, 3, axis=0), np.repeat(np.arange(8) + 100, 3)
    single = judged(difference, y, x, replicates=500)
    np.testing.assert_allclose(judged(difference, y, thrice, replicates=500, patients=patients), single, rtol=1e-9)
    assert np.diff(judged(difference, y, thrice)) < 0.8 * np.diff(single)


def between(real, n, m, **options):
    keywords = {"has_reference": True, "replicates": 30, "seed": 0} | options
    return floor(difference, real, n, m, **keywords)


def test_floor_is_a_matter_of_the_seed():
    real = features(60)
    np.testing.assert_array_equal(between(real, 20, 20).values, between(real, 20, 20).values)
    assert (between(real, 20, 20).values != between(real, 20, 20, seed=1).values).any()


def test_floor_parts_are_disjoint_and_as_large_as_asked():
    seen = []

    def watched(x, y):
        seen.append((len(x), len(y)))
        assert not np.isin(x[:, 0], y[:, 0]).any()
        return difference(x, y), 0.0

    found = floor(watched, features(60), 20, 30, has_reference=True, replicates=30, seed=0)
    assert set(seen) == {(30, 20)}
    assert (found.n_synthetic, found.n_reference) == (20, 30)
    assert found.values.shape == (30, 2)
    assert found.median[0] == np.median(found.values[:, 0])
    assert found.upper[0] == np.quantile(found.values[:, 0], 0.95)
    assert np.unique(found.values[:, 0]).size == 30


@pytest.mark.parametrize(
    ("pool", "n", "m", "used"), [(58, 50, 50, (29, 29)), (100, 50, 150, (25, 75)), (7, 4, 3, (4, 3))]
)
def test_floor_of_a_small_pool_keeps_the_ratio(pool, n, m, used):
    found = between(features(pool), n, m)
    assert (found.n_synthetic, found.n_reference) == used


def test_floor_is_what_two_samples_of_one_distribution_score():
    n = 20
    fresh = [fid.fid(features(n, seed=2 * s), features(n, seed=2 * s + 1)) for s in range(400)]
    found = floor(fid.fid, features(3000, seed=999), n, n, has_reference=True, replicates=200, seed=0)
    assert found.median[0] == pytest.approx(np.median(fresh), rel=0.04)
    assert found.upper[0] == pytest.approx(np.quantile(fresh, 0.95), rel=0.05)
    assert fid.fid(features(n), features(n, seed=1, shift=1.0)) > found.upper[0]


def test_floor_without_reference_is_of_one_part():
    found = floor(mean, features(50), 20, 0, has_reference=False, replicates=30, seed=0)
    assert (found.n_synthetic, found.n_reference) == (20, 0)
    assert found.values.std() > 0
    everything = floor(mean, features(10), 20, 0, has_reference=False, replicates=3, seed=0)
    assert everything.n_synthetic == 10
    np.testing.assert_allclose(everything.values[:, 0], mean(features(10)))


def test_floor_has_no_patient_on_both_sides():
    patients = np.repeat(np.arange(30), np.tile([1, 1, 4], 10))
    real = np.stack([patients, np.arange(60)], axis=1).astype(float)

    def watched(x, y):
        assert not np.isin(x[:, 0], y[:, 0]).any()
        assert (len(y), len(x)) == (28, 28)
        return difference(x, y)

    found = floor(watched, real, 50, 50, has_reference=True, replicates=100, seed=0, patients=patients)
    assert (found.n_synthetic, found.n_reference) == (28, 28)


def test_prepared_floors_are_equal():
    real = features(40)
    plain = floor(kid.kid, real, 15, 20, has_reference=True, replicates=10, seed=0)
    prepared = floor(kid.kid, real, 15, 20, has_reference=True, replicates=10, seed=0, prepare=kid.on_subsets)
    np.testing.assert_allclose(prepared.values, plain.values, rtol=1e-9)


@pytest.mark.parametrize(("metric", "copies"), [(fid, 1), (kid, 0), (prdc, 0)])
def test_pairs_within_one_set_are_made_once(metric, copies):
    x = features(400, d=400)
    rows, others = np.arange(0, 400, 2), np.arange(1, 400, 2)
    tracemalloc.start()
    of_rows = metric.on_subsets(x, x)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # One matrix of 400 x 400, and of the features, which are as large, as many copies as the metric needs later.
    assert held < (copies + 1.2) * x.nbytes
    np.testing.assert_allclose(of_rows(rows, others), metric.on_subsets(x, x.copy())(rows, others), rtol=1e-9)


def test_floor_of_too_few_real_images_is_an_error():
    with pytest.raises(StudyError, match="at least 6"):
        floor(prdc.prdc, features(10), 50, 50, has_reference=True, replicates=3, seed=0)
    with pytest.raises(StudyError, match="0 image"):
        floor(kid.kid, features(0), 50, 50, has_reference=True, replicates=3, seed=0)


def test_floor_against_held_out_images_is_what_training_images_score():
    train, held_out = features(60), features(12, seed=1, shift=0.5)
    seen = []

    def watched(x, y):
        seen.append(len(y))
        np.testing.assert_array_equal(x, held_out)
        assert np.isin(y[:, 0], train[:, 0]).all()
        return difference(x, y)

    options = {"has_reference": True, "replicates": 50, "seed": 0, "held_out": held_out}
    found = floor(watched, train, 20, 12, **options)
    assert set(seen) == {20}
    assert (found.n_synthetic, found.n_reference) == (20, 12)
    assert found.median[0] == pytest.approx(difference(held_out, train), abs=0.1)
    assert np.unique(found.values).size == 50
    prepared = floor(kid.kid, train, 20, 12, **options, prepare=kid.on_subsets)
    np.testing.assert_allclose(prepared.values, floor(kid.kid, train, 20, 12, **options).values, rtol=1e-9)
    # Too few training images: as many as there are.
    assert floor(kid.kid, train[:8], 20, 12, **options).n_synthetic == 8
