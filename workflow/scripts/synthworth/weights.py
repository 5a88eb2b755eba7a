"""The weights that a study takes from elsewhere: what they are, on record before anything is trained."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm

from synthworth.errors import StudyError
from synthworth.files import replacing


def record_weights(paths: Sequence[str], output: str, architectures: Mapping[str, str]) -> None:
    """Writes {file name: SHA-256} of the weight files as JSON.

    `architectures` are the names that the config gives timm, by config key; a StudyError lists those it does not know.
    """
    unknown = {key: name for key, name in architectures.items() if not timm.is_model(name)}
    if unknown:
        problems = []
        for key, name in unknown.items():
            close = ", ".join(timm.list_models(f"*{name[:6]}*")[:3])
            problems.append(f"{key}: timm has no {name!r}" + (f"; it has {close}" if close else ""))
        raise StudyError("Architectures that do not exist:", problems)
    digests = {}
    for path in map(Path, paths):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
