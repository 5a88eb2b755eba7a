from pathlib import Path

import pytest
import yaml

from synthworth.config import compose
from synthworth.contradictions import contradictions

HOUSE = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((HOUSE / "config" / "config.yaml").read_text())


def found(**changes) -> list[str]:
    return list(contradictions(compose(DEFAULT, {"dataset": {"classes": ["viral", "healthy"]}} | changes), Path()))


def growth(*resolutions, first=10, last=None):
    steps = [first, *[10] * (len(resolutions) - 2), last]
    shared = {"batch_size": 16, "learning_rate": 1e-3}
    return [{"resolution": side, "steps": count} | shared for side, count in zip(resolutions, steps, strict=True)]


def test_the_default_config_has_none():
    assert found() == []


def test_the_controls_of_the_default_go_together_with_arms_on_a_share_of_the_real_images():
    half = {"generator": "ddpm", "per_class": [50], "real_share": [0.5, 1], "balance": "to_majority"}
    assert found(arms={"baseline": {}, "half": half, "hold_back": {}, "copies": {}}) == []


def test_a_base_model_is_complained_of_once_and_not_where_scores_are_cached():
    missing = {"base_models": {"stable_diffusion": "/nowhere"}}
    assert len(found(**missing)) == 1
    problems = found(**missing, cached_scores="resources")
    assert problems
    assert all("cached_scores: resources has no" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"splits": {"fractions": {"train": 0.8}}}, "splits.fractions: they add up to 1.2"),
        ({"splits": {"fractions": {"train": 0.8, "select": 0.0}}}, "honest protocol"),
        ({"splits": {"folds": 5}, "protocol": "paper"}, "splits.folds: the published protocol has one split"),
        ({"splits": {"repeats": 2}}, "splits.repeats: without folds there is nothing to repeat"),
        (
            {"splits": {"folds": 5}, "statistics": {"primary_metric": "macro_auroc"}},
            "statistics.primary_metric: macro_auroc would rank images of all folds together",
        ),
        ({"arms": {"x": {"generator": "gann", "per_class": 5}}}, "arms.x.generator: there is no `gann`"),
        ({"arms": {"baseline": {"classifiers": ["resnet18"]}}}, "arms.baseline.classifiers: there is no `resnet18`"),
        ({"statistics": {"baseline": "base"}}, "statistics.baseline: there is no `base`"),
        ({"fidelity": {"selection": "best"}}, "fidelity.selection: there is no `best`"),
        ({"fidelity": {"selection": "prdc"}}, "prdc is of prdc; checkpoints are chosen by fid, kid"),
        (
            {"splits": {"fractions": {"train": 0.8, "select": 0.0, "test": 0.2}}},
            "fidelity.metrics.kid_held_out.reference: there is no split `select`",
        ),
        ({"memorization": {"extractor": "xrv"}}, "memorization.extractor: there is no `xrv`"),
        ({"fidelity": {"detector": {"extractor": "xrv"}}}, "fidelity.detector.extractor: there is no `xrv`"),
        ({"generators": {"ddpm": {"sampling": {"steps": 5000}}}}, "at most noise.training_steps (1000)"),
        ({"generators": {"ddpm": {"model": {"attention_blocks": [9]}}}}, "blocks of `block_out_channels` are 0 to 5"),
        ({"generators": {"lora": {"size": 30}}}, "a multiple of 8, 24 or 32"),
        ({"generators": {"lora": {"prompts": {"template": "{lable}"}}}}, "{lable} would be told as it is"),
        ({"cached_scores": "nowhere"}, "cached_scores: there is no folder nowhere"),
        ({"fidelity": {"extractors": {"domain": {"kind": "domain"}}}}, "fidelity.metrics.fid.extractor"),
        ({"generators": {"ddpm": {"checkpoints": {"every": 1000}}}}, "13750 is no multiple"),
        ({"generators": {"gan": {"size": 128}}}, "it ends at 256 px, but the images are to have 128"),
        ({"generators": {"gan": {"growth": growth(8, 32), "size": 32}}}, "doubles the resolution"),
        ({"generators": {"gan": {"growth": growth(8, 16, first=None), "size": 16}}}, "every stage but the last"),
        ({"generators": {"gan": {"growth": growth(8, 16, last=5), "size": 16}}}, "set its `steps` to null"),
        ({"generators": {"gan": {"growth": growth(8, 16, first=37500), "size": 16}}}, "nothing is left for the last"),
        ({"generators": {"gan": {"gpus": 3}}}, "must be a multiple of 12"),
        ({"generators": {"lora": {"base_model": "sd"}}}, "generators.lora.base_model: there is no `sd`"),
        ({"base_models": {"stable_diffusion": "/nowhere"}}, "base_models.stable_diffusion: no folder /nowhere"),
        ({"generators": {"finetune": {"training": {"schedule": "cosine"}}}}, "a cosine needs its end"),
        ({"generators": {"other": {"method": "folder", "images": "nowhere"}}}, "generators.other.images: there is no"),
        ({"generators": {"ddpm": {"gpus": 3}}}, "must be a multiple of `gpus`"),
        ({"generators": {"ddpm": {"checkpoints": {"last": 15000}}}}, "the cosine's learning rate is 0"),
        ({"dataset": {"classes": {"a": "x", "b": "x"}}}, "two names have the same label"),
        ({"cached_scores": "results/critical-assessment/scores"}, "these scores are this study's own"),
        ({"protocol": "paper"}, "the published protocol has no such split"),
        ({"assessment": {"ratings": ["nowhere.csv"]}}, "assessment.ratings: there is no file nowhere.csv"),
        ({"assessment": {"ratings": ["README.md"] * 2}}, "assessment.ratings: README.md stands there twice"),
        (
            {"assessment": {"ratings": [{"file": "README.md", "kit": "docs"}]}},
            "assessment.ratings: docs has no key.sealed",
        ),
        ({"arms": {"baseline": {}}}, "arms: none has synthetic images"),
        ({"dataset": {"size": 250}}, "250 px cannot be halved"),
        ({"study": "published"}, "holds the papers' own tables"),
        ({"dataset": {"manifest": "a.csv", "folder": "b"}}, "give one of manifest, folder"),
        ({"dataset": {"classes": ["all", "healthy"]}}, "`all` is no name for a class"),
        ({"arms": {"x": {"per_class": 5}}}, "arms.x.per_class: of which images? give a `generator`, or"),
        ({"arms": {"x": {"repeat_training_images": True}}}, "arms.x.repeat_training_images: how many of each class"),
        ({"arms": {"ddpm": {"repeat_training_images": True}}}, "an arm has either these or a `generator`"),
        ({"arms": {"x": {"regime": "replace"}}}, "arms.x: `regime: replace` is about synthetic images"),
        ({"arms": {"x": {"shuffled_labels": True}}}, "arms.x: `shuffled_labels` is about synthetic images"),
        ({"arms": {"x": {"balance": "to_majority"}}}, "arms.x: `balance: to_majority` is about synthetic images"),
        ({"arms": {"replace": {"balance": "to_majority"}}}, "`to_majority` fills up real images"),
        ({"arms": {"replace": {"real_share": 0.5}}}, "no real images to hold back"),
        (
            {"classifiers": {"defaults": {"training": {"epochs": 1}}}},
            "classifiers.resnet50.training.epochs: arms.pretrain needs 2",
        ),
        ({"arms": {"baseline": {}, "shuffled_labels": {}}}, "arms: none has synthetic images (but controls)"),
        ({"arms": {"ddpm": {"real_share": [0.5]}, "baseline": {}}}, "arms: none has synthetic images (but controls)"),
        ({"arms": {"baseline": {"real_share": [1.0]}, "ddpm": {}}}, "of all real training images, each once"),
        ({"assessment": {"size": 512}}, "assessment.size: gan draws images of 256 px"),
        (
            {"assessment": {"modes": ["single", "prompt"]}, "generators": {"ddpm": {}}},
            "assessment.modes: `prompt` shows images beside their prompts, and no generator",
        ),
        (
            {"generators": {"real": DEFAULT["generators"]["ddpm"], "ddpm": {}}},
            "generators.real: readers' scores call real images 'real'",
        ),
        ({"statistics": {"baseline": "copies"}}, "of all real training images, each once"),
        ({"statistics": {"baseline": "b"}, "arms": {"b": {"generator": "ddpm", "per_class": 5}}}, "without synthetic"),
    ],
)
def test_contradictions_are_named_by_key(changes, words):
    problems = found(**changes)
    assert any(words in problem for problem in problems), problems
