"""Specs of the rules of the readers' assessment."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class AssessmentSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def make_rating_kit(self, wildcards: Any) -> dict[str, Any]:
        """Which images a kit shows, how large, and what seals its key."""
        settings = self.config["assessment"]
        return {
            "mode": wildcards.mode,
            "labels": self.study.classes,
            "images": settings["images"],
            "real_share": settings["real_share"],
            "repeat_share": settings["repeat_share"],
            "size": self.study.kit_size,
            "passphrase": self._passphrase(),
            "seed": seed(self.seed, "rating_kit", wildcards.mode, *self._part(wildcards)),
        }
