"""Inputs of the rules of the readers' assessment."""

from typing import Any

from synthworth.inputs.paths import StudyPaths
from synthworth.replicates import original


class AssessmentInputs(StudyPaths):
    """Input functions of rules."""

    def rated(self, wildcards: Any) -> dict[str, Any]:
        """The images that a kit may show: real ones that no generator saw, where such are held out, and the shards with
        the first synthetic ones of each class. Of a generator that is trained several times, those of the first.

        Shards count whole, also where the arms take a part of one: so a kit stays the one that readers have when an arm
        with a larger dose comes in.
        """
        split = "select" if "select" in self.study.splits else "train"
        return {
            "images": self._images(split, self.study.kit_size),
            "index": f"{self.results}/data/{split}/index.csv",
            "shards": [
                self._shard(generator, label, first, last)
                for generator in self._rated_generators(wildcards.mode)
                for label in self.study.classes
                for first, last in self.study.shards(generator)
                if first < self.config["assessment"]["images"]
            ],
        }

    def _rated_generators(self, mode: str) -> list[str]:
        entries = self.config["generators"]
        return [
            name
            for name in self.study.synthesising()
            if name == original(name) and (mode != "prompt" or entries[name].get("prompts"))
        ]
