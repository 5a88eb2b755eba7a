"""Statistics of the verdict: metrics against scikit-learn, intervals against simulated truth."""

import dataclasses
import json
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from synthworth.errors import StudyError
from synthworth.statistics.comparisons import COLUMNS, compare_arms, holm
from synthworth.statistics.components import variance_components
from synthworth.statistics.generators import compare_generators
from synthworth.statistics.influence import METRICS, values_and_influences
from synthworth.statistics.outputs import write_comparisons, write_generators, write_verdict
from synthworth.statistics.predictions import Predictions, align, read_predictions
from synthworth.statistics.variance import seed_noise
from synthworth.statistics.verdict import verdict
from synthworth.tables.effects import effects

CLASSES = ("bacterial", "covid", "healthy", "viral")


def simulated(
    generator,
    images=217,
    arms=6,
    classifiers=1,
    seeds=5,
    effects=(),
    skill=0.1,
    arm_and_patient=0.5,
    accuracy=0.78,
):
    """Predictions whose true recall is `accuracy` in every class, plus `effects` for the first arms.

    An image is classified right where a latent normal sum is positive: what is hard about its patient and itself,
    what the arm finds hard about the patient (`arm_and_patient`), the seed's skill and its whim on the image.
    """
    sizes = generator.choice([1, 2, 3], p=[0.8, 0.15, 0.05], size=images)
    patients = np.repeat(np.arange(images), sizes)[:images]
    count = patients[-1] + 1
    truth = np.concatenate([np.repeat(np.arange(4), 2), generator.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=count)])
    truth = truth[patients]
    wrong = (truth + generator.integers(1, 4, size=images)) % 4
    hard = 1.5 * generator.normal(size=count)[patients] + generator.normal(size=images)
    scale = np.sqrt(1.5**2 + 1 + arm_and_patient**2 + skill**2 + 0.6**2)
    shifts = [0.0, *effects, *[0.0] * (arms - len(effects))]
    runs, probabilities = [], []
    for classifier in range(classifiers):
        for arm, shift in enumerate(shifts):
            own = hard + arm_and_patient * generator.normal(size=count)[patients]
            for seed in range(seeds):
                whim = skill * generator.normal() + 0.6 * generator.normal(size=images)
                right = own + whim + scale * stats.norm.ppf(accuracy + shift) > 0
                name = f"generator+{arm}" if arm else "baseline"
                runs.append((f"classifier{classifier}", name, "generator" if arm else "baseline", arm, seed))
                probabilities.append(np.eye(4)[np.where(right, truth, wrong)])
    frame = pd.DataFrame(runs, columns=["classifier", "arm", "generator", "dose", "seed"])
    frame[["repeat", "generator_seed", "draw"]] = 1
    return Predictions(frame, CLASSES, truth, patients, np.array(probabilities))


def noisy(generator, images=90, runs=4):
    truth = generator.permutation(np.arange(images) % 4)
    probabilities = generator.dirichlet(np.ones(4), size=(runs, images)).round(2)
    probabilities[:, np.arange(images), truth] += 0.4
    return truth, np.sort(generator.integers(0, images // 2, size=images)), probabilities


def reference(metric, truth, probabilities, weight):
    called = probabilities.argmax(axis=1)
    if metric == "accuracy":
        return accuracy_score(truth, called, sample_weight=weight)
    if metric == "balanced_accuracy":
        return balanced_accuracy_score(truth, called, sample_weight=weight)
    if metric == "macro_f1":
        return f1_score(truth, called, average="macro", sample_weight=weight)
    return np.mean([roc_auc_score(truth == k, probabilities[:, k], sample_weight=weight) for k in range(4)])


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_metrics_are_those_of_scikit_learn_and_influences_their_derivatives_by_patient(metric):
    truth, patients, probabilities = noisy(np.random.default_rng(1))
    patients = np.unique(patients, return_inverse=True)[1]
    values, influences = values_and_influences(metric, truth, patients, probabilities)
    ones = np.ones(len(truth))
    np.testing.assert_allclose(values, [reference(metric, truth, run, ones) for run in probabilities], rtol=1e-12)
    assert influences.shape == (len(probabilities), patients.max() + 1)
    for patient in (0, 7, 20):
        step = ones + 1e-6 * (patients == patient)
        slope = [(reference(metric, truth, p, step) - v) / 1e-6 for p, v in zip(probabilities, values, strict=True)]
        # The factor sqrt(m / (m - 1)) differs by class; here 15 patients and more per class.
        np.testing.assert_allclose(influences[:, patient], slope, rtol=0.05, atol=2e-5)


def test_influences_of_accuracy_give_the_unbiased_variance_of_a_mean():
    truth, _, probabilities = noisy(np.random.default_rng(2))
    values, influences = values_and_influences("accuracy", truth, np.arange(len(truth)), probabilities)
    expected = values * (1 - values) / (len(truth) - 1)
    np.testing.assert_allclose((influences**2).sum(axis=1), expected, rtol=1e-12)


def test_clustered_patients_count_as_one():
    truth, _, probabilities = noisy(np.random.default_rng(3), images=60)
    values, once = values_and_influences("macro_auroc", truth, np.arange(60), probabilities)
    doubled = np.repeat(np.arange(60), 2)
    same, twice = values_and_influences("macro_auroc", truth[doubled], doubled, probabilities[:, doubled])
    np.testing.assert_allclose(same, values)
    np.testing.assert_allclose(twice, once)


def test_seed_noise_is_split_into_skill_and_patient_by_seed():
    generator = np.random.default_rng(4)
    cells = np.repeat(np.arange(200), 5)
    interaction = generator.normal(size=(1000, 300)) / 300
    interaction_only = seed_noise(interaction.sum(axis=1), interaction, cells)
    assert interaction_only.inflation.mean() == pytest.approx(1, abs=0.1)
    assert interaction_only.interaction.mean() == pytest.approx(1 / 300 / 5, rel=0.02)
    skilled = interaction.sum(axis=1) + 0.1 * generator.normal(size=1000)
    assert seed_noise(skilled, interaction, cells).skill.mean() == pytest.approx(0.1**2 / 5, rel=0.1)


def test_a_cell_of_wilder_seeds_keeps_its_own_noise():
    generator = np.random.default_rng(5)
    cells = np.repeat(np.arange(30), 5)
    interaction = generator.normal(size=(150, 200)) / 200
    values = interaction.sum(axis=1) + np.where(cells == 29, 0.6, 0) * generator.normal(size=150)
    inflation = seed_noise(values, interaction, cells).inflation
    assert inflation[29] > 5 * np.median(inflation)


def test_few_seeds_of_unequal_skill_do_not_mislead():
    generator = np.random.default_rng(7)
    covered, helps, studies = [], 0, 200
    for study in range(studies):
        predictions = simulated(generator, images=100, arms=3, seeds=2, skill=0.5)
        rows = compare_arms(predictions, "baseline", replicates=100, seed=study)
        rows = rows[rows["classifier"] == "all"]
        helps += (rows["verdict"] == "helps").any()
        covered.append(((rows["low"] <= 0) & (rows["high"] >= 0)).mean())
    assert np.mean(covered) >= 0.93 - 2.6 * np.std(covered) / np.sqrt(studies)
    assert helps <= stats.binom.ppf(0.99, studies, 0.05)


def test_an_effect_of_ten_points_is_found_and_its_interval_covers_it():
    generator = np.random.default_rng(8)
    found, covered, best, errors, studies = 0, 0, 0, [], 120
    for study in range(studies):
        rows = compare_arms(simulated(generator, effects=(0.1,)), "baseline", replicates=100, seed=study)
        row = rows[rows["classifier"] == "all"].iloc[0]
        found += row["verdict"] == "helps"
        covered += row["low"] <= 0.1 <= row["high"]
        best += verdict(rows)["best_arm"] == "generator+1"
        errors.append((row["effect"] - 0.1, row["standard_error"]))
    assert found >= 0.9 * studies
    assert best >= 0.9 * studies
    assert stats.binom.ppf(0.005, studies, 0.93) <= covered
    errors = np.array(errors)
    assert np.sqrt((errors[:, 1] ** 2).mean()) == pytest.approx(errors[:, 0].std(), rel=0.25)


@pytest.mark.parametrize(("effect", "word"), [(0.1, "helps"), (0.0, "no evidence"), (-0.1, "harms")])
def test_known_answers_are_given(effect, word):
    predictions = simulated(np.random.default_rng(21), images=500, arms=3, effects=[effect] * 3)
    rows = compare_arms(predictions, "baseline", replicates=100)
    assert verdict(rows)["verdict"] == word
    assert set(rows["verdict"]) == {word}


def test_equivalence_is_two_one_sided_tests():
    predictions = simulated(np.random.default_rng(22), images=300, arms=8, classifiers=2)
    rows = compare_arms(predictions, "baseline", margin=0.04, replicates=50)
    within = (rows["low"] > -0.04) & (rows["high"] < 0.04)
    assert within.any()
    assert not within.all()
    assert ((rows["p_equivalence"] < 0.025) == within).all()
    above = stats.t.sf((rows["effect"] + 0.04) / rows["standard_error"], rows["degrees"])
    below = stats.t.cdf((rows["effect"] - 0.04) / rows["standard_error"], rows["degrees"])
    np.testing.assert_allclose(rows["p_equivalence"], np.maximum(above, below))
    for family in (rows["classifier"] == "all", rows["classifier"] != "all"):
        expected = multipletests(rows.loc[family, "p_equivalence"], method="holm")[1]
        np.testing.assert_allclose(rows.loc[family, "p_equivalence_adjusted"], expected)
    without = compare_arms(predictions, "baseline", replicates=50)
    assert without[["margin", "p_equivalence", "p_equivalence_adjusted"]].isna().all(axis=None)
    assert verdict(without)["margin"] is None


def test_the_minimum_detectable_effect_is_found_four_times_in_five():
    generator = np.random.default_rng(9)
    simulation = {"images": 217, "arms": 1}
    rows = [compare_arms(simulated(generator, **simulation), "baseline", replicates=20).iloc[0] for _ in range(20)]
    effect = float(np.median([row["minimum_detectable_effect"] for row in rows]))
    predictions = (simulated(generator, effects=(effect,), **simulation) for _ in range(150))
    found = sum(compare_arms(one, "baseline", replicates=20).iloc[0]["verdict"] == "helps" for one in predictions)
    assert 0.68 <= found / 150 <= 0.92


def test_rows_columns_and_names_of_the_comparisons():
    generator = np.random.default_rng(10)
    predictions = simulated(generator, arms=2, classifiers=2, seeds=3)
    # Like the published grid: one arm for one classifier only.
    keep = ~((predictions.runs["arm"] == "generator+2") & (predictions.runs["classifier"] == "classifier1"))
    predictions = Predictions(
        predictions.runs[keep].reset_index(drop=True),
        CLASSES,
        predictions.truth,
        predictions.patients,
        predictions.probabilities[keep.to_numpy()],
    )
    rows = compare_arms(predictions, "baseline", "accuracy")
    assert list(rows.columns) == COLUMNS
    assert list(zip(rows["classifier"], rows["arm"], rows["n_classifiers"], strict=True)) == [
        ("all", "generator+1", 2),
        ("all", "generator+2", 1),
        ("classifier0", "generator+1", 1),
        ("classifier1", "generator+1", 1),
        ("classifier0", "generator+2", 1),
    ]
    accuracies = (predictions.probabilities.argmax(axis=2) == predictions.truth).mean(axis=1)
    means = pd.Series(accuracies).groupby([predictions.runs["classifier"], predictions.runs["arm"]]).mean()
    expected = means["classifier0"]["generator+2"] - means["classifier0"]["baseline"]
    assert rows.loc[1, "effect"] == pytest.approx(expected)
    assert rows.loc[0, "effect"] == pytest.approx(rows.loc[[2, 3], "effect"].mean())
    assert (rows["low_simultaneous"] <= rows["low"]).all()
    assert (rows["p_adjusted"] >= rows["p"]).all()
    assert set(rows["n_seeds"]) == {3}
    assert set(rows["n_images"]) == {217}
    pd.testing.assert_frame_equal(rows, compare_arms(predictions, "baseline", "accuracy"))


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(11).uniform(size=27) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("unknown", ["one seed", "one patient of a class", "all runs alike"])
def test_where_chance_cannot_be_known_there_is_no_evidence(unknown):
    generator = np.random.default_rng(12)
    predictions = simulated(generator, arms=2, seeds=1 if unknown == "one seed" else 3, effects=(0.2,))
    truth, probabilities = predictions.truth.copy(), predictions.probabilities
    if unknown == "one patient of a class":
        truth[truth == 3] = 0
        truth[-1] = 3
    elif unknown == "all runs alike":
        probabilities = np.repeat(probabilities[:1], len(probabilities), axis=0)
    predictions = Predictions(predictions.runs, CLASSES, truth, predictions.patients, probabilities)
    rows = compare_arms(predictions, "baseline", margin=0.02)
    assert set(rows["verdict"]) == {"no evidence"}
    unknowns = ["standard_error", "low", "high_simultaneous", "p", "p_adjusted", "minimum_detectable_effect"]
    unknowns += ["p_equivalence", "p_equivalence_adjusted"]
    assert rows[unknowns].isna().all(axis=None)
    answer = verdict(rows)
    assert answer["arms"]["generator+1"]["reason"] == "unknown"
    assert "cannot be known" in answer["answer"]
    json.dumps(answer, allow_nan=False)


def test_no_interval_reaches_beyond_what_a_difference_can_be():
    """Where but one of two seeds of the baseline does not predict one class, Student's t has one degree of freedom."""
    predictions = simulated(np.random.default_rng(13), arms=8, seeds=2)
    usual = compare_arms(predictions, "baseline", replicates=100)
    assert (usual["high_simultaneous"] < 1).all()
    assert "100:" not in " ".join(effects(usual, "baseline").remarks)
    probabilities = np.broadcast_to(np.eye(4)[0], predictions.probabilities.shape).copy()
    probabilities[1] = predictions.probabilities[1]
    rows = compare_arms(dataclasses.replace(predictions, probabilities=probabilities), "baseline", replicates=100)
    assert (rows["degrees"] < 1.5).all()
    assert (rows[["low_simultaneous", "high_simultaneous", "minimum_detectable_effect"]] == [-1, 1, 1]).all(axis=None)
    assert "100: not even the largest" in effects(rows, "baseline").remarks[-1]


@pytest.mark.parametrize("metric", METRICS)
def test_the_baseline_is_held_against_a_guess_without_a_look(metric):
    predictions = simulated(np.random.default_rng(14), arms=2)
    rows = compare_arms(predictions, "baseline", metric, replicates=50)
    frequent = np.bincount(predictions.truth).max() / 217
    f1 = 1 / 4
    guess = {"accuracy": frequent, "balanced_accuracy": 1 / 4, "macro_f1": f1, "macro_auroc": 0.5}[metric]
    assert rows["guess_score"].to_numpy() == pytest.approx(guess)
    own, _ = values_and_influences(metric, predictions.truth, predictions.patients, predictions.probabilities[:5])
    assert rows["baseline_score"].to_numpy() == pytest.approx(own.mean())
    assert (rows["p_guess"] < 1e-3).all()
    blind = np.random.default_rng(15).permuted(predictions.probabilities, axis=1)
    rows = compare_arms(dataclasses.replace(predictions, probabilities=blind), "baseline", metric, replicates=50)
    assert (rows["p_guess"] > 0.05).all()


def test_no_baseline_no_arm_or_an_unknown_metric_is_named():
    predictions = simulated(np.random.default_rng(13), images=40, arms=1, seeds=2)
    with pytest.raises(StudyError, match="baseline arm missing"):
        compare_arms(predictions, "missing")
    with pytest.raises(StudyError, match="Unknown metric kappa"):
        compare_arms(predictions, "baseline", "kappa")


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_auroc"])
def test_the_published_grid_takes_seconds(metric):
    predictions = simulated(np.random.default_rng(14), arms=27, classifiers=5)
    start = time.process_time()
    compare_arms(predictions, "baseline", metric, replicates=1000)
    assert time.process_time() - start < 20


def test_generators_are_compared_by_the_runs_of_the_arms_asked_for():
    arms = [("baseline", "baseline", 9), ("gan+100", "gan", 0.5), ("gan+250", "gan", 0.6), ("ddpm+100", "ddpm", 0.7)]
    runs = pd.DataFrame(
        [
            {"arm": arm, "generator": name, "metric": metric, "class": scope, "value": value + (scope == "viral")}
            for arm, name, value in [*arms, ("replace", "gan", 0.1)]
            for metric, scope in [("accuracy", "all"), ("accuracy", "viral"), ("macro_f1", "all")]
        ]
    )
    frame = compare_generators(runs, "accuracy", ["gan+100", "gan+250", "ddpm+100"])
    assert frame.loc[0, "statistic"] == stats.kruskal([0.5, 0.6], [0.7]).statistic
    assert frame.loc[0, "n_1"] == 3
    assert set(frame["metric"]) == {"accuracy"}
    everything = compare_generators(runs, "accuracy", ["gan+100", "gan+250", "ddpm+100", "replace"])
    assert everything.loc[0, "statistic"] != frame.loc[0, "statistic"]


def as_frame(predictions, run):
    frame = pd.DataFrame({"image": [f"{index:03}.png" for index in range(predictions.n_images)]})
    frame["patient"] = [f"p{patient}" for patient in predictions.patients]
    frame["class"] = np.array(CLASSES)[predictions.truth]
    return frame.join(pd.DataFrame(predictions.probabilities[run], columns=[f"p_{name}" for name in CLASSES]))


def test_from_prediction_files_to_verdict(tmp_path):
    generator = np.random.default_rng(16)
    predictions = simulated(generator, images=80, arms=2, seeds=2, effects=(0.1,))
    runs = predictions.runs.to_dict("records")
    for number, run in enumerate(runs):
        run["path"] = tmp_path / f"{number}.csv"
        as_frame(predictions, number).sample(frac=1, random_state=number).to_csv(run["path"], index=False)
    read = read_predictions(runs)
    np.testing.assert_array_equal(read.truth, predictions.truth)
    assert read.n_patients == predictions.n_patients
    paths = [run.pop("path") for run in runs]
    files = [tmp_path / "out" / name for name in ("comparisons.csv", "components.csv")]
    write_comparisons(paths, *files, names=runs, baseline="baseline", margin=0.02, replicates=50)
    rows, components = (pd.read_csv(file) for file in files)
    expected = compare_arms(predictions, "baseline", margin=0.02, replicates=50)
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False)
    expected = variance_components(predictions, "balanced_accuracy")
    pd.testing.assert_frame_equal(components.fillna({"remark": ""}), expected, check_dtype=False)
    sorts = {"outside": ["generator"], "other_regimes": ["generator+1"], "confounded": ["generator+2"]}
    write_verdict(files[0], tmp_path / "out/verdict.json", **sorts)
    answer = json.loads((tmp_path / "out/verdict.json").read_text(encoding="utf-8"))
    assert answer == verdict(rows, **sorts)
    assert answer["margin"] == 0.02
    arms = ["gan+100", "ddpm+100"]
    scores = pd.DataFrame({"arm": arms, "generator": ["gan", "ddpm"], "metric": "accuracy", "class": "all"})
    scores.assign(value=[0.5, 0.6]).to_csv(tmp_path / "runs.csv", index=False)
    write_generators(tmp_path / "runs.csv", tmp_path / "out/generators.csv", metric="accuracy", arms=arms)
    assert list(pd.read_csv(tmp_path / "out/generators.csv")["test"]) == ["kruskal_wallis", "dunn_bonferroni"]
    names = {"comparisons.csv", "components.csv", "verdict.json", "generators.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_runs_on_different_images_are_all_named():
    predictions = simulated(np.random.default_rng(17), images=40, arms=1, seeds=3)
    frames = [as_frame(predictions, run) for run in range(6)]
    frames[1] = frames[1].drop(index=3)
    frames[2].loc[0, "patient"] = "another"
    frames[3].loc[5, "p_viral"] = np.nan
    frames[4] = pd.concat([frames[4], frames[4].head(1)])
    frames[5] = frames[5].drop(columns="p_covid")
    with pytest.raises(StudyError) as raised:
        align(predictions.runs.to_dict("records"), frames)
    words = ["other images", "other images", "probability is missing", "stands twice", "other classes"]
    for run, problem, word in zip(range(1, 6), raised.value.problems, words, strict=True):
        assert f"/{run % 3}: " in problem
        assert word in problem
    twice = predictions.runs.to_dict("records")[:1] * 2
    with pytest.raises(StudyError, match="named twice"):
        align(twice, [as_frame(predictions, 0)] * 2)
