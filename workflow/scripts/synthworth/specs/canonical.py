"""One canonical JSON string of what a job depends on in the config."""

import functools
import json
from collections.abc import Callable
from typing import Any

from synthworth.study import Study


def canonical(method: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """Makes a method's dictionary one JSON string, the same for equal contents."""

    @functools.wraps(method)
    def spec(self: "ConfigSlices", wildcards: Any) -> str:
        return json.dumps(method(self, wildcards), sort_keys=True, ensure_ascii=False)

    return spec


class ConfigSlices:
    """The config of one study, and what several rules take of it."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.config = study.config
        self.seed = study.config["seeds"]["study"]

    def _part(self, wildcards: Any) -> list[int]:
        """What tells the seeds of a fold from those of the others; nothing without folds."""
        part = self.study.parts.get(wildcards.study)
        return [part.repeat, part.fold] if part else []

    def _provenance(self, wildcards: Any) -> dict[str, str]:
        part = self.study.parts.get(wildcards.study)
        study = f"{self.study.name}, {part.title}" if part else self.study.name
        drawn = " (drawn phantoms, no patients)" if self.study.source == "phantoms" else ""
        return {"study": study + drawn, "protocol": self.config["protocol"]}

    def _findings(self) -> dict[str, list[str]]:
        """The findings of a multi-label study; of another nothing: its jobs do not hang on them."""
        return {"findings": self.study.findings} if self.study.findings else {}

    def _passphrase(self) -> str:
        """What opens the sealed keys of the study's kits."""
        return self.config["assessment"]["passphrase"] or f"{self.study.name} {self.seed}"

    def _ddof(self) -> int:
        return 1 if self.config["statistics"]["standard_deviation"] == "sample" else 0
