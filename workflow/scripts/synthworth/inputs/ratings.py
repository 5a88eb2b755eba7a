"""Inputs of the rules that bring readers' ratings in."""

from typing import Any

from synthworth.inputs.paths import StudyPaths
from synthworth.rating_kit import KEY


class RatingsInputs(StudyPaths):
    """Input functions of rules."""

    def exports(self, wildcards: Any) -> dict[str, list[str]]:
        """The readers' files, the keys of the study's own kits that they rate, and those of kits handed out."""
        keys, sealed, _ = self._kits(self.study.rated_modes(own=True))
        return {"ratings": list(self.study.ratings), "open_keys": keys, "sealed_keys": sealed}

    def rated_kits(self, wildcards: Any) -> dict[str, list[str]]:
        """The study's own kit of single images, if it was rated, and the kits that were handed out, with their keys."""
        keys, sealed, kits = self._kits([mode for mode in self.study.rated_modes(own=True) if mode == "single"])
        return {"open_keys": keys, "sealed_keys": sealed, "kits": kits}

    def _kits(self, modes: list[str]) -> tuple[list[str], list[str], list[str]]:
        """Open keys, sealed keys, and the folders of both."""
        made = [f"{self.results}/assessment/{mode}" for mode in modes if mode in self.config["assessment"]["modes"]]
        handed_out = list(dict.fromkeys(kit for kit in self.study.ratings.values() if kit is not None))
        keys, sealed = [f"{folder}/key.csv" for folder in made], [f"{kit}/{KEY}" for kit in handed_out]
        return keys, sealed, [*(f"{folder}/kit" for folder in made), *handed_out]
