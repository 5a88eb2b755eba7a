"""Inputs of the rules that train classifiers and test them."""

from typing import Any

from synthworth.inputs.paths import StudyPaths


class ClassifiersInputs(StudyPaths):
    """Input functions of rules."""

    def training_data(self, wildcards: Any) -> dict[str, Any]:
        """A run's real training images, its synthetic ones, those that choose the epoch, and pretrained weights."""
        entry = self.config["classifiers"][wildcards.classifier]
        arm = self.study.arms[wildcards.arm]
        shards = self.study.shards(arm.generator, arm.per_class, arm.first) if arm.generator else []
        fetched = entry["pretrained"] is not False
        return {
            "images": self._images("train", entry["size"]),
            "index": f"{self.results}/data/train/index.csv",
            "select_images": self._images(self.study.selection_split, entry["size"]),
            "select_index": f"{self.results}/data/{self.study.selection_split}/index.csv",
            "shards": [
                self._shard(arm.generator, label, first, last) for label in self.study.classes for first, last in shards
            ],
            "rendered": [
                self._rendered(arm.generator, label, first, last, entry["size"])
                for label in self.study.classes
                for first, last in shards
            ],
            "copies": [
                self._flags(arm.generator, label, first, last)
                for label in self.study.classes
                for first, last in shards
                if self.study.drops_copies
            ],
            "pretrained": f"{self.home}/weights/{wildcards.classifier}.safetensors" if fetched else [],
        }

    def test_data(self, wildcards: Any) -> dict[str, str]:
        """A run's model and the images it is tested on: the test split, or an external set, which has no other."""
        size = self.config["classifiers"][wildcards.classifier]["size"]
        trained = self.home if wildcards.study in self.study.external else self.results
        return {
            "classifier": f"{trained}/classifiers/{{classifier}}/{{arm}}/seed-{{seed}}/model",
            "images": self._images("test", size),
            "index": f"{self.results}/data/test/index.csv",
        }

    def training_indices(self, wildcards: Any) -> list[str]:
        """The indices of the training images; of a study with folds, of each part."""
        folders = self.parts if self.study.pools(wildcards.study) else [self.results]
        return [f"{folder}/data/train/index.csv" for folder in folders]

    def predictions(self, wildcards: Any) -> list[str]:
        """The predictions of all runs; of a study with folds those of each run's folds, repeat by repeat."""
        folders = self.parts if self.study.pools(wildcards.study) else [self.results]
        folds = self.config["splits"]["folds"] or 1
        return [
            f"{folder}/classifiers/{run.classifier}/{run.arm.name}/seed-{run.seed}/predictions.csv"
            for first in range(0, len(folders), folds)
            for run in self.study.runs
            for folder in folders[first : first + folds]
        ]
