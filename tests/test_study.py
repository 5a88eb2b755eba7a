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
    assert len(runs) == len(set(runs)) == 155
    assert {type(run) for run in runs} == {Run}


def test_a_list_of_doses_is_an_arm_per_dose():
    arms = study().arms
    assert list(arms) == ["baseline", "oversampling", *(f"ddpm+{k}" for k in (100, 250, 500, 750, 1000))]
    assert (arms["ddpm+250"].generator, arms["ddpm+250"].dose) == ("ddpm", 250)


def test_more_images_add_shards_and_keep_those_there_are():
    few, more = study().shards("ddpm", 300), study().shards("ddpm", 800)
    assert few == [(0, 249), (250, 499)]
    assert more[: len(few)] == few
    assert study().shards("ddpm") == study().shards("ddpm", 1000)


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"splits": {"fractions": {"train": 0.8}}}, "splits.fractions: they add up to 1.2"),
        ({"splits": {"fractions": {"train": 0.8, "select": 0.0}}}, "honest protocol"),
        ({"arms": {"x": {"generator": "gann", "per_class": 5}}}, "arms.x.generator: there is no `gann`"),
        ({"arms": {"baseline": {"classifiers": ["resnet18"]}}}, "arms.baseline.classifiers: there is no `resnet18`"),
        ({"statistics": {"baseline": "base"}}, "statistics.baseline: there is no `base`"),
        ({"fidelity": {"selection": "kid"}}, "fidelity.selection: there is no `kid`"),
        ({"fidelity": {"extractors": {"domain": {"kind": "domain"}}}}, "fidelity.metrics.fid.extractor"),
        ({"generators": {"ddpm": {"checkpoints": {"every": 1000}}}}, "13750 is no multiple"),
        ({"generators": {"ddpm": {"gpus": 3}}}, "must be a multiple of `gpus`"),
        ({"generators": {"ddpm": {"checkpoints": {"last": 15000}}}}, "the cosine's learning rate is 0"),
        ({"dataset": {"classes": {"a": "x", "b": "x"}}}, "two names have the same label"),
        ({"cached_scores": "results/critical-assessment/scores"}, "these scores are this study's own"),
        ({"protocol": "paper"}, "the published protocol has no such split"),
        ({"arms": {"baseline": {}}}, "arms: none has synthetic images"),
        ({"dataset": {"size": 250}}, "choose a multiple of 32"),
        ({"study": "published"}, "holds the papers' own tables"),
        ({"dataset": {"manifest": "a.csv", "folder": "b"}}, "give one of manifest, folder"),
        ({"dataset": {"classes": ["all", "healthy"]}}, "`all` is no name for a class"),
        ({"statistics": {"baseline": "b"}, "arms": {"b": {"generator": "ddpm", "per_class": 5}}}, "without synthetic"),
    ],
)
def test_contradictions_are_named_by_key(changes, words):
    with pytest.raises(StudyError, match="cannot be used") as error:
        study(**changes)
    assert words in str(error.value)


def test_the_published_protocol_selects_on_the_reported_split():
    assert study().selection_split == "select"
    paper = study(protocol="paper", splits={"fractions": {"train": 0.8, "test": 0.2, "select": 0.0}})
    assert paper.selection_split == "test"
    assert paper.splits == ["train", "test"]
