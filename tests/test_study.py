import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.inputs import Inputs
from synthworth.specs import Specs
from synthworth.study import Run, Study

HOUSE = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((HOUSE / "config" / "config.yaml").read_text())
LACKING = {"balance": "to_majority"}
DOSES = [100, 250, 500, 750, 1000]


def study(root=Path(), **changes) -> Study:
    return Study(compose(DEFAULT, {"dataset": {"classes": ["viral", "healthy"]}} | changes), root)


def test_the_papers_grid():
    paper = yaml.safe_load((HOUSE / "config" / "paper.yaml").read_text())
    runs = Study(compose(DEFAULT, paper)).runs
    assert len([run for run in runs if run.arm.name == "baseline"]) == 5 * 5
    assert len([run for run in runs if run.arm.name == "oversampling"]) == 5
    assert len([run for run in runs if run.arm.generator == "ddpm"]) == 5 * 5 * 5
    assert len([run for run in runs if run.arm.generator == "gan"]) == 5 * 5 * 7
    assert len(runs) == len(set(runs)) == 5 * 5 * (1 + 4 * 5 + 7) + 5 == 705
    assert {type(run) for run in runs} == {Run}
    # The default has these, and more.
    assert len(study().runs) == 705 + 5 * 5 * 11


def test_a_list_of_doses_is_an_arm_per_dose():
    arms = study().arms
    assert [name for name in arms if name.startswith("ddpm")] == [f"ddpm+{k}" for k in (100, 250, 500, 750, 1000)]
    assert (arms["ddpm+250"].generator, arms["ddpm+250"].dose) == ("ddpm", 250)


def test_arms_without_copies_say_so():
    arms = {"baseline": {}, "ddpm": {"generator": "ddpm", "per_class": [5, 9]}}
    dropping = study(arms=arms, memorization={"filter_copies": "drop"})
    assert list(dropping.arms) == ["baseline", "ddpm+5-without_copies", "ddpm+9-without_copies"]
    assert list(study(arms=arms, memorization={"filter_copies": "flag"}).arms) == ["baseline", "ddpm+5", "ddpm+9"]


def test_a_list_of_shares_is_an_arm_per_share():
    arms = study().arms
    assert [arms[name].real_share for name in ("hold_back@0.5", "hold_back@0.75", "baseline")] == [0.5, 0.75, 1]
    both = study(arms={"x": {"generator": "ddpm", "per_class": [5, 9], "real_share": [0.5, 1]}, "baseline": {}}).arms
    assert list(both) == ["baseline", "x+5@0.5", "x+5@1", "x+9@0.5", "x+9@1"]
    assert [(arm.control, arm.dose, arm.per_class) for arm in both.values()] == [
        (True, 0, 0),
        (True, 0, 5),
        (False, 5, 5),
        (True, 0, 9),
        (False, 9, 9),
    ]


def test_controls_have_no_dose_and_stand_for_themselves():
    arms = study().arms
    controls = ["oversampling", "class_weights", "focal", "mixup", "cutmix", "shuffled_labels", "copies"]
    controls = ["baseline", *controls, "hold_back@0.5", "hold_back@0.75"]
    assert [name for name, arm in arms.items() if arm.control] == controls
    assert {(arms[name].dose, arms[name].source == name) for name in controls} == {(0, True)}
    assert (arms["shuffled_labels"].per_class, arms["shuffled_labels"].generator) == (500, "dreambooth")
    assert {arms[name].source for name in ("replace", "pretrain", "balanced", "dreambooth+100")} == {"dreambooth"}
    assert arms["replace"].dose == 1000


def test_the_rank_tests_take_the_papers_arms_alone():
    whole = study()
    spec = json.loads(Specs(whole).compare_generators(SimpleNamespace()))
    papers = [f"{name}+{dose}" for name in ("ddpm", "finetune", "lora", "dreambooth") for dose in DOSES]
    assert sorted(spec["arms"]) == sorted([*papers, *(f"gan+{dose}" for dose in [*DOSES, 5000, 10000])])
    arms = {"baseline": {}, "ddpm": {"per_class": [5]}, "focal": {"generator": "ddpm", "per_class": 5}}
    few = study(arms=arms, generators={"ddpm": {}}, seeds={"generators": [1, 2], "draws": [1, 2]})
    assert json.loads(Specs(few).compare_generators(SimpleNamespace()))["arms"] == ["ddpm+5"]


def test_the_verdict_knows_arms_of_other_regimes_and_arms_that_differ_in_more_than_images():
    reach = json.loads(Specs(study()).reach_verdict(SimpleNamespace()))
    assert reach == {"outside": [], "other_regimes": ["replace", "pretrain"], "confounded": []}
    arms = {"baseline": {}, "focal": {"loss": "focal"}, "a": {"generator": "ddpm", "per_class": 5}}
    arms |= {name: arms["a"] | own for name, own in [("b", {"balance": "to_majority"}), ("c", {"loss": "focal"})]}
    arms |= {
        "d": arms["c"] | {"regime": "pretrain_then_finetune", "pretrain_share": 0.3},
        "replace": arms["a"] | {"regime": "replace"},
    }
    arms |= {"e": arms["a"] | {"shuffled_labels": True}, "f": arms["a"] | {"balance": "class_weights"}}
    arms |= {"g": arms["a"] | {"regime": "pretrain_then_finetune"}, "h": arms["a"] | {"mixing": "mixup"}}
    # Keys that nothing reads here make no other arm.
    arms["idle"] = arms["a"] | {"focal_gamma": 3, "mixing_alpha": 0.5, "pretrain_share": 0.3}
    arms |= {"weighted": {"balance": "class_weights"}, "focal_3": arms["c"] | {"focal_gamma": 3}}
    few = {"arms": arms, "generators": {"ddpm": {}}, "seeds": {"generators": [1, 2]}}
    found = {
        "baseline": (["g", "replace"], ["c", "d", "f", "focal_3", "h"]),
        "focal": (["d"], ["a", "b", "f", "focal_3", "g", "h", "idle", "replace"]),
        # Where each class gets what it lacks, weights have nothing to do.
        "weighted": ([], ["a", "c", "d", "focal_3", "g", "h", "idle", "replace"]),
    }
    for baseline, (other_regimes, confounded) in found.items():
        said = json.loads(Specs(study(**few, statistics={"baseline": baseline})).reach_verdict(SimpleNamespace()))
        assert sorted(set(said["other_regimes"]) & {*arms}) == other_regimes
        assert sorted(set(said["confounded"]) & {*arms}) == confounded


def test_the_means_of_table_8_are_over_the_papers_arms_alone():
    table = SimpleNamespace(study="mine", table="table8_accuracy_change")
    assert json.loads(Specs(study()).render_table(table))["special"] == ["replace", "pretrain", "balanced"]
    for other in (
        SimpleNamespace(study="mine", table="effects"),
        SimpleNamespace(study="published", table=table.table),
    ):
        assert "special" not in json.loads(Specs(study()).render_table(other))


def test_arms_add_images_to_the_baseline_that_the_study_has():
    focal, images = {"loss": "focal"}, {"generator": "ddpm", "per_class": [5]}
    arms = {"focal": focal, "ddpm": focal | images, "other": images, "balanced": focal | images | LACKING}
    specs = Specs(study(generators={"ddpm": {}}, arms=arms, statistics={"baseline": "focal"}))
    table = SimpleNamespace(study="mine", table="table8_accuracy_change")
    special = json.loads(specs.render_table(table))["special"]
    assert {"other+5", "balanced+5"} <= set(special)
    assert "ddpm+5" not in special
    assert json.loads(specs.compare_generators(SimpleNamespace()))["arms"] == ["ddpm+5"]


def test_replicates_are_arms_that_statistics_call_the_same(tmp_path):
    generators = {"ddpm": {}, "other": {"method": "folder", "images": str(tmp_path)}}
    arms = {"baseline": {}, "hold_back": {}, "ddpm": {"per_class": [5]}, "plain": {"generator": "ddpm", "per_class": 7}}
    arms |= {"other": {"generator": "other", "per_class": [4]}, "shuffled_labels": {"generator": "ddpm"}}
    seeds = {"generators": [1, 3], "draws": [1, 2]}
    many = study(generators=generators, arms=arms, seeds=seeds)
    assert list(many.config["generators"]) == ["ddpm", "ddpm.seed-3", "other"]
    assert many.config["generators"]["ddpm.seed-3"] == many.config["generators"]["ddpm"]
    found = {arm.name: (arm.shared_name, arm.generator_seed, arm.draw) for arm in many.arms.values()}
    assert found == {
        "baseline": ("baseline", 1, 1),
        "hold_back@0.5": ("hold_back@0.5", 1, 1),
        "hold_back@0.75": ("hold_back@0.75", 1, 1),
        "ddpm+5": ("ddpm+5", 1, 1),
        "ddpm+5.draw-2": ("ddpm+5", 1, 2),
        "ddpm.seed-3+5": ("ddpm+5", 3, 1),
        "ddpm.seed-3+5.draw-2": ("ddpm+5", 3, 2),
        "plain": ("plain", 1, 1),
        "plain.draw-2": ("plain", 1, 2),
        "plain.seed-3": ("plain", 3, 1),
        "plain.seed-3.draw-2": ("plain", 3, 2),
        "other+4": ("other+4", 1, 1),
        "other+4.draw-2": ("other+4", 1, 2),
        "shuffled_labels": ("shuffled_labels", 1, 1),
    }
    assert [many.arms[name].generator for name in ("plain.seed-3", "shuffled_labels")] == ["ddpm.seed-3", "ddpm"]
    assert [many.arms[name].source for name in ("ddpm.seed-3+5.draw-2", "other+4.draw-2")] == ["ddpm", "other"]
    assert [many.arms[name].first for name in ("plain.draw-2", "plain", "baseline")] == [7, 0, 0]
    assert Study(many.config).config == many.config


def test_more_replicates_leave_those_there_are_as_they_are():
    arms = {"baseline": {}, "ddpm": {}, "lora": {}}
    few, more = (
        study(generators={"ddpm": {}, "lora": {}}, arms=arms, seeds={"generators": seeds, "draws": seeds})
        for seeds in ([1], [1, 2])
    )
    assert few.arms.items() <= more.arms.items()
    for arm in few.arms:
        names = {"classifier": "resnet50", "arm": arm, "seed": "1", "study": few.name}
        assert Specs(few).train_classifier(SimpleNamespace(**names)) == Specs(more).train_classifier(
            SimpleNamespace(**names)
        )
        data = [Inputs(each).training_data(SimpleNamespace(**names)) for each in (few, more)]
        assert data[0] == data[1]
    for generator in ("ddpm", "lora"):
        names = SimpleNamespace(generator=generator, scope="viral", step="1", label="viral", study=few.name)
        for spec in ("train_generator", "synthesize_shard", "sample_checkpoint"):
            assert getattr(Specs(few), spec)(names) == getattr(Specs(more), spec)(names)
    second = SimpleNamespace(generator="ddpm.seed-2", scope="viral", step="1", label="viral", study=few.name)
    first = SimpleNamespace(generator="ddpm", scope="viral", step="1", label="viral", study=few.name)
    for spec in ("train_generator", "synthesize_shard"):
        assert getattr(Specs(more), spec)(second) != getattr(Specs(more), spec)(first)


def test_a_run_hangs_on_what_its_arm_does_and_on_nothing_else():
    names = SimpleNamespace(study=study().name, classifier="resnet50", arm="baseline", seed="1")
    plain = Specs(study()).train_classifier(names)
    idle = {"focal_gamma": 3.0, "mixing_alpha": 0.2, "pretrain_share": 0.1, "real_share": 1, "shuffled_labels": False}
    arms = {"baseline": idle, "ddpm": {}}
    assert Specs(study(arms=arms, seeds={"draws": [1, 2]})).train_classifier(names) == plain
    for change in ({"loss": "focal"}, {"mixing": "mixup"}, {"real_share": 0.5}, {"balance": "class_weights"}):
        changed = {"baseline": {}, "ddpm": {}, "x": change}
        names = SimpleNamespace(study=study().name, classifier="resnet50", arm="x", seed="1")
        spec, seeded = (json.loads(text) for text in (Specs(study(arms=changed)).train_classifier(names), plain))
        assert spec | {"run_seed": 0} != seeded | {"run_seed": 0}


def test_more_images_add_shards_and_keep_those_there_are():
    few, more = study().shards("ddpm", 300), study().shards("ddpm", 800)
    assert few == [(0, 249), (250, 499)]
    assert more[: len(few)] == few
    assert study().shards("ddpm") == study().shards("ddpm", 1000)
    assert study().shards("ddpm", 300, start=300) == [(250, 499), (500, 749)]
    assert study(seeds={"draws": [1, 2]}).shards("ddpm")[-1] == (1750, 1999)


def test_shards_of_outside_images_end_with_the_doses(tmp_path):
    arms = {"baseline": {}, "other": {"generator": "other", "per_class": [40, 100]}}
    generators = {"other": {"method": "folder", "images": str(tmp_path)}}
    outside = study(arms=arms, generators=generators)
    assert outside.shards("other") == [(0, 39), (40, 99)]
    assert outside.shards("other", 40) == [(0, 39)]
    assert outside.steps("other") == [0]
    drawn = study(arms=arms, generators=generators, seeds={"draws": [1, 2, 3]})
    assert drawn.shards("other") == [(0, 39), (40, 99), (100, 199), (200, 299)]
    assert drawn.shards("other", 40, start=80) == [(40, 99), (100, 199)]
    assert drawn.shards("other", 100, start=100) == [(100, 199)]


def test_steps_and_their_chain():
    steps = study().steps("ddpm")
    assert steps[0] == 1250
    assert steps[-1] == 13750
    assert study().previous_step("ddpm", 1250) is None
    assert [study().previous_step("ddpm", step) for step in steps[1:]] == steps[:-1]


def test_classes_are_read_from_the_manifest(tmp_path):
    (tmp_path / "m.csv").write_text("image,patient,label\na.png,1,COVID-19\nb.png,2,no finding\n", encoding="utf-8")
    found = study(tmp_path, dataset={"manifest": "m.csv", "classes": None})
    assert found.classes == {"COVID-19": "COVID-19", "no_finding": "no finding"}


def test_a_study_without_images_says_how_to_give_them():
    with pytest.raises(StudyError) as error:
        study().require_dataset()
    for words in ("dataset.manifest", "image,patient,label", "dataset.folder", "--config"):
        assert words in str(error.value)


def test_a_config_that_contradicts_itself_is_no_study():
    with pytest.raises(StudyError, match="cannot be used") as error:
        study(statistics={"baseline": "base"})
    assert "statistics.baseline: there is no `base`" in str(error.value)


def test_prompts_from_texts_need_a_text_for_each_image(tmp_path):
    asking = {"generators": {"finetune": {"prompts": {"source": "text"}}}, "arms": {"finetune": {}, "baseline": {}}}
    manifest = tmp_path / "m.csv"
    dataset = {"dataset": {"manifest": "m.csv", "classes": ["viral", "healthy"]}}
    for text, words in [
        ("image,patient,label\na,1,viral\nb,2,healthy\n", "give the manifest a column `text`"),
        ("image,patient,label,text\na,1,viral,dense\nb,2,healthy,\n", "rows 3 of the manifest"),
    ]:
        manifest.write_text(text)
        with pytest.raises(StudyError, match="text") as error:
            study(tmp_path, **asking, **dataset).require_dataset()
        assert words in str(error.value)
        assert "generators.finetune.prompts.source" in str(error.value)
    manifest.write_text("image,patient,label,text\na,1,viral,dense\nb,2,healthy,clear\nc,3,other,\n")
    study(tmp_path, **asking, **dataset).require_dataset()


def test_the_published_protocol_selects_on_the_reported_split():
    assert study().selection_split == "select"
    splits = {"fractions": {"train": 0.8, "test": 0.2, "select": 0.0}}
    paper = study(protocol="paper", splits=splits, fidelity={"metrics": {"fid": {}}, "selection": "fid"})
    assert paper.selection_split == "test"
    assert paper.splits == ["train", "test"]
