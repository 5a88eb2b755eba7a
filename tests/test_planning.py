"""The plan of a study: what it counts, where its hours come from, and whether what it could find is what is found."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from house import HOUSE, TINY, copy_house, planned

from synthworth import progress
from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.inputs import Inputs
from synthworth.planning.designs import study_designs
from synthworth.planning.detectable import Design, Repetitions, detectable_effect, published_assumptions
from synthworth.planning.jobs import (
    FORWARD,
    Jobs,
    check_doses,
    classifier_jobs,
    generator_jobs,
    images_of_run,
    images_of_training,
)
from synthworth.planning.outputs import SHARING, assumed, effect_sentence, show_plan, write_plan
from synthworth.planning.rates import MEASURED, UNKNOWN, estimate_hours, read_rates
from synthworth.specs import Specs
from synthworth.statistics.comparisons import compare_arms
from synthworth.study import Study

sys.path.insert(0, str(HOUSE / "benchmarks"))
import simulated_studies

PUBLISHED = HOUSE / "resources/published"
RATES = HOUSE / "resources/rates.csv"
DEFAULT = yaml.safe_load((HOUSE / "config/config.yaml").read_text())
PAPER = yaml.safe_load((HOUSE / "config/paper.yaml").read_text())
# The images of Schaudt et al. 2023 (Table 2): train, test.
TABLE2 = {"viral": (62, 16), "healthy": (519, 130), "fungal": (114, 29), "covid19": (92, 23), "bacterial": (78, 19)}


def tiny(**changes):
    return Study(compose(DEFAULT, yaml.safe_load((HOUSE / TINY).read_text()) | changes), HOUSE)


def index(counts, images_per_patient=1):
    rows = [
        {"image": f"{name}{number}.png", "patient": f"{name}{number // images_per_patient}", "class": name}
        for name, count in counts.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows).assign(width=1, height=1)


@pytest.fixture(scope="module")
def assumptions():
    return published_assumptions(PUBLISHED)


def totals(jobs, column):
    return pd.DataFrame(jobs).groupby("rule")[column].sum().to_dict()


def test_the_paper_s_705_runs_and_their_images_are_counted():
    study = Study(compose(DEFAULT, PAPER), HOUSE)
    training = {name: train for name, (train, _) in TABLE2.items()}
    test = sum(test for _, test in TABLE2.values())
    jobs = list(classifier_jobs(study, [training], test, {"test split": test}))
    assert totals(jobs, "jobs") == {"train_classifier": 705, "evaluate_classifier": 705}
    assert totals(jobs, "amount")["evaluate_classifier"] == 705 * test
    # 60 epochs over 865 real images and each class's doses, 25 runs of a generator's dose; oversampling by ConvNeXt-S.
    doses = 5 * [100, 250, 500, 750, 1000] + [5000, 10000]
    trained = 25 * (sum(865 + 5 * dose for dose in doses) + 865) + 5 * 5 * 519
    assert totals(jobs, "amount")["train_classifier"] == 60 * (trained + 705 * test)
    assert totals(jobs, "load")["train_classifier"] == pytest.approx(60 * (trained + FORWARD * 705 * test))
    generators = list(generator_jobs(study, 865))
    assert sum(job.jobs for job in generators if job.name == "gan" and job.rule == "train_generator") == 50 * 5
    assert totals(generators, "amount")["synthesize_shard"] == 5 * (10000 + 4 * 1000)


@pytest.mark.parametrize(
    ("change", "images"),
    [
        ({}, 30),
        ({"per_class": 10}, 50),
        ({"real_share": 0.5}, 15),
        ({"per_class": 10, "regime": "replace"}, 20),
        ({"per_class": 10, "regime": "pretrain_then_finetune", "pretrain_share": 0.25}, 0.25 * 20 + 0.75 * 30),
        ({"per_class": 15, "balance": "to_majority"}, 40),
        ({"balance": "oversample"}, 40),
        ({"balance": "class_weights"}, 30),
    ],
)
def test_images_of_a_run(change, images):
    arm = {"per_class": 0, "real_share": 1.0, "regime": "mix", "balance": "none", "pretrain_share": 0.5} | change
    counts = {"a": 20, "b": 10}
    assert images_of_run(arm, {"epochs": 2, "budget": "epochs"}, counts) == 2 * images
    assert images_of_run(arm, {"epochs": 2, "budget": "steps"}, counts) == 2 * 30


def test_images_of_a_training():
    growth = [{"resolution": 8, "steps": 10, "batch_size": 4}, {"resolution": 16, "steps": None, "batch_size": 2}]
    gan = {"method": "gan", "growth": growth, "checkpoints": {"last": 30}}
    assert images_of_training(gan, 16) == 10 * 4 / 4 + 20 * 2
    other = {"method": "dreambooth", "training": {"batch_size": 4}, "checkpoints": {"last": 30}}
    assert images_of_training(other, 16) == 120
    assert images_of_training(other | {"prior": {"images": 5}}, 16) == 240


def test_the_counts_are_those_of_a_dry_run(tmp_path):
    arguments = ("--configfile", TINY, "--config", "splits={folds: 2}")
    house = copy_house(tmp_path)
    runs = planned(house, *arguments)
    study = tiny(splits={"folds": 2})
    jobs = [*generator_jobs(study, 20), *classifier_jobs(study, [{"healthy": 10}] * 2, 5, {"test split": 34})]
    counted = totals(jobs, "jobs")
    runs["train_generator"] += runs["finish_generator"]
    # Those of other sizes and splits are made of real images alone.
    assert counted == {rule: runs[rule] for rule in counted}


RATE = {"rule": "draw", "method": "*", "size": 64, "sampler_steps": 10, "device": "X", "seconds": 2.0, "source": "here"}
JOB = Jobs("s", "draw", "ddpm", "draw/ddpm", "ddpm", 64, jobs=4, amount=40, unit="images", load=40, sampler_steps=10)


def hours(jobs, rates, folders=()):
    return estimate_hours(pd.DataFrame(jobs), pd.DataFrame(rates), folders)


def test_hours_from_the_table_go_with_area_and_sampler_and_gpus():
    own = RATE | {"method": "ddpm", "seconds": 1.0, "source": "own"}
    start = RATE | {"rule": "start", "seconds": 9.0}
    larger = replace(JOB, name="b", size=128, sampler_steps=5, gpus=2)
    smaller, other = replace(JOB, name="c", size=32), replace(JOB, name="d", method="gan")
    lost = replace(JOB, rule="encode")
    found = hours([JOB, larger, smaller, other, lost], [RATE, own, start])
    assert (3600 * found["gpu_hours"] - [40 + 36, 2 * (80 + 36), 40 + 36, 80 + 36, 0]).tolist()[:4] == [0, 0, 0, 0]
    assert found["source"].tolist() == ["own"] * 3 + ["here", UNKNOWN]
    assert np.isnan(found["gpu_hours"].iloc[-1])


def test_finished_jobs_of_the_study_win_over_the_table(tmp_path):
    for name, seconds in (("a/1", 30.0), ("a/2", 50.0)):
        path = tmp_path / "benchmarks" / "draw" / "ddpm" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:30\n")
    other = replace(JOB, name="gan", folder="draw/gan")
    # Two arms of one name have one rate, from those that are finished.
    arm = replace(JOB, folder="draw/ddpm/b", load=10, jobs=1)
    first = replace(JOB, folder="draw/ddpm/a")
    # What was measured holds the start of the jobs.
    start = RATE | {"rule": "start", "seconds": 1.0}
    found = hours([first, arm, other], [RATE, start], [tmp_path, tmp_path / "none"])
    assert found["finished"].tolist() == [2, 0, 0]
    assert found["source"].tolist() == [MEASURED, MEASURED, "here"]
    # 80 seconds for 2 of 4 jobs of 40 images.
    assert (3600 * found["gpu_hours"]).tolist() == pytest.approx([160, 40, 84])


def test_the_plan_names_the_jobs_that_can_share_a_gpu():
    rules = [rule for file in (HOUSE / "workflow/rules").glob("*.smk") for rule in file.read_text().split("\nrule ")]
    assert {rule.split(":")[0] for rule in rules if "shares_gpu=1" in rule} == set(SHARING)


def test_every_rate_has_a_source_and_every_method_and_rule_a_rate(tmp_path):
    rates = read_rates(RATES)
    words = rates["source"].str.match(r"(measured|projected, not measured on this device)[:;]")
    assert words.all(), rates.loc[~words, "source"].tolist()
    study = Study(compose(DEFAULT, PAPER), HOUSE)
    jobs = [*generator_jobs(study, 865), *classifier_jobs(study, [{"viral": 9}], 5, {"test split": 5})]
    assert not estimate_hours(pd.DataFrame(jobs), rates, [])["gpu_hours"].isna().any()
    rates.assign(source="").to_csv(tmp_path / "rates.csv", index=False)
    with pytest.raises(StudyError, match="row 2: say where it comes from"):
        read_rates(tmp_path / "rates.csv")


def as_planned(simulated):
    """The design of a simulated study, as the plan of the real one would have it."""
    cells, seeds = simulated.classifiers, simulated.seeds
    baseline = Repetitions(seeds, "seed", seeds, cells * (seeds - 1))
    if simulated.generator_seeds == 1:
        arm = baseline = replace(baseline, degrees=28 * baseline.degrees)
    else:
        models = simulated.generator_seeds
        arm = Repetitions(seeds * models, "generator_seed", models, 5 * (models - 1))
    return Design(arm, baseline, cells, 27, 0.95, "balanced_accuracy")


def judged(simulated, number):
    """The test set and the predictions of a simulated study, and the minimum detectable effect that it reports."""
    study = simulated_studies.simulate(simulated, np.random.default_rng(number)).predictions()
    names = np.array(["bacterial", "covid19", "fungal", "healthy", "viral"])
    test = pd.DataFrame({"patient": study.patients, "class": names[study.truth]})
    compared = compare_arms(study, "baseline", replicates=20)
    return test, study, compared.loc[compared["classifier"] == "all", "minimum_detectable_effect"].median()


UNEQUAL = simulated_studies.Noise(generator_skill=0.2)


@pytest.mark.parametrize(
    "design",
    [{}, {"classifiers": 3}, {"seeds": 3}, {"generator_seeds": 2}, {"generator_seeds": 2, "noise": UNEQUAL}],
    ids=str,
)
def test_what_simulated_studies_could_find_lies_within_the_planned_range(design, assumptions):
    simulated = simulated_studies.Design(**design)
    for number in range(2):
        test, _, found = judged(simulated, number)
        low, high = (detectable_effect(test, as_planned(simulated), each) for each in assumptions)
        assert low < found < high
        # A range that holds everything would say nothing.
        assert high < 4 * low


@pytest.mark.parametrize("generator_seeds", [1, 2])
def test_where_the_noise_is_known_the_plan_says_what_the_study_will(generator_seeds, assumptions):
    # Arms that differ by their trainings alone.
    noise = simulated_studies.Noise(arm=0, generator=0, skill=0)
    simulated = simulated_studies.Design(generator_seeds=generator_seeds, noise=noise)
    planned_effects, found_effects = [], []
    for number in range(8):
        test, study, found = judged(simulated, number)
        right = (study.probabilities.argmax(axis=2) == study.truth)[(study.runs["arm"] == "baseline").to_numpy()]
        by_class = [right[:, study.truth == label].var(axis=0, ddof=1).mean() for label in range(5)]
        recalls = np.array(list(assumptions[0].recalls.values()))
        known = replace(assumptions[0], training=np.mean(by_class) / (recalls * (1 - recalls)).mean())
        planned_effects.append(detectable_effect(test, as_planned(simulated), known))
        found_effects.append(found)
    assert np.mean(planned_effects) == pytest.approx(np.mean(found_effects), rel=0.12)


def test_what_could_be_found_grows_with_what_a_study_has(assumptions):
    test = index({name: count for name, (_, count) in TABLE2.items()})
    five = Repetitions(5, "seed", 5, 500)
    design = Design(five, five, 5, 27, 0.95, "balanced_accuracy")
    low, high = (detectable_effect(test, design, each) for each in assumptions)
    assert 0.02 < low < high < 0.15
    ten = Repetitions(10, "seed", 10, 1000)
    for better in (replace(design, arm=ten), replace(design, classifiers=10), replace(design, family=5)):
        assert all(
            detectable_effect(test, better, each) < than for each, than in zip(assumptions, (low, high), strict=True)
        )
    # Two images of a patient tell as little as one where they are alike, and as much as two where they are not.
    double = index({name: 2 * count for name, (_, count) in TABLE2.items()}, images_per_patient=2)
    assert detectable_effect(double, design, assumptions[1]) == pytest.approx(high)
    assert detectable_effect(double, design, assumptions[0]) < 0.72 * low
    assert np.isnan(detectable_effect(test, replace(design, baseline=replace(five, units=1)), assumptions[0]))


def test_runs_of_one_trained_generator_are_not_counted_as_independent(assumptions):
    test = index({name: count for name, (_, count) in TABLE2.items()})
    baseline = Repetitions(5, "seed", 5, 100)
    of_runs = Design(Repetitions(10, "seed", 10, 1000), baseline, 5, 27, 0.95, "balanced_accuracy")
    of_models = replace(of_runs, arm=Repetitions(10, "generator_seed", 2, 5))
    for each in assumptions:
        assert detectable_effect(test, of_models, each) > 1.03 * detectable_effect(test, of_runs, each)
    # Few generators tell badly how much their trainings differ.
    one = replace(of_runs, arm=Repetitions(10, "generator_seed", 2, 1))
    assert detectable_effect(test, one, assumptions[1]) > 1.1 * detectable_effect(test, of_models, assumptions[1])


def test_the_formula_by_hand(assumptions):
    # Two classes of 200 patients with r (1 - r) = 1/4; trainings that guess anew, and 2 x 4 of them.
    guessing = replace(assumptions[0], training=1.0, unknown=0.25)
    four = Repetitions(4, "seed", 4, 10_000)
    design = Design(four, four, 1, 1, 0.95, "accuracy")
    found = detectable_effect(index({"a": 200, "b": 200}), design, guessing)
    assert found == pytest.approx((1.960 + 0.842) * np.sqrt(0.25 * (1 / 4 + 1 / 4) / 400), rel=0.01)
    assert found == pytest.approx(
        detectable_effect(index({"a": 200, "b": 200}), replace(design, metric="macro_f1"), guessing)
    )


def test_the_assumptions_are_those_of_the_published_tables(assumptions):
    low, high = assumptions
    # Two runs of the median cell differ in 1.7 points of accuracy: of 217 images about 27 in one of the two.
    assert low.training < 0.061 / 0.0841 < high.training
    assert low.recalls["covid19"] == 0.7478
    assert low.own_arm == low.shared_arm == 0
    assert min(high.own_arm, high.shared_arm) > 0


def test_the_sentence_says_what_the_study_compares(assumptions):
    study = tiny()
    # Two arms and the baseline of one classifier, each trained with two seeds.
    twice = Repetitions(2, "seed", 2, 3)
    assert study_designs(study) == [Design(twice, twice, 1, 2, 0.95, "balanced_accuracy")]
    words = effect_sentence("test split", index({"healthy": 20, "viral": 10}, 2), study, assumptions)
    assert words.startswith("test split: with 30 test images of 15 patients, 2 arms and 2 seeds, an effect below ")
    assert " points of balanced accuracy would easily be missed" in words
    assert "The 2 trainings of a classifier on an arm count as independent" in assumed(study)
    once = effect_sentence("test split", index({"healthy": 20}), tiny(seeds={"runs": [1]}), assumptions)
    assert "no effect can be shown: give `seeds.runs` two at least" in once


def test_what_counts_as_independent_is_the_highest_level_that_is_repeated():
    once = Repetitions(2, "seed", 2, 1)
    draws = tiny(seeds={"runs": [1, 2], "draws": [1, 2, 3]})
    assert [(each.arm, each.baseline) for each in study_designs(draws)] == [(Repetitions(6, "draw", 3, 2), once)]
    models = tiny(seeds={"runs": [1, 2], "draws": [1, 2, 3], "generators": [1, 2]})
    assert [each.arm for each in study_designs(models)] == [Repetitions(12, "generator_seed", 2, 1)]
    assert "The 2 trainings of a generator count as independent, not their 12 runs" in assumed(models)
    repeats = tiny(splits={"folds": 2, "repeats": 3}, seeds={"runs": [1, 2], "generators": [1, 2]})
    found = [(each.arm, each.baseline) for each in study_designs(repeats)]
    assert found == [(Repetitions(12, "repeat", 3, 2), Repetitions(6, "repeat", 3, 2))]
    # Of images that someone else made there are no trainings: the trainings of their classifiers count.
    arms = {
        "baseline": {},
        "ddpm": {"generator": "ddpm", "per_class": [4]},
        "theirs": {"generator": "theirs", "per_class": 4},
    }
    generators = {"ddpm": {}, "theirs": {"method": "folder", "images": "tests"}}
    both = tiny(arms=arms, generators=generators, seeds={"runs": [1, 2], "generators": [1, 2]})
    assert [each.arm.level for each in study_designs(both)] == ["generator_seed", "seed"]
    assert study_designs(both)[1].arm == study_designs(both)[0].baseline == Repetitions(2, "seed", 2, 2)


def test_a_dose_that_leaves_classes_smaller_than_the_largest_is_told_before_training():
    def study(per_class):
        filled = {"generator": "ddpm", "per_class": per_class, "balance": "to_majority"}
        return tiny(arms={"baseline": {}, "ddpm": {"per_class": [4]}, "filled": filled})

    folds = [{"healthy": 12, "viral": 8}, {"healthy": 14, "viral": 7}]
    check_doses(study(7), folds)
    with pytest.raises(StudyError) as error:
        check_doses(study(6), folds)
    told = "arms.filled: 7 images are lacking to the largest class, the arm has 6: raise its `per_class` to 7"
    assert error.value.problems == [told]


def test_the_plan_is_written_and_shown(tmp_path, monkeypatch, capsys):
    for name, counts in {"train": {"healthy": 12, "viral": 8}, "select": {"healthy": 4}, "test": {"viral": 6}}.items():
        index(counts).to_csv(tmp_path / f"{name}.csv", index=False)
    theirs = index({"viral": 7})
    theirs.to_csv(tmp_path / "b.csv", index=False)
    manifest = tmp_path / "manifest.csv"
    manifest.touch()
    dataset = yaml.safe_load((HOUSE / TINY).read_text())["dataset"] | {"external": {"b": str(manifest)}}
    study = tiny(dataset=dataset)
    wildcards = SimpleNamespace(study="tiny")
    assert Inputs(study).planned(wildcards)["tests"][1] == "results/tiny/external/b/data/test/index.csv"
    spec = json.loads(Specs(study).plan_study(wildcards))
    assert spec["folders"] == ["results/tiny", "results/tiny/external/b"]
    splits = [[tmp_path / f"{name}.csv"] for name in ("train", "select")]
    tests = [tmp_path / "test.csv", tmp_path / "b.csv"]
    write_plan(*splits, tests, RATES, PUBLISHED, tmp_path / "plan.md", tmp_path / "plan.csv", **spec)
    text = (tmp_path / "plan.md").read_text()
    monkeypatch.setattr(progress, "terminal", sys.stdout)
    show_plan(tmp_path / "plan.md")
    assert text in capsys.readouterr().out
    # 2 classes; 6 images of each at 2 steps, and two shards of 4; 3 arms, 2 seeds, 2 epochs over 20 and 4 images.
    assert "2 trainings of generators in 4 segments, each with a checkpoint; 40 images drawn; 6 runs" in text
    assert "through which 288 images pass, and 78 in their tests" in text
    assert "b: with 7 test images of 7 patients" in text
    assert assumed(study) in text
    assert "Of train_classifier and evaluate_classifier several can share one" in text
    table = pd.read_csv(tmp_path / "plan.csv")
    assert table.set_index("rule")["jobs"]["evaluate_classifier"] == 12
    assert table["gpu_hours"].notna().all()
    assert set(table["stage"]) == {"generators", "fidelity", "synthesis", "classifiers"}


def test_a_plan_trains_nothing_and_is_made_whenever_it_is_asked_for(tmp_path):
    house = copy_house(tmp_path)
    jobs = planned(house, "plan", "--configfile", TINY)
    assert jobs == dict.fromkeys(("draw_phantoms", "inspect_images", "split_patients", "plan_study", "plan"), 1)
