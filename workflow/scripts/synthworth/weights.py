"""The weights that a study takes from elsewhere: what they are, on record before anything is trained."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from synthworth.files import replacing


def record_weights(paths: Sequence[str], output: str) -> None:
    """Writes {file name: SHA-256} of the weight files as JSON."""
    digests = {}
    for path in map(Path, paths):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
