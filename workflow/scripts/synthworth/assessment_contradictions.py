"""What the settings of the readers' kits that keep to the grammar can still get wrong.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]


def assessment_contradictions(config: Config) -> Iterator[str]:
    """The problems of `assessment` of a composed config, a line each that names key and remedy."""
    settings, generators = config["assessment"], config["generators"]
    if not settings["modes"]:
        return
    used = {arm.get("generator") for arm in config["arms"].values()}
    prompted = [name for name, entry in generators.items() if entry.get("prompts") and name in used]
    if "prompt" in settings["modes"] and not prompted:
        yield (
            "assessment.modes: `prompt` shows images beside their prompts, and no generator of an arm has any "
            "(finetune, lora and dreambooth have); take it out"
        )
    for name, generator in generators.items():
        side = generator["size"] or config["dataset"]["size"]
        if settings["size"] and settings["size"] > side:
            yield (
                f"assessment.size: {name} draws images of {side} px; readers would know enlarged ones by their blur; "
                f"choose {side} at most, or null"
            )
    if "real" in generators:
        yield "generators.real: readers' scores call real images so; choose another name"
