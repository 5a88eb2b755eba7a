"""Inputs of the rules that bring images in, train generators and draw their images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthworth.inputs.paths import StudyPaths
from synthworth.manifest import read_manifest
from synthworth.outside_sources import source_files
from synthworth.pipeline_folder import is_hub_id


class GeneratorsInputs(StudyPaths):
    """Input functions of rules."""

    def dataset(self, wildcards: Any) -> list[str]:
        """The manifest and every image that it names, so that a changed file is inspected anew."""
        self.study.require_dataset()
        if wildcards.study in self.study.external:
            manifest = Path(self.study.external[wildcards.study])
            key = f"dataset.external.{Path(wildcards.study).name}"
            rows = read_manifest(manifest, key, self.study.findings)
            return [str(manifest), *_present(manifest.parent, rows["image"])]
        if self.study.source == "phantoms":
            return [f"{self.home}/phantoms/manifest.csv", f"{self.home}/phantoms/images"]
        source = Path(self.config["dataset"][self.study.source])
        folder = source.parent if self.study.source == "manifest" else source
        images = _present(folder, self.study.manifest["image"])
        return [str(source), *images] if self.study.source == "manifest" else images

    def described(self, wildcards: Any) -> dict[str, Any]:
        """All images, by split where there is one, and which of them are near duplicates."""
        pooled = self.study.pools(wildcards.study)
        indices = [f"{self.results}/data/{split}/index.csv" for split in self.study.splits]
        return {
            "indices": [f"{self.home}/data/index.csv"] if pooled else indices,
            "near_duplicates": f"{self.parts[0] if pooled else self.results}/data/near_duplicates.csv",
        }

    def weights(self, wildcards: Any) -> list[str]:
        """All weights that the study does not make itself."""
        extractors = self.config["fidelity"]["extractors"]
        fetched = [name for name, entry in extractors.items() if entry["kind"] != "domain"]
        classifiers = self.config["classifiers"]
        fetched += [f"{name}.safetensors" for name, entry in classifiers.items() if entry["pretrained"] is not False]
        adapted = {entry.get("base_model") for entry in self.config["generators"].values()}
        bases = [name for name in self.study.base_models(own=False) if name in adapted]
        return [
            *(f"{self.home}/weights/{name}" for name in fetched),
            *(f"{self.home}/base_models/{name}/pipeline" for name in bases),
        ]

    def outside_images(self, wildcards: Any) -> list[str]:
        """The files of a class of images that someone else made."""
        names = (wildcards.scope, self.study.classes[wildcards.scope])
        return [str(path) for path in source_files(self.config["generators"][wildcards.generator]["images"], names)]

    def other_splits(self, wildcards: Any) -> list[str]:
        """The images that are trained on or chosen by: a guard knows the test images as those that are not these.

        None with folds, each of which tests on images that others train on.
        """
        if self.config["splits"]["folds"]:
            return []
        return [f"{self.results}/data/{split}/index.csv" for split in self.study.splits if split != "test"]

    def base_source(self, wildcards: Any) -> list[str]:
        """The folder that a base model is taken from; none where the hub has it."""
        source = self.config["base_models"][wildcards.base_model]
        return [] if is_hub_id(source) else [source]

    def training_set(self, wildcards: Any) -> dict[str, Any]:
        """A generator's training images, the state that a segment takes up, and what it has of a base model."""
        generator = wildcards.generator
        entry = self.config["generators"][generator]
        size = self.study.size(generator)
        step = self.study.previous_step(generator, int(wildcards.step))
        chain = f"{self.results}/generators/{generator}/{wildcards.scope}"
        base = entry.get("base_model")
        # Not of the training images, so all folds share it where they share the base model.
        prior = f"{self._base_folder(base)}/generators/{generator}/prior.safetensors"
        return {
            "images": self._images("train", size),
            "index": f"{self.results}/data/train/index.csv",
            "state": [] if step is None else f"{chain}/state-{step}.safetensors",
            "base": self._pipeline(base) if base else [],
            "encodings": f"{self.results}/base_models/{base}/train-{size}.safetensors" if base else [],
            "prior": prior if entry.get("prior") else [],
        }

    def base_model(self, wildcards: Any) -> str:
        """The base model that training images are encoded by."""
        return self._pipeline(wildcards.base_model)

    def adapted(self, wildcards: Any) -> str:
        """The base model that a generator adapts."""
        return self._pipeline(self.config["generators"][wildcards.generator]["base_model"])

    def prompted(self, wildcards: Any) -> str | list[str]:
        """The training images' texts, where synthetic images are asked for with them."""
        prompts = self.config["generators"][wildcards.generator].get("prompts")
        return f"{self.results}/data/train/index.csv" if prompts and prompts["source"] == "text" else []

    def first_shards(self, wildcards: Any) -> list[str]:
        """The first shard of each class of a generator."""
        first, last = self.study.shards(wildcards.generator)[0]
        return [self._shard(wildcards.generator, label, first, last) for label in self.study.classes]

    def all_first_shards(self, wildcards: Any) -> list[str]:
        """The first shard of each class of each generator, class by class within a generator."""
        return [
            self._shard(generator, label, *self.study.shards(generator)[0])
            for generator in self.study.synthesising()
            for label in self.study.classes
        ]

    def samples(self, wildcards: Any) -> list[str]:
        """The scored images of all checkpoints of a generator."""
        return self._of_checkpoints(wildcards.generator, ["samples.parquet"])

    def _pipeline(self, base_model: str) -> str:
        return f"{self._base_folder(base_model)}/base_models/{base_model}/pipeline"


def _present(folder: Path, images: Iterable[str]) -> list[str]:
    """The images' files; what is not there is for the inspection to report, with its rows."""
    return [str(folder / image) for image in images if (folder / image).is_file()]
