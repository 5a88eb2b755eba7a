"""The weights that a study takes from elsewhere: what they are, on record before anything is trained."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import timm

from synthworth.errors import StudyError
from synthworth.files import replacing


def record_weights(paths: Sequence[str], output: str, architectures: Mapping[str, str]) -> None:
    """Writes {name: SHA-256} of weights as JSON: files, by their names, and those in folders of base models and
    extractors, by that name and their place in the folder.

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
    for name, path in _files(map(Path, paths)):
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            # <name of the base model>/pipeline, <name of the extractor>
            name = path.parent.name if path.name == "pipeline" else path.name
            inside = sorted(file for file in path.rglob("*") if file.suffix in (".safetensors", ".pt", ".bin"))
            yield from ((f"{name}/{file.relative_to(path)}", file) for file in inside)
        else:
            yield path.name, path
