"""Specs of the rules that bring images in."""

from typing import Any

from synthworth.specs.canonical import ConfigSlices, canonical


class DataSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def draw_phantoms(self, wildcards: Any) -> dict[str, Any]:
        """Which phantoms to draw."""
        return dict(self.config["dataset"]["phantoms"]) | {"seed": self.seed}

    @canonical
    def inspect_images(self, wildcards: Any) -> dict[str, Any]:
        """Where the images are, and which labels are classes."""
        return {"classes": self.study.classes} | self._source()

    @canonical
    def split_patients(self, wildcards: Any) -> dict[str, Any]:
        """The shares of the splits."""
        shares = {split: self.config["splits"]["fractions"][split] for split in self.study.splits}
        return {"fractions": shares, "seed": self.config["splits"]["seed"]}

    @canonical
    def render_images(self, wildcards: Any) -> dict[str, Any]:
        """Where the images are, and how they become arrays."""
        dataset = self.config["dataset"]
        return {"channels": dataset["channels"], "fit": dataset["fit"]} | self._source()

    @canonical
    def record_weights(self, wildcards: Any) -> dict[str, Any]:
        """The architectures that timm is to know."""
        sections = {
            "classifiers": self.config["classifiers"],
            "fidelity.extractors": self.config["fidelity"]["extractors"],
        }
        return {
            "architectures": {
                f"{section}.{name}.architecture": entry["architecture"]
                for section, entries in sections.items()
                for name, entry in entries.items()
                if "architecture" in entry
            }
        }

    def _source(self) -> dict[str, str]:
        source = self.study.source
        if source == "phantoms":
            return {"manifest": f"results/{self.study.name}/phantoms/manifest.csv"}
        return {source: self.config["dataset"][source]}
