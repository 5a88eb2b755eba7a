"""Specs of the rules of the memorisation audit."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class MemorizationSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def compare_real_images(self, wildcards: Any) -> dict[str, Any]:
        """The extractor, and how many training images copies are made of."""
        settings = self.config["memorization"]
        kind = self.config["fidelity"]["extractors"][settings["extractor"]]["kind"]
        return {"name": wildcards.label, "kind": kind, "sources": settings["planted"], "seed": self._cells_seed()}

    @canonical
    def compare_synthetic_images(self, wildcards: Any) -> dict[str, Any]:
        """The classes of a checkpoint."""
        return {"classes": self.study.classes_of(wildcards.scope), "seed": self._cells_seed()}

    @canonical
    def audit_generator(self, wildcards: Any) -> dict[str, Any]:
        """Which checkpoints there are, and when an image is flagged."""
        generator, settings = wildcards.generator, self.config["memorization"]
        steps = self.study.steps(generator)
        return {
            "generator": generator,
            "checkpoints": [[scope, step] for scope in self.study.scopes(generator) for step in steps],
            "classes": list(self.study.classes),
            "rate": settings["false_alarms"],
            "trials": settings["trials"],
            "seed": seed(self.seed, "memorization", generator),
        }

    @canonical
    def flag_copies(self, wildcards: Any) -> dict[str, Any]:
        """The extractor, and when an image is flagged."""
        settings = self.config["memorization"]
        kind = self.config["fidelity"]["extractors"][settings["extractor"]]["kind"]
        names = {"generator": wildcards.generator, "class": wildcards.label}
        return {"names": names, "kind": kind, "rate": settings["false_alarms"]}

    @canonical
    def draw_closest_pairs(self, wildcards: Any) -> dict[str, Any]:
        """What the sheet says of its origin."""
        return self._provenance(wildcards)

    def _cells_seed(self) -> int:
        """One for all comparisons: the parts of feature space within which they are compared hang on it."""
        return seed(self.seed, "memorization")
