"""Variance components against simulated truths."""

import numpy as np
import pandas as pd
import pytest

from synthworth.statistics.components import COLUMNS, nested_components, variance_components
from synthworth.statistics.predictions import LEVELS, Predictions


@pytest.mark.parametrize("balanced", [True, False])
def test_estimates_are_unbiased(balanced):
    generator = np.random.default_rng(1)
    sizes = [[3, 3], [3, 3], [3, 3]] if balanced else [[5, 1], [2, 2, 2], [4]]
    levels = pd.DataFrame(
        [(a, b, c) for a, draws in enumerate(sizes) for b, count in enumerate(draws) for c in range(count)],
        columns=["generator_seed", "draw", "seed"],
    )
    truth = np.array([0.5, 2.0, 1.0])
    columns = 20_000
    values = np.zeros((len(levels), columns))
    for depth in range(3):
        unit = levels.groupby(list(levels.columns[: depth + 1])).ngroup().to_numpy()
        values += np.sqrt(truth[depth]) * generator.normal(size=(unit.max() + 1, columns))[unit]
    estimates, degrees, in_mean = nested_components(values, levels)
    chance = estimates.std(axis=1) / np.sqrt(columns)
    assert (np.abs(estimates.mean(axis=1) - truth) < 4 * chance).all()
    assert degrees.tolist() == ([2, 3, 12] if balanced else [2, 3, 10])
    assert values.mean(axis=0).var() == pytest.approx(in_mean @ truth, rel=0.05)


def test_balanced_estimates_are_those_of_the_textbook():
    values = np.random.default_rng(2).normal(size=(12, 1))
    levels = pd.DataFrame([(a, b) for a in range(3) for b in range(4)], columns=["draw", "seed"])
    groups = values.reshape(3, 4)
    within = groups.var(axis=1, ddof=1).mean()
    estimates, _, _ = nested_components(values, levels)
    np.testing.assert_allclose(estimates[:, 0], [groups.mean(axis=1).var(ddof=1) - within / 4, within])


def mixed(generator, arms, shape, shares, images=100, recall=0.8):
    """Runs that copy, image by image, what holds in the whole arm, in the generator, or nothing, by given `shares`.

    The accuracy of each then has the variance recall (1 - recall) / images, of which patients bring the first share
    squared, generators the second, seeds the rest.
    """
    names, correct = [], []
    for arm in range(arms):
        base = generator.random(images) < recall
        for model in range(shape[0]):
            own = generator.random(images) < recall
            for seed in range(shape[1]):
                kind = generator.choice(3, p=[*shares, 1 - sum(shares)], size=images)
                correct.append(np.choose(kind, [base, own, generator.random(images) < recall]))
                names.append(("a", f"gan+{arm}", "gan", arm, 1, model, 1, seed))
    runs = pd.DataFrame(names, columns=["classifier", "arm", "generator", "dose", *LEVELS])
    truth = np.arange(images) % 2
    probabilities = np.eye(2)[np.where(correct, truth, 1 - truth)]
    return Predictions(runs, ("x", "y"), truth, np.arange(images), probabilities)


def test_components_of_simulated_runs_are_the_true_ones():
    frame = variance_components(mixed(np.random.default_rng(3), 100, (2, 3), (0.6, 0.3)), "accuracy")
    assert list(frame.columns) == COLUMNS
    whole = frame[frame["arm"] == "all"].set_index("component")
    each = frame[frame["arm"] != "all"].groupby("component")["variance"]
    unit = 10_000 * 0.8 * 0.2 / 100
    expected = {"generator_seed": 0.3**2, "seed": 1 - 0.6**2 - 0.3**2, "patients": 0.6**2}
    expected["patients_x_training"] = 1 - 0.6**2
    for component, share in expected.items():
        # Taken from the cells themselves: the chance of their mean.
        chance = each.std()[component] / np.sqrt(100)
        assert whole.loc[component, "variance"] == pytest.approx(share * unit, abs=3.5 * chance), component
    assert whole.loc["seed", "standard_deviation"] == pytest.approx(np.sqrt(whole.loc["seed", "variance"]))
    assert whole.loc["generator_seed", "remark"] == "includes draw"
    assert whole.loc["generator_seed", ["degrees", "n_cells"]].tolist() == [100, 100]


def test_what_cannot_be_estimated_is_empty_and_says_why():
    generator = np.random.default_rng(4)
    frame = variance_components(mixed(generator, 2, (1, 4), (0.6, 0.0)), "accuracy")
    rows = frame[frame["arm"] == "gan+0"].set_index("component")
    assert rows.loc[["repeat", "generator_seed", "draw"], "variance"].isna().all()
    assert rows.loc["generator_seed", "remark"] == "not estimable: one generator seed"
    assert rows.loc["seed", "degrees"] == 3
    assert frame.loc[frame["variance"].isna(), "remark"].str.startswith("not estimable").all()
    single = variance_components(mixed(generator, 1, (1, 1), (0.6, 0.0)), "accuracy")
    rows = single[single["arm"] == "gan+0"].set_index("component")
    assert rows.loc["patients_x_training", "remark"] == "not estimable: one run"
    assert rows.loc["patients", "remark"] == "includes patients_x_training"
    assert rows.loc["patients", "variance"] > 0
    assert rows.loc["patients", "degrees"] == 99


def test_negative_estimates_are_shown_as_0_and_said():
    frame = variance_components(mixed(np.random.default_rng(5), 30, (2, 3), (0.9, 0.0)), "accuracy")
    negative = frame["remark"].str.contains("negative, shown as 0")
    assert negative.any()
    assert (frame.loc[negative, ["variance", "standard_deviation"]] == 0).all(axis=None)
    # Their mean is taken before: zeros in place of negative ones would make it too large.
    models = frame[(frame["component"] == "generator_seed") & (frame["arm"] != "all")]["variance"]
    assert (
        frame.loc[(frame["component"] == "generator_seed") & (frame["arm"] == "all"), "variance"].item() < models.mean()
    )
