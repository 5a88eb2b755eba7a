"""A study's config: put together from the default and the user's, then held against the grammar."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from synthworth.errors import StudyError

# How `off` can reach `memorization.filter_copies`: a bare one is false in YAML, and one on a command line is text.
OFF = ("off", "no", "false")
# Where entries have names of the user's choice; `defaults` under them is no entry.
ENTRIES = [("generators",), ("classifiers",), ("arms",), ("fidelity", "extractors"), ("fidelity", "metrics")]


def compose(default: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The default config with the user's changes.

    Settings are replaced at any depth. Of named entries, those that the changes name are the ones that stay; where
    the changes name none (or only `defaults`), all stay. An entry that is `false` goes, and counts as not named. Each
    entry starts from `defaults` of its section. Arms that the user does not name go with the generator that they lean
    on; those of other classifiers run on all chosen ones. An `off` is one in each of its spellings (`OFF`).
    """
    config = _merge(default, changes)
    for path in ENTRIES:
        section = _at(config, path)
        shared = section.pop("defaults", {})
        chosen = _named(_at(changes, path)) or _named(section)
        for name in list(section):
            if name in chosen and isinstance(section[name], Mapping):
                section[name] = _merge(shared, section[name])
            elif name not in chosen:
                del section[name]
    _drop_orphans(config, _named(_at(changes, ("arms",))))
    memorization = _at(config, ("memorization",))
    if str(memorization.get("filter_copies")).lower() in OFF:
        memorization["filter_copies"] = "off"
    return config


def _named(section: Mapping[str, Any]) -> list[str]:
    return [name for name, entry in section.items() if name != "defaults" and entry is not False]


def _drop_orphans(config: dict[str, Any], named: list[str]) -> None:
    arms = config.get("arms", {})
    for name in [name for name in arms if name not in named and isinstance(arms[name], dict)]:
        arm = arms[name]
        if arm.get("classifiers"):
            # None means all: a control is not lost with the classifier that the default ran it on.
            arm["classifiers"] = [entry for entry in arm["classifiers"] if entry in config["classifiers"]] or None
        if arm.get("generator") not in (None, *config["generators"]):
            del arms[name]


def read_changes(files: Iterable[str | Path], command_line: Mapping[str, Any]) -> dict[str, Any]:
    """What the user wants changed: config files, later ones first to be believed, and the `--config` of a command.

    Snakemake leaves numbers within the braces of `--config dataset='{size: 64}'` as text; here they are numbers.
    """
    changes: dict[str, Any] = {}
    for file in files:
        changes = _merge(changes, yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {})
    return _merge(changes, _typed(dict(command_line)))


def validate(config: Mapping[str, Any], schema: Path) -> None:
    """Holds a composed config against the grammar; raises one StudyError that lists all problems by config key."""
    grammar = yaml.safe_load(schema.read_text(encoding="utf-8"))
    found = jsonschema.Draft202012Validator(grammar).iter_errors(config)
    problems = sorted({line for error in found for line in _describe(error)} | set(_not_finite(config)))
    if problems:
        raise StudyError("The config cannot be used:", problems)


def _not_finite(config: Any, key: str = "") -> Iterator[str]:
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield from _not_finite(value, f"{key}.{name}" if key else str(name))
    elif isinstance(config, list):
        for place, value in enumerate(config):
            yield from _not_finite(value, f"{key}.{place}")
    elif isinstance(config, float) and not math.isfinite(config):
        yield f"{key}: {config} is no number to reckon with"


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = deepcopy(dict(base))
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return _number(value) if isinstance(value, str) else value


def _number(text: str) -> Any:
    """What text means that stands for a number, null, true or false; else the text (`no` too: it is a precision)."""
    words = {"null": None, "none": None, "~": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else text


def _at(config: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    section: Any = config
    for key in path:
        section = section.get(key) if isinstance(section, Mapping) else None
    return section if isinstance(section, dict) else {}


def _describe(error: jsonschema.ValidationError) -> Iterator[str]:
    key = ".".join(str(part) for part in error.absolute_path) or "(top)"
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(error.schema.get("properties", {}))
        for name in error.instance:
            if known and name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(known)}"
                yield f"{key}: unknown key `{name}`; {hint}"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield f"{key}: missing key {', '.join(f'`{name}`' for name in missing)}"
    elif error.validator == "type" and isinstance(error.instance, str) and isinstance(_number(error.instance), float):
        yield f"{key}: YAML takes {error.instance} for text; write it with a point, as 1.0e-4"
    elif error.validator == "pattern":
        yield (
            f"{key}: the name {error.instance!r} cannot stand in a path; use letters, digits, `_`, `-`, `.`, "
            "begin with a letter or digit, and leave ends like `.seed-2` to `seeds`"
        )
    elif error.validator in ("oneOf", "anyOf") and error.context:
        # Of several allowed forms, the one that came nearest says what is wrong.
        nearest = jsonschema.exceptions.best_match([error])
        yield from _describe(nearest) if nearest is not error else [f"{key}: {error.message}"]
    else:
        yield f"{key}: {error.message}"
