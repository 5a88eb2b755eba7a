"""What each rule's job depends on in the config, as one canonical JSON string.

Snakemake compares a job's params as an unnamed set of `repr`s: of two numbers that swap places it would notice
nothing. One string with sorted keys notices everything, and nothing that the job does not use. A method has the name
of its rule and takes the job's wildcards; its keys are keyword arguments of the function that the rule's script calls.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

from synthworth.seeds import seed
from synthworth.study import Study

# What of a generator's entry its training does not hang on: other artifacts, or other jobs, do.
NOT_TRAINED = ("method", "scope", "size", "base_model", "checkpoints", "gpus", "sampling_batch_size", "sampling")
# What of `training` says how a training fits into memory: its result is the same but for rounding.
MEMORY = ("micro_batch_size", "gradient_checkpointing")


def canonical(method: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """Makes a method's dictionary one JSON string, the same for equal contents."""

    @functools.wraps(method)
    def spec(self: "Specs", wildcards: Any) -> str:
        return json.dumps(method(self, wildcards), sort_keys=True, ensure_ascii=False)

    return spec


class Specs:
    """The slices of one study's config, a method per rule."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.config = study.config
        self.seed = study.config["seeds"]["study"]

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

    @canonical
    def train_generator(self, wildcards: Any) -> dict[str, Any]:
        """A generator's training; not which checkpoints are kept: more of them leave those that exist valid."""
        entry = self.config["generators"][wildcards.generator]
        scope = wildcards.scope
        classes = list(self.study.classes) if scope == "all" else [scope]
        settings = {key: value for key, value in entry.items() if key not in NOT_TRAINED}
        settings["training"] = {key: value for key, value in entry["training"].items() if key not in MEMORY}
        if "prompts" in entry:
            settings["prompts"] = self._prompts(wildcards.generator, classes)
        return {
            "name": entry["method"],
            "classes": classes,
            "settings": settings,
            "seed": seed(self.seed, "generator", wildcards.generator, scope),
        }

    @canonical
    def import_generator(self, wildcards: Any) -> dict[str, Any]:
        """Images that someone else made, and how they become a class of the study's."""
        dataset = self.config["dataset"]
        return {
            "source": self.config["generators"][wildcards.generator]["images"],
            "name": wildcards.scope,
            "classes": self.study.classes,
            "size": self.study.size(wildcards.generator),
            "fit": dataset["fit"],
            "channels": dataset["channels"],
            "seed": seed(self.seed, "generator", wildcards.generator, wildcards.scope),
        }

    @canonical
    def fetch_base_model(self, wildcards: Any) -> dict[str, Any]:
        """Where a base model comes from."""
        source = self.config["base_models"][wildcards.base_model]
        return {"source": source, "config_key": f"base_models.{wildcards.base_model}"}

    @canonical
    def train_base_model(self, wildcards: Any) -> dict[str, Any]:
        """The parts and the training of a base model of the study's own."""
        settings = self.config["base_models"][wildcards.base_model]
        return settings | {"seed": seed(self.seed, "base_model", wildcards.base_model)}

    @canonical
    def sample_prior(self, wildcards: Any) -> dict[str, Any]:
        """The images of the base model that hold DreamBooth back."""
        entry = self.config["generators"][wildcards.generator]
        return {
            "prompt": entry["prior"]["prompt"],
            "images": entry["prior"]["images"],
            "generator": wildcards.generator,
            "size": self.study.size(wildcards.generator),
            "sampling": entry["sampling"],
            "study_seed": self.seed,
        }

    @canonical
    def sample_checkpoint(self, wildcards: Any) -> dict[str, Any]:
        """The images by which a checkpoint is scored: the first ones of a class."""
        names = self._names(wildcards) | {"scope": wildcards.scope, "step": int(wildcards.step)}
        return {
            "names": names,
            "first": 0,
            "last": self.config["fidelity"]["images"] - 1,
            "settings": self._sampling(wildcards.generator),
        }

    @canonical
    def synthesize_shard(self, wildcards: Any) -> dict[str, Any]:
        """The images of a shard."""
        return {"names": self._names(wildcards), "settings": self._sampling(wildcards.generator)}

    @canonical
    def fetch_extractor(self, wildcards: Any) -> dict[str, Any]:
        """Where an extractor's weights come from."""
        return {"weights": self.config["fidelity"]["extractors"][wildcards.extractor]["weights"]}

    @canonical
    def train_extractor(self, wildcards: Any) -> dict[str, Any]:
        """The training of the study's own extractor."""
        entry = self.config["fidelity"]["extractors"][wildcards.extractor]
        keys = ("architecture", "epochs", "batch_size", "learning_rate")
        return {key: entry[key] for key in keys} | {"seed": seed(self.seed, "extractor", wildcards.extractor)}

    @canonical
    def extract_features(self, wildcards: Any) -> dict[str, Any]:
        """The kind of an extractor."""
        return {"kind": self.config["fidelity"]["extractors"][wildcards.extractor]["kind"]}

    @canonical
    def reference_features(self, wildcards: Any) -> dict[str, Any]:
        """The kind of an extractor, and which real images of a class it sees."""
        kind = self.config["fidelity"]["extractors"][wildcards.extractor]["kind"]
        return {"kind": kind, "class_name": wildcards.label, "count": self.config["fidelity"]["reference_images"]}

    @canonical
    def score_checkpoint(self, wildcards: Any) -> dict[str, Any]:
        """A metric and the names of what it is measured on."""
        entry = self.config["fidelity"]["metrics"][wildcards.metric]
        names = {
            "generator": wildcards.generator,
            "scope": wildcards.scope,
            "class": wildcards.label,
            "step": int(wildcards.step),
        }
        if "extractor" in entry:
            names |= {"extractor": entry["extractor"], "reference": "train"}
        return {"metric": entry["metric"], "names": names}

    @canonical
    def select_checkpoint(self, wildcards: Any) -> dict[str, Any]:
        """The rule that chooses checkpoints."""
        entry = self.config["fidelity"]["metrics"][self.config["fidelity"]["selection"]]
        measure = {"extractor": entry["extractor"], "reference": "train"} if "extractor" in entry else {}
        joint = self.study.scopes(wildcards.generator) == ["all"]
        return {"metric": entry["metric"], "classes": list(self.study.classes), "joint": joint} | measure

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

    @canonical
    def render_table(self, wildcards: Any) -> dict[str, Any]:
        """What a table says of its origin, and the baseline of its changes."""
        if wildcards.study == "published":
            return {"study": "Schaudt et al. 2023", "protocol": "published", "baseline": "Baseline"}
        return self._origin()

    @canonical
    def draw_figure(self, wildcards: Any) -> dict[str, Any]:
        """What a figure says of its origin, and how its scores were aggregated."""
        if wildcards.study == "published":
            return {"study": "Schaudt et al. 2023", "protocol": "published", "baseline": "Baseline", "ddof": 0}
        margin = self.config["statistics"]["margin"]
        return self._origin() | {
            "generators": list(self.config["generators"]),
            "ddof": self._ddof(),
            "margin": None if margin is None else 100 * margin,
        }

    @canonical
    def draw_samples(self, wildcards: Any) -> dict[str, Any]:
        """The rows of a sheet of images."""
        return {
            "classes": list(self.study.classes),
        } | self._provenance()

    @canonical
    def draw_generator_samples(self, wildcards: Any) -> dict[str, Any]:
        """The rows and columns of the sheet of all generators' images."""
        return {
            "classes": list(self.study.classes),
            "generators": self.study.synthesising(),
        } | self._provenance()

    @canonical
    def draw_progression(self, wildcards: Any) -> dict[str, Any]:
        """The rows of a sheet of checkpoints' images, and the extractor whose FID stands below them."""
        entries = self.config["fidelity"]["metrics"].values()
        extractor = next((entry["extractor"] for entry in entries if entry["metric"] == "fid"), "")
        return {
            "classes": list(self.study.classes),
            "extractor": extractor,
        } | self._provenance()

    @canonical
    def write_report(self, wildcards: Any) -> dict[str, Any]:
        """The whole config: the report shows it."""
        return {"config": self.config, "classes": list(self.study.classes)}

    def _origin(self) -> dict[str, Any]:
        return {"baseline": self.config["statistics"]["baseline"]} | self._provenance()

    def _provenance(self) -> dict[str, str]:
        drawn = " (drawn phantoms, no patients)" if self.study.source == "phantoms" else ""
        return {"study": self.study.name + drawn, "protocol": self.config["protocol"]}

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

    def _ddof(self) -> int:
        return 1 if self.config["statistics"]["standard_deviation"] == "sample" else 0

    def _source(self) -> dict[str, str]:
        source = self.study.source
        if source == "phantoms":
            return {"manifest": f"results/{self.study.name}/phantoms/manifest.csv"}
        return {source: self.config["dataset"][source]}

    def _names(self, wildcards: Any) -> dict[str, Any]:
        return {
            "study_seed": self.seed,
            "generator": wildcards.generator,
            "method": self.config["generators"][wildcards.generator]["method"],
            "name": wildcards.label,
            "label": self.study.classes[wildcards.label],
            "prompts": self._prompts(wildcards.generator, [wildcards.label]),
        }

    def _prompts(self, generator: str, classes: list[str]) -> dict[str, Any] | None:
        """A generator's prompts without those of other classes: a new one there leaves these images as they are."""
        prompts = self.config["generators"][generator].get("prompts")
        if prompts is None:
            return None
        return prompts | {"classes": {name: text for name, text in prompts["classes"].items() if name in classes}}

    def _sampling(self, generator: str) -> dict[str, Any]:
        entry = self.config["generators"][generator]
        shape = {"size": self.study.size(generator), "channels": self.config["dataset"]["channels"]}
        return shape | {"sampling": entry.get("sampling")}
