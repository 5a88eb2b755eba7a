"""Specs of the rules that bring readers' ratings in."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class RatingsSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def read_ratings(self, wildcards: Any) -> dict[str, Any]:
        """What opens the keys of kits that were handed out."""
        return {"passphrase": self._passphrase()}

    @canonical
    def summarise_ratings(self, wildcards: Any) -> dict[str, Any]:
        """The order of the rows, and how the scores are aggregated."""
        return self._order() | {"ddof": self._ddof()}

    @canonical
    def summarise_preferences(self, wildcards: Any) -> dict[str, Any]:
        """The order of the rows, and how sure the intervals are."""
        return self._order() | {"confidence": self.config["statistics"]["confidence"]}

    @canonical
    def compare_ratings(self, wildcards: Any) -> dict[str, Any]:
        """The order of the rows, and how sure the intervals are."""
        confidence = self.config["statistics"]["confidence"]
        return {"generators": list(self.config["generators"]), "confidence": confidence}

    @canonical
    def correlate_ratings(self, wildcards: Any) -> dict[str, Any]:
        """The arms whose effects are a generator's utility: the baseline's training data with its images added."""
        arms = {arm.shared_name: arm.source for arm in self.study.arms.values() if arm.adds_to(self.study.baseline)}
        return {"arms": arms, "seed": seed(self.seed, "rating_correlations")}

    @canonical
    def draw_rating_examples(self, wildcards: Any) -> dict[str, Any]:
        """What opens the keys, and what the figure says of its origin."""
        return {"passphrase": self._passphrase()} | self._provenance(wildcards)

    def _order(self) -> dict[str, list[str]]:
        return {"generators": list(self.config["generators"]), "classes": list(self.study.classes)}
