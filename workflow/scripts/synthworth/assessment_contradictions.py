"""What the settings of the readers' assessment that keep to the grammar can still get wrong.

What the readers' files say is for `ratings.validation`.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synthworth.rating_kit import KEY
from synthworth.ratings.exports import read_export
from synthworth.ratings.scales import ALL, REAL

Config = Mapping[str, Any]


def assessment_contradictions(config: Config, root: Path) -> Iterator[str]:
    """The problems of `assessment` of a composed config, a line each that names key and remedy.

    Relative paths start at `root`.
    """
    for name in sorted({REAL, ALL} & set(config["generators"])):
        yield f"generators.{name}: readers' scores call real images {REAL!r} and all generators {ALL!r}; rename it"
    yield from _kits(config)
    yield from _ratings(config, root)


def _kits(config: Config) -> Iterator[str]:
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


def _ratings(config: Config, root: Path) -> Iterator[str]:
    entries = config["assessment"]["ratings"]
    if not entries or config["cached_scores"]:
        return
    if config["splits"]["folds"]:
        yield (
            "assessment.ratings: with folds there are generators of each fold, and ratings are of one study's; set "
            "splits.folds to null, or take the ratings out"
        )
    files = [entry["file"] if isinstance(entry, Mapping) else entry for entry in entries]
    for file in sorted({file for file in files if files.count(file) > 1}):
        yield f"assessment.ratings: {file} stands there twice; take it out once"
    for file in dict.fromkeys(files):
        if (root / file).is_file():
            yield from (f"assessment.ratings: {problem}" for problem in read_export(root / file).problems)
        else:
            yield f"assessment.ratings: there is no file {file}; give one that a kit's page exported"
    for kit in dict.fromkeys(entry["kit"] for entry in entries if isinstance(entry, Mapping)):
        if not (root / kit / KEY).is_file():
            yield f"assessment.ratings: {kit} has no {KEY}; give the folder of the kit as it was handed out"
