"""Inputs of the rules that score checkpoints, and of those that doubt the scores."""

from typing import Any

from synthworth.contradictions import LAST
from synthworth.inputs.paths import StudyPaths

# Extractors resize all images to these sides (px); for the metrics, as published, real ones are rendered so from
# their files. Where marks of origin count, they are rendered at the generator's size and resized as synthetic ones are.
EXTRACTOR_SIZES = {"inception": 299, "clip": 224, "xrv": 224, "dinov2": 256}


class FidelityInputs(StudyPaths):
    """Input functions of rules."""

    def extractor(self, wildcards: Any) -> str:
        """An extractor: weights that were fetched, or a folder trained on the study's own training images."""
        return self._extractor(wildcards.extractor)

    def scored(self, wildcards: Any) -> dict[str, str]:
        """What a metric is measured on: the images, or their features beside the real ones'."""
        folder = self._checkpoint(wildcards.generator, wildcards.scope, wildcards.step)
        entry = self.config["fidelity"]["metrics"][wildcards.metric]
        if "extractor" not in entry:
            return {"images": f"{folder}/samples.parquet"}
        features = {"features": f"{folder}/features-{entry['extractor']}.npz"}
        if "reference" not in entry:
            return features
        return features | {"reference": self._metric_reference(entry["extractor"], entry["reference"])}

    def floor_images(self, wildcards: Any) -> dict[str, str]:
        """The real training images, or their features, among which a metric's floor is measured."""
        entry = self.config["fidelity"]["metrics"][wildcards.metric]
        if "extractor" in entry:
            splits = {"features": "train"} | ({"reference": entry["reference"]} if "reference" in entry else {})
            return {key: self._metric_reference(entry["extractor"], split) for key, split in splits.items()}
        size = self.config["dataset"]["size"]
        return {"images": self._images("train", size), "index": f"{self.results}/data/train/index.csv"}

    def floors(self, wildcards: Any) -> list[str]:
        """What each metric says of real images alone."""
        return [f"{self.results}/fidelity/floors/{metric}.csv" for metric in self.config["fidelity"]["metrics"]]

    def checkpoint_scores(self, wildcards: Any) -> list[str]:
        """The scores of all checkpoints of a generator, by all metrics."""
        return self._of_checkpoints(wildcards.generator, [f"{name}.csv" for name in self.config["fidelity"]["metrics"]])

    def selection_scores(self, wildcards: Any) -> list[str]:
        """The scores by which a generator's checkpoints are chosen; other metrics leave the choice as it is.

        Where that is the last checkpoint whatever its scores, the checkpoint.
        """
        generator, selection = wildcards.generator, self.config["fidelity"]["selection"]
        if selection != LAST:
            return self._of_checkpoints(generator, [f"{selection}.csv"])
        step = self.study.steps(generator)[-1]
        return [f"{self.results}/generators/{generator}/{scope}/step-{step}" for scope in self.study.scopes(generator)]

    def curves(self, wildcards: Any) -> list[str]:
        """The curves of all generators."""
        return [f"{self.results}/fidelity/{generator}/curves.csv" for generator in self.config["generators"]]

    def selections(self, wildcards: Any) -> list[str]:
        """The chosen checkpoints of all generators."""
        return [f"{self.results}/fidelity/{generator}/selected.json" for generator in self.config["generators"]]

    def selftests(self, wildcards: Any) -> list[str]:
        """What the metrics of each extractor, and those of images, say of spoilt real images."""
        folder = f"{self.results}/fidelity/selftest"
        used = dict.fromkeys(entry.get("extractor") for entry in self.config["fidelity"]["metrics"].values())
        return [f"{folder}/features-{name}.csv" if name else f"{folder}/images.csv" for name in used]

    def recognised(self, wildcards: Any) -> dict[str, Any]:
        """The runs of the first classifier on the baseline, held-out real images and each generator's first shards.

        And the training images, where these say which findings synthetic ones are to show.
        """
        baseline = self.config["statistics"]["baseline"]
        classifier = self.study.arms[baseline].classifiers[0]
        size = self.config["classifiers"][classifier]["size"]
        runs = f"{self.results}/classifiers/{classifier}/{baseline}"
        return {
            "classifiers": [f"{runs}/seed-{seed}/model" for seed in self.config["seeds"]["runs"]],
            "images": self._images("select", size),
            "index": f"{self.results}/data/select/index.csv",
            "train_index": f"{self.results}/data/train/index.csv" if self.study.findings else [],
            "shards": self.all_first_shards(wildcards),
            "rendered": [
                self._rendered(generator, label, *self.study.shards(generator)[0], size)
                for generator in self.study.synthesising()
                for label in self.study.classes
            ],
        }

    def detected(self, wildcards: Any) -> dict[str, Any]:
        """Features of held-out real images, for each generator at its size, and of all checkpoints; the chosen ones."""
        extractor = self.config["fidelity"]["detector"]["extractor"]
        return {
            "references": [
                self._real_features(extractor, "select", self.study.size(generator))
                for generator in self.config["generators"]
            ],
            "selections": self.selections(wildcards),
            "features": [
                file
                for generator in self.config["generators"]
                for file in self._of_checkpoints(generator, [f"features-{extractor}.npz"])
            ],
        }

    def _metric_reference(self, extractor: str, split: str) -> str:
        """Features of real images rendered at the size that the extractor looks at: the same for all generators."""
        kind = self.config["fidelity"]["extractors"][extractor]["kind"]
        return self._real_features(extractor, split, EXTRACTOR_SIZES.get(kind, self.config["dataset"]["size"]))
