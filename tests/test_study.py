from pathlib import Path

import pytest
import yaml

from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.study import Run, Study

HOUSE = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((HOUSE / "config" / "config.yaml").read_text())


def study(root=Path(), **changes) -> Study:
    return Study(compose(DEFAULT, {"dataset": {"classes": ["viral", "healthy"]}} | changes), root)


def test_the_papers_grid():
    runs = study().runs
    assert len([run for run in runs if run.arm.name == "baseline"]) == 5 * 5
    assert len([run for run in runs if run.arm.name == "oversampling"]) == 5
    assert len([run for run in runs if run.arm.generator == "ddpm"]) == 5 * 5 * 5
    assert len([run for run in runs if run.arm.generator == "gan"]) == 5 * 5 * 7
    assert len(runs) == len(set(runs)) == 5 * 5 * (1 + 4 * 5 + 7) + 5
    assert {type(run) for run in runs} == {Run}


def test_a_list_of_doses_is_an_arm_per_dose():
    arms = study().arms
    assert [name for name in arms if name.startswith("ddpm")] == [f"ddpm+{k}" for k in (100, 250, 500, 750, 1000)]
    assert (arms["ddpm+250"].generator, arms["ddpm+250"].dose) == ("ddpm", 250)


def test_arms_without_copies_say_so():
    arms = {"baseline": {}, "ddpm": {"generator": "ddpm", "per_class": [5, 9]}}
    dropping = study(arms=arms, memorization={"filter_copies": "drop"})
    assert list(dropping.arms) == ["baseline", "ddpm+5-without_copies", "ddpm+9-without_copies"]
    assert list(study(arms=arms, memorization={"filter_copies": "flag"}).arms) == ["baseline", "ddpm+5", "ddpm+9"]


def test_more_images_add_shards_and_keep_those_there_are():
    few, more = study().shards("ddpm", 300), study().shards("ddpm", 800)
    assert few == [(0, 249), (250, 499)]
    assert more[: len(few)] == few
    assert study().shards("ddpm") == study().shards("ddpm", 1000)


def test_shards_of_outside_images_end_with_the_doses(tmp_path):
    arms = {"baseline": {}, "other": {"generator": "other", "per_class": [40, 100]}}
    generators = {"other": {"method": "folder", "images": str(tmp_path)}}
    outside = study(arms=arms, generators=generators)
    assert outside.shards("other") == [(0, 39), (40, 99)]
    assert outside.shards("other", 40) == [(0, 39)]
    assert outside.steps("other") == [0]


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
    paper = study(protocol="paper", splits=splits, fidelity={"metrics": {"fid": {}}})
    assert paper.selection_split == "test"
    assert paper.splits == ["train", "test"]
