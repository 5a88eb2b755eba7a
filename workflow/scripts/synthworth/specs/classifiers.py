"""Specs of the rules that train classifiers and compare arms."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class ClassifiersSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def fetch_classifier(self, wildcards: Any) -> dict[str, Any]:
        """Where a classifier's pretrained weights come from."""
        entry = self.config["classifiers"][wildcards.classifier]
        key = f"classifiers.{wildcards.classifier}.pretrained"
        return {"architecture": entry["architecture"], "source": entry["pretrained"], "config_key": key}

    @canonical
    def train_classifier(self, wildcards: Any) -> dict[str, Any]:
        """A classifier's recipe and what its arm does with the data."""
        entry = self.config["classifiers"][wildcards.classifier]
        arm = self.study.arms[wildcards.arm]
        return entry["training"] | {
            "classes": list(self.study.classes),
            "architecture": entry["architecture"],
            "dropout": entry["dropout"],
            "augmentation": entry["augmentation"],
            "per_class": arm.dose,
            "balance": arm.balance,
            "run_seed": seed(self.seed, "run", wildcards.classifier, wildcards.arm, int(wildcards.seed)),
        }

    @canonical
    def evaluate_classifier(self, wildcards: Any) -> dict[str, Any]:
        """The classes, in the order of the probabilities."""
        return {"classes": list(self.study.classes)}

    @canonical
    def collect_runs(self, wildcards: Any) -> dict[str, Any]:
        """The names of all runs, in the order of their predictions, and how they are aggregated."""
        return {"names": self._runs(), "classes": list(self.study.classes), "ddof": self._ddof()}

    @canonical
    def compare_arms(self, wildcards: Any) -> dict[str, Any]:
        """The runs, the baseline, the metric and the level of the comparisons."""
        statistics = self.config["statistics"]
        return {key: statistics[key] for key in ("baseline", "confidence", "replicates")} | {
            "names": self._runs(),
            "metric": statistics["primary_metric"],
            "seed": seed(self.seed, "statistics"),
        }

    @canonical
    def compare_generators(self, wildcards: Any) -> dict[str, Any]:
        """The metric of the rank tests."""
        return {"metric": self.config["statistics"]["primary_metric"]}

    @canonical
    def reach_verdict(self, wildcards: Any) -> dict[str, Any]:
        """Which effects would be too small to matter."""
        return {"margin": self.config["statistics"]["margin"]}

    def _runs(self) -> list[dict[str, Any]]:
        return [
            {
                "classifier": run.classifier,
                "arm": run.arm.name,
                "generator": run.arm.generator or run.arm.name,
                "dose": run.arm.dose,
                "seed": run.seed,
            }
            for run in self.study.runs
        ]
