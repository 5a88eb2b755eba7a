"""The chosen checkpoints of a generator, as a file says them."""

import json
from pathlib import Path


def read_selection(path: str | Path) -> dict[str, dict[str, str | int | float]]:
    """The chosen checkpoint of each class, as `save_selection` wrote it: class to its scope, step and score."""
    return json.loads(Path(path).read_text(encoding="utf-8"))["checkpoints"]
