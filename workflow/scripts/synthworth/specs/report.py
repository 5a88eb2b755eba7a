"""Specs of the rules of tables, figures and the report."""

from typing import Any

from synthworth.arms import shared_names
from synthworth.specs.canonical import ConfigSlices, canonical


class ReportSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def render_table(self, wildcards: Any) -> dict[str, Any]:
        """What a table says of its origin, and the baseline of its changes; for Table 8 the arms that do other than
        add images of every class to it, as all of the paper do."""
        if wildcards.study == "published":
            return {"study": "Schaudt et al. 2023", "protocol": "published", "baseline": "Baseline"}
        if wildcards.table != "table8_accuracy_change":
            return self._origin(wildcards)
        synthetic = [arm for arm in self.study.arms.values() if arm.dose]
        special = shared_names(arm for arm in synthetic if not arm.adds_to(self.study.baseline))
        return self._origin(wildcards) | {"special": special}

    @canonical
    def draw_figure(self, wildcards: Any) -> dict[str, Any]:
        """What a figure says of its origin, and how its scores were aggregated."""
        if wildcards.study == "published":
            return {"study": "Schaudt et al. 2023", "protocol": "published", "baseline": "Baseline", "ddof": 0}
        margin = self.config["statistics"]["margin"]
        return self._origin(wildcards) | {
            "generators": list(self.config["generators"]),
            "classes": list(self.study.classes),
            "ddof": self._ddof(),
            "margin": None if margin is None else 100 * margin,
        }

    @canonical
    def draw_samples(self, wildcards: Any) -> dict[str, Any]:
        """The rows of a sheet of images."""
        return {
            "classes": list(self.study.classes),
        } | self._provenance(wildcards)

    @canonical
    def draw_generator_samples(self, wildcards: Any) -> dict[str, Any]:
        """The rows and columns of the sheet of all generators' images."""
        return {
            "classes": list(self.study.classes),
            "generators": self.study.synthesising(),
        } | self._provenance(wildcards)

    @canonical
    def draw_progression(self, wildcards: Any) -> dict[str, Any]:
        """The rows of a sheet of checkpoints' images, and the extractor whose FID stands below them."""
        entries = self.config["fidelity"]["metrics"].values()
        entry = next((entry for entry in entries if entry["metric"] == "fid"), {"extractor": "", "reference": ""})
        measure = {key: entry[key] for key in ("extractor", "reference")}
        return {"classes": list(self.study.classes)} | measure | self._provenance(wildcards)

    @canonical
    def write_report(self, wildcards: Any) -> dict[str, Any]:
        """The whole config, but for what opens the kits' keys: the report shows it; which part it is of, or the parts
        that have reports of their own."""
        config = self.config | {"assessment": self.config["assessment"] | {"passphrase": None}}
        shown = {"config": config, "classes": list(self.study.classes)}
        if self.study.pools(wildcards.study):
            shown["parts"] = [part.title for part in self.study.parts.values()]
        elif wildcards.study in self.study.parts:
            shown["part"] = self.study.parts[wildcards.study].title
        return shown

    def _origin(self, wildcards: Any) -> dict[str, Any]:
        return {"baseline": self.config["statistics"]["baseline"]} | self._provenance(wildcards)
