"""Which runs are independent: generators trained anew, else draws, else trainings of the classifier."""

import numpy as np
import pandas as pd
import pytest

from synthworth.errors import StudyError
from synthworth.statistics.comparisons import block_means, compare_arms
from synthworth.statistics.grid import build_grid
from synthworth.statistics.predictions import LEVELS, Predictions, full_name
from synthworth.statistics.variance import seed_noise


def named(*runs):
    """Runs of (classifier, arm, generator_seed, draw, seed); an arm is `<generator>+<dose>`."""
    rows = []
    for classifier, arm, *levels in runs:
        generator, _, dose = arm.partition("+")
        name = {"classifier": classifier, "arm": arm, "generator": generator, "dose": int(dose or 0)}
        rows.append(full_name(name | dict(zip(LEVELS[1:], levels, strict=True))))
    return pd.DataFrame(rows)


def seeds(classifier, arm, count=3):
    return [(classifier, arm, 1, 1, seed) for seed in range(1, count + 1)]


def replicates(grid, values):
    """The replicates' values of each block."""
    means = grid.averages @ np.array(values, float)
    return [means[grid.block_of_replicate == block].tolist() for block in range(len(grid.pools))]


def test_runs_of_one_generator_are_averaged_first_however_many_they_are():
    runs = named(
        *seeds("a", "baseline"), ("a", "gan+9", 1, 1, 1), ("a", "gan+9", 1, 1, 2), ("a", "gan+9", 1, 1, 3),
        ("a", "gan+9", 2, 1, 1),
    )  # fmt: skip
    grid = build_grid(runs, "baseline")
    values = [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9]
    np.testing.assert_allclose(replicates(grid, values)[0], [0.6, 0.9])
    np.testing.assert_allclose(replicates(grid, values)[1], [0.1, 0.2, 0.3])
    effect = grid.weights @ block_means(grid.averages @ np.array(values), grid.block_of_replicate)
    np.testing.assert_allclose(effect, 0.75 - 0.2)
    row = grid.rows.iloc[0]
    assert (row["n_repeats"], row["n_seeds"], row["n_generator_seeds"], row["n_draws"]) == (1, 3, 2, 1)


def test_draws_are_averaged_within_generators_and_are_replicates_without_them():
    both = [("a", "gan+9", *levels) for levels in [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)]]
    grid = build_grid(named(*seeds("a", "baseline"), *both), "baseline")
    np.testing.assert_allclose(replicates(grid, [0, 0, 0, 0.2, 0.4, 0.7, 1])[0], [(0.3 + 0.7) / 2, 1])
    grid = build_grid(named(*seeds("a", "baseline"), *both[:3]), "baseline")
    np.testing.assert_allclose(replicates(grid, [0, 0, 0, 0.2, 0.4, 0.7])[0], [0.3, 0.7])
    assert grid.rows.loc[0, "n_draws"] == 2


def test_classifiers_and_doses_share_their_generators_but_not_their_trainings():
    arms = [
        (name, arm, model, 1, seed)
        for name in "ab"
        for arm in ("gan+9", "gan+99")
        for model in (1, 2)
        for seed in (1, 2)
    ]
    grid = build_grid(named(*seeds("a", "baseline"), *seeds("b", "baseline"), *arms), "baseline")
    # Pooled arms are one block each, whose two replicates are means over both classifiers; baselines two of three.
    used = np.flatnonzero(grid.weights[0])
    assert [len(replicates(grid, np.zeros(22))[block]) for block in used] == [2, 3, 3]
    np.testing.assert_allclose(grid.weights[0][used], [1, -0.5, -0.5])
    values = np.arange(22.0)
    np.testing.assert_allclose(replicates(grid, values)[used[0]], [(6.5 + 14.5) / 2, (8.5 + 16.5) / 2])
    gan = [block for block in range(len(grid.sources)) if len(replicates(grid, np.zeros(22))[block]) == 2]
    assert len(set(grid.sources[gan])) == 1
    assert len(set(grid.sources)) == len(grid.sources) - len(gan) + 1
    assert not set(grid.pools[gan]) & set(np.delete(grid.pools, gan))


def test_classifiers_of_other_generators_are_not_averaged():
    runs = named(
        *seeds("a", "baseline"), *seeds("b", "baseline"),
        ("a", "gan+9", 1, 1, 1), ("a", "gan+9", 2, 1, 1), ("b", "gan+9", 1, 1, 1), ("b", "gan+9", 3, 1, 1),
    )  # fmt: skip
    with pytest.raises(StudyError, match="other generator seeds") as raised:
        build_grid(runs, "baseline")
    assert "b: generator seed 1, 3" in raised.value.problems[1]


def test_blocks_of_one_source_count_once():
    generator = np.random.default_rng(1)
    blocks = np.repeat(np.arange(20), 2)
    influences = generator.normal(size=(40, 300)) / 300
    luck = 0.1 * np.tile(generator.normal(size=(4, 1, 2)), (1, 5, 1)).ravel()
    values = influences.sum(axis=1) + luck
    noise = seed_noise(values, influences, blocks, sources=np.repeat(np.arange(4), 5))
    assert len(set(noise.inflation.round(9))) <= 4
    assert noise.degrees.max() <= 4
    assert seed_noise(values, influences, blocks).degrees.max() > 4


def test_a_baseline_of_one_seed_leaves_chance_unknown_whatever_the_arm_has():
    generator = np.random.default_rng(2)
    runs = named(*seeds("a", "baseline", 1), ("a", "gan+9", 1, 1, 1), ("a", "gan+9", 2, 1, 1))
    truth = np.arange(60) % 2
    right = generator.random((3, 60)) < 0.8
    probabilities = np.eye(2)[np.where(right, truth, 1 - truth)]
    rows = compare_arms(Predictions(runs, ("x", "y"), truth, np.arange(60), probabilities), "baseline", replicates=20)
    assert rows["standard_error"].isna().all()
    assert set(rows["verdict"]) == {"no evidence"}
