"""Inputs of the rules that train classifiers and test them."""

from typing import Any

from synthworth.inputs.paths import StudyPaths


class ClassifiersInputs(StudyPaths):
    """Input functions of rules."""

    def training_data(self, wildcards: Any) -> dict[str, Any]:
        """A run's real training images, its synthetic ones, those that choose the epoch, and pretrained weights."""
        entry = self.config["classifiers"][wildcards.classifier]
        arm = self.study.arms[wildcards.arm]
        shards = self.study.shards(arm.generator, arm.dose) if arm.generator else []
        fetched = entry["pretrained"] is not False
        return {
            "images": self._images("train", entry["size"]),
            "index": f"{self.results}/data/train/index.csv",
            "select_images": self._images(self.study.selection_split, entry["size"]),
            "select_index": f"{self.results}/data/{self.study.selection_split}/index.csv",
            "shards": [
                self._shard(arm.generator, label, first, last) for label in self.study.classes for first, last in shards
            ],
            "copies": [
                self._flags(arm.generator, label, first, last)
                for label in self.study.classes
                for first, last in shards
                if self.study.drops_copies
            ],
            "pretrained": f"{self.results}/weights/{wildcards.classifier}.safetensors" if fetched else [],
        }

    def test_data(self, wildcards: Any) -> dict[str, str]:
        """The test split, for final evaluation."""
        size = self.config["classifiers"][wildcards.classifier]["size"]
        return {"images": self._images("test", size), "index": f"{self.results}/data/test/index.csv"}

    def predictions(self, wildcards: Any) -> list[str]:
        """The predictions of all runs."""
        return [
            f"{self.results}/classifiers/{run.classifier}/{run.arm.name}/seed-{run.seed}/predictions.csv"
            for run in self.study.runs
        ]
