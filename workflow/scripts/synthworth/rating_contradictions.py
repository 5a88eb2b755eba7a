"""What `assessment.ratings` can get wrong that the grammar cannot say; what the files say is for `ratings.validation`.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def rating_contradictions(config: Mapping[str, Any], root: Path) -> Iterator[str]:
    """The problems of `assessment.ratings`, a line each. Relative paths start at `root`."""
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
        if not (root / file).is_file():
            yield f"assessment.ratings: there is no file {file}; give one that a kit's page exported"
    for kit in dict.fromkeys(entry["kit"] for entry in entries if isinstance(entry, Mapping)):
        if not (root / kit / "key.sealed").is_file():
            yield f"assessment.ratings: {kit} has no key.sealed; give the folder of the kit as it was handed out"
