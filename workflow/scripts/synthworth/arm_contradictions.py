"""What arms that keep to the grammar can still get wrong.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]


def arm_contradictions(config: Config) -> Iterator[str]:
    """The problems of the arms of a composed config, a line each that names key and remedy."""
    for name, arm in config["arms"].items():
        yield from _arm(f"arms.{name}", arm)
        if arm.get("regime") == "pretrain_then_finetune":
            chosen = arm.get("classifiers") or config["classifiers"]
            short = [
                entry for entry in chosen if config["classifiers"].get(entry, {}).get("training", {}).get("epochs") == 1
            ]
            yield from (
                f"classifiers.{entry}.training.epochs: arms.{name} needs 2, one on either kind" for entry in short
            )
    if not any(_is_plainly_synthetic(arm) for arm in config["arms"].values()):
        yield "arms: none has synthetic images (but controls); add one with a generator and `per_class`"
    baseline = config["arms"].get(config["statistics"]["baseline"])
    if baseline is not None and baseline.get("generator"):
        yield "statistics.baseline: the baseline arm must be without synthetic images"
    elif baseline is not None and (baseline.get("repeat_training_images") or baseline.get("real_share", 1) != 1):
        yield "statistics.baseline: the baseline arm must be of all real training images, each once"


def _arm(key: str, arm: Config) -> Iterator[str]:
    regime, balance = arm.get("regime", "mix"), arm.get("balance", "none")
    repeats, shuffled = arm.get("repeat_training_images", False), arm.get("shuffled_labels", False)
    if arm.get("generator") is None:
        asking = [f"regime: {regime}"] * (regime != "mix") + ["shuffled_labels"] * shuffled
        asking += ["balance: to_majority"] * (balance == "to_majority")
        for words in asking:
            yield f"{key}: `{words}` is about synthetic images; give the arm a `generator` and `per_class`"
        if "per_class" in arm and not repeats:
            yield f"{key}.per_class: of which images? give a `generator`, or `repeat_training_images: true`"
        if repeats and "per_class" not in arm:
            yield f"{key}.repeat_training_images: how many of each class? give `per_class`"
    elif repeats:
        yield f"{key}.repeat_training_images: an arm has either these or a `generator`; take one of them out"
    if regime != "mix" and balance == "to_majority":
        yield f"{key}.balance: `to_majority` fills up real images, and a stage of `regime: {regime}` has none"
    if regime == "replace" and arm.get("real_share", 1) != 1:
        yield f"{key}.real_share: `regime: replace` has no real images to hold back"


def _is_plainly_synthetic(arm: Config) -> bool:
    shares = arm.get("real_share", 1)
    return (
        bool(arm.get("generator"))
        and not arm.get("shuffled_labels")
        and 1 in (shares if isinstance(shares, list) else [shares])
    )
