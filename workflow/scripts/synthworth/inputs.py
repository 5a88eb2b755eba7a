"""Which artifacts each job takes, where that hangs on the config: the methods are input functions of rules."""

from pathlib import Path
from typing import Any

from synthworth.outside_sources import source_files
from synthworth.pipeline_folder import is_hub_id
from synthworth.study import Study

# Inception V3 resizes all images to this side (px); real ones are rendered so, from their files.
INCEPTION_SIZE = 299
# The scores that each table and figure shows.
TABLE_SCORES = {
    "table1_demographics": "demographics.csv",
    "table2_classes": "classes.csv",
    "table5_fid": "fidelity.csv",
    "table6_ratings": "ratings.csv",
    "table7_accuracy": "cells.csv",
    "table8_accuracy_change": "cells.csv",
    "table9_per_class": "cells.csv",
    "effects": "comparisons.csv",
}
FIGURE_SCORES = {
    "figure2_fid_curves": "fidelity.csv",
    "figure4_ms_ssim_curves": "fidelity.csv",
    "figure7_accuracy_change": "cells.csv",
    "figure_effects": "comparisons.csv",
}
# What the published scores hold: no images, no curves, no intervals.
PUBLISHED_TABLES = [
    "table5_fid",
    "table6_ratings",
    "table7_accuracy",
    "table8_accuracy_change",
    "table9_per_class",
]
PUBLISHED_FIGURES = ["figure7_accuracy_change"]
# What cached scores need not hold: the images stay where they are.
DATA_TABLES = ["table1_demographics", "table2_classes"]


class Inputs:
    """Paths of a study's artifacts under `results/<study>/`, for the jobs that take them."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.config = study.config
        self.results = f"results/{study.name}"

    def dataset(self, wildcards: Any) -> list[str]:
        """The manifest and every image that it names, so that a changed file is inspected anew."""
        self.study.require_dataset()
        if self.study.source == "phantoms":
            return [f"{self.results}/phantoms/manifest.csv", f"{self.results}/phantoms/images"]
        source = Path(self.config["dataset"][self.study.source])
        folder = source.parent if self.study.source == "manifest" else source
        # Files that are not there are for the inspection to report, with their rows.
        images = [folder / image for image in self.study.manifest["image"] if (folder / image).is_file()]
        return [str(path) for path in ([source, *images] if self.study.source == "manifest" else images)]

    def weights(self, wildcards: Any) -> list[str]:
        """All weights that the study does not make itself."""
        extractors = self.config["fidelity"]["extractors"]
        fetched = [f"{name}.pt" for name, entry in extractors.items() if entry["kind"] == "inception"]
        classifiers = self.config["classifiers"]
        fetched += [f"{name}.safetensors" for name, entry in classifiers.items() if entry["pretrained"] is not False]
        adapted = {entry.get("base_model") for entry in self.config["generators"].values()}
        bases = [name for name in self.study.base_models(own=False) if name in adapted]
        return [
            *(f"{self.results}/weights/{name}" for name in fetched),
            *(f"{self.results}/base_models/{name}/pipeline" for name in bases),
        ]

    def outside_images(self, wildcards: Any) -> list[str]:
        """The files of a class of images that someone else made."""
        names = (wildcards.scope, self.study.classes[wildcards.scope])
        return [str(path) for path in source_files(self.config["generators"][wildcards.generator]["images"], names)]

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
        base = self.base_model(wildcards)
        return {
            "images": self._images("train", size),
            "index": f"{self.results}/data/train/index.csv",
            "state": [] if step is None else f"{chain}/state-{step}.safetensors",
            "base": base,
            "encodings": f"{Path(base).parent}/train-{size}.safetensors" if base else [],
            "prior": f"{self.results}/generators/{generator}/prior.safetensors" if entry.get("prior") else [],
        }

    def base_model(self, wildcards: Any) -> str | list[str]:
        """The base model that a generator adapts; none for one that starts from nothing."""
        name = self.config["generators"][wildcards.generator].get("base_model")
        return f"{self.results}/base_models/{name}/pipeline" if name else []

    def prompted(self, wildcards: Any) -> str | list[str]:
        """The training images' texts, where synthetic images are asked for with them."""
        prompts = self.config["generators"][wildcards.generator].get("prompts")
        return f"{self.results}/data/train/index.csv" if prompts and prompts["source"] == "text" else []

    def reference_images(self, wildcards: Any) -> str:
        """The real training images, of the size that the extractor looks at: one reference for all generators."""
        inception = self.config["fidelity"]["extractors"][wildcards.extractor]["kind"] == "inception"
        return self._images("train", INCEPTION_SIZE if inception else self.config["dataset"]["size"])

    def extractor(self, wildcards: Any) -> str:
        """An extractor: weights that were fetched, or a folder trained on the study's own training images."""
        if self.config["fidelity"]["extractors"][wildcards.extractor]["kind"] == "inception":
            return f"{self.results}/weights/{wildcards.extractor}.pt"
        return f"{self.results}/fidelity/extractors/{wildcards.extractor}"

    def scored(self, wildcards: Any) -> dict[str, str]:
        """What a metric is measured on: the images, or their features beside the real ones'."""
        folder = self._scores(wildcards.generator, wildcards.step, wildcards.label)
        extractor = self.config["fidelity"]["metrics"][wildcards.metric].get("extractor")
        if extractor is None:
            return {"images": f"{folder}/samples.parquet"}
        return {
            "features": f"{folder}/features-{extractor}.npz",
            "reference": f"{self.results}/fidelity/reference/{extractor}/{wildcards.label}.npz",
        }

    def checkpoint_scores(self, wildcards: Any) -> list[str]:
        """The scores of all checkpoints of a generator, by all metrics."""
        return [
            f"{self._scores(wildcards.generator, step, label)}/{metric}.csv"
            for label in self.study.classes
            for step in self.study.steps(wildcards.generator)
            for metric in self.config["fidelity"]["metrics"]
        ]

    def samples(self, wildcards: Any) -> list[str]:
        """The scored images of all checkpoints of a generator, by class and step."""
        return [
            f"{self._scores(wildcards.generator, step, label)}/samples.parquet"
            for label in self.study.classes
            for step in self.study.steps(wildcards.generator)
        ]

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

    def curves(self, wildcards: Any) -> list[str]:
        """The curves of all generators."""
        return [f"{self.results}/fidelity/{generator}/curves.csv" for generator in self.config["generators"]]

    def selections(self, wildcards: Any) -> list[str]:
        """The chosen checkpoints of all generators."""
        return [f"{self.results}/fidelity/{generator}/selected.json" for generator in self.config["generators"]]

    def table_scores(self, wildcards: Any) -> str:
        """The scores that a table shows."""
        return self.scores(wildcards.study, TABLE_SCORES[wildcards.table])

    def figure_scores(self, wildcards: Any) -> str:
        """The scores that a figure shows."""
        return self.scores(wildcards.study, FIGURE_SCORES[wildcards.figure])

    def report(self, wildcards: Any) -> dict[str, Any]:
        """What the report shows: from cached scores only tables and figures, else also what the data look like."""
        cached = self.config["cached_scores"] is not None
        if not cached:
            self.study.require_dataset()
        tables = [
            table for table in TABLE_SCORES if table != "table6_ratings" and not (cached and table in DATA_TABLES)
        ]
        pictures = [] if cached else ["samples_real", "samples_generators"]
        for generator in [] if cached else self.config["generators"]:
            pictures += [f"samples_synthetic_{generator}"] if self.study.shards(generator) else []
            # What was not trained has no progress to show.
            pictures += [f"figure3_progression_{generator}"] if len(self.study.steps(generator)) > 1 else []
        return {
            "verdict": self.scores(self.study.name, "verdict.json"),
            "tests": self.scores(self.study.name, "generators.csv"),
            "tables": [f"{self.results}/tables/{table}.html" for table in tables],
            "figures": [f"{self.results}/figures/{figure}.png" for figure in [*FIGURE_SCORES, *pictures]],
            "weights": [] if cached else f"{self.results}/weights/record.json",
            "duplicates": [] if cached else f"{self.results}/scores/duplicates.csv",
        }

    def scores(self, study: str, name: str) -> str:
        """A file of scores: made by the study, or taken from the folder `cached_scores`."""
        cached = self.config["cached_scores"]
        if study == self.study.name and cached is not None:
            return f"{cached}/{name}"
        return f"results/{study}/scores/{name}"

    def _scores(self, generator: str, step: int | str, label: str) -> str:
        scope = self.study.scope(generator, label)
        return f"{self.results}/fidelity/{generator}/{scope}/step-{step}/{label}"

    def _images(self, split: str, size: int) -> str:
        return f"{self.results}/data/{split}/images-{size}.npy"

    def _shard(self, generator: str, label: str, first: int, last: int) -> str:
        return f"{self.results}/synthesis/{generator}/{label}/images-{first}-{last}.parquet"
