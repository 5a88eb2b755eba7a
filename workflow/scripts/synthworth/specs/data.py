"""Specs of the rules that bring images in."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class DataSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def draw_phantoms(self, wildcards: Any) -> dict[str, Any]:
        """Which phantoms to draw."""
        return dict(self.config["dataset"]["phantoms"]) | {"seed": self.seed} | self._findings()

    @canonical
    def inspect_images(self, wildcards: Any) -> dict[str, Any]:
        """Where the images are, which labels are classes, and what is said of findings."""
        external = {"external": True} if wildcards.study in self.study.external else {}
        findings = self._findings()
        if findings:
            findings |= {"unmentioned": self.config["dataset"]["unmentioned"]}
        return {"classes": self.study.classes} | self._source(wildcards) | external | findings

    @canonical
    def split_patients(self, wildcards: Any) -> dict[str, Any]:
        """The shares of the splits, which fold is the test split, and what each split must tell of."""
        splits = self.config["splits"]
        shares = {split: splits["fractions"][split] for split in self.study.splits}
        part = self.study.parts.get(wildcards.study)
        if part is None:
            return {"fractions": shares, "seed": splits["seed"]} | self._findings()
        # All folds of a repeat are dealt at once, so from one seed.
        drawn = {"seed": seed(splits["seed"], "repeat", part.repeat)}
        return drawn | {"fractions": shares, "fold": part.fold, "folds": part.folds} | self._findings()

    @canonical
    def describe_data(self, wildcards: Any) -> dict[str, Any]:
        """The findings that are counted."""
        return self._findings()

    @canonical
    def check_external(self, wildcards: Any) -> dict[str, Any]:
        """The names of the study's own splits, and what a test set must tell of."""
        return {"splits": self.study.splits} | self._findings()

    @canonical
    def collect_external(self, wildcards: Any) -> dict[str, Any]:
        """The names of the external test sets, in the order of their files, and the baseline."""
        return {
            "names": list(self.config["dataset"]["external"]),
            "baseline": self.config["statistics"]["baseline"],
        }

    @canonical
    def render_images(self, wildcards: Any) -> dict[str, Any]:
        """Where the images are, and how they become arrays."""
        dataset = self.config["dataset"]
        return {"channels": dataset["channels"], "fit": dataset["fit"]} | self._source(wildcards)

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

    def _source(self, wildcards: Any) -> dict[str, str]:
        if wildcards.study in self.study.external:
            return {"manifest": self.study.external[wildcards.study]}
        source = self.study.source
        if source == "phantoms":
            return {"manifest": f"results/{self.study.name}/phantoms/manifest.csv"}
        return {source: self.config["dataset"][source]}
