"""Inputs of the rules of the memorisation audit."""

from typing import Any

from synthworth.inputs.paths import StudyPaths


class MemorizationInputs(StudyPaths):
    """Input functions of rules."""

    def real_images(self, wildcards: Any) -> dict[str, str]:
        """The real images that were trained on and those that were held out, at a size, with their features."""
        return self._real_images(int(wildcards.size))

    def real_images_beside(self, wildcards: Any) -> dict[str, str]:
        """The same at the size of a generator's images: both are resized from there, by the same code."""
        return self._real_images(self.study.size(wildcards.generator))

    def memorization_extractor(self, wildcards: Any) -> str:
        """The extractor by which images are compared."""
        return self._extractor(self.config["memorization"]["extractor"])

    def memorization_features(self, wildcards: Any) -> str:
        """The features by which a checkpoint's images are compared."""
        folder = self._checkpoint(wildcards.generator, wildcards.scope, wildcards.step)
        return f"{folder}/features-{self.config['memorization']['extractor']}.npz"

    def comparisons(self, wildcards: Any) -> list[str]:
        """The comparisons of all checkpoints of a generator with the real images."""
        return [
            f"{self.results}/memorization/{wildcards.generator}/{scope}/step-{step}.csv"
            for scope in self.study.scopes(wildcards.generator)
            for step in self.study.steps(wildcards.generator)
        ]

    def memorization_references(self, wildcards: Any) -> list[str]:
        """The references of all classes at the size of a generator's images, two files each."""
        return self._references(wildcards.generator, list(self.study.classes))

    def audits(self, wildcards: Any) -> list[str]:
        """A table of the audits of all generators."""
        return [f"{self.results}/memorization/{name}/{wildcards.audited}.csv" for name in self.config["generators"]]

    def audited(self, wildcards: Any) -> dict[str, Any]:
        """A generator's audit, the images that were audited, and those that they are held against."""
        folder = f"{self.results}/memorization/{wildcards.generator}"
        return {
            "audited": f"{folder}/images.csv",
            "alarms": f"{folder}/alarms.csv",
            "selected": f"{self.results}/fidelity/{wildcards.generator}/selected.json",
            "samples": self.samples(wildcards),
            "train_images": self._images("train", self.study.size(wildcards.generator)),
            "train_index": f"{self.results}/data/train/index.csv",
        }

    def flagging(self, wildcards: Any) -> dict[str, Any]:
        """The training images that a shard's are compared with, and the references that say what counts as a copy."""
        train = {key: path for key, path in self.real_images_beside(wildcards).items() if key.startswith("train_")}
        labels = [wildcards.label, *(label for label in self.study.classes if label != wildcards.label)]
        return train | {
            "references": self._references(wildcards.generator, labels),
            "extractor": self.memorization_extractor(wildcards),
        }

    def flags(self, wildcards: Any) -> list[str]:
        """What is a copy among the synthetic images of all generators."""
        return [
            self._flags(generator, label, first, last)
            for generator in self.study.synthesising()
            for label in self.study.classes
            for first, last in self.study.shards(generator)
        ]

    def _real_images(self, size: int) -> dict[str, str]:
        extractor = self.config["memorization"]["extractor"]
        return {
            f"{name}_{key}": path
            for name, split in (("train", "train"), ("held_out", "select"))
            for key, path in {
                "images": self._images(split, size),
                "index": f"{self.results}/data/{split}/index.csv",
                "features": self._real_features(extractor, split, size),
            }.items()
        }

    def _references(self, generator: str, labels: list[str]) -> list[str]:
        size = self.study.size(generator)
        return [self._reference(size, label, name) for label in labels for name in ("comparisons", "twins")]
