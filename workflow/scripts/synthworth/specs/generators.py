"""Specs of the rules that train generators and draw their images."""

from typing import Any

from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical

# What of a generator's entry its training does not hang on: other artifacts, or other jobs, do.
NOT_TRAINED = ("method", "scope", "size", "base_model", "checkpoints", "gpus", "sampling_batch_size", "sampling")
# What of `training` says how a training fits into memory: its result is the same but for rounding.
MEMORY = ("micro_batch_size", "gradient_checkpointing")


class GeneratorsSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def train_generator(self, wildcards: Any) -> dict[str, Any]:
        """A generator's training; not which checkpoints are kept: more of them leave those that exist valid."""
        entry = self.config["generators"][wildcards.generator]
        scope = wildcards.scope
        classes = self.study.classes_of(scope)
        settings = {key: value for key, value in entry.items() if key not in NOT_TRAINED}
        settings["training"] = {key: value for key, value in entry["training"].items() if key not in MEMORY}
        if "prompts" in entry:
            settings["prompts"] = self._prompts(wildcards.generator, classes)
        return {
            "name": entry["method"],
            "classes": classes,
            "settings": settings,
            "seed": seed(self.seed, "generator", wildcards.generator, scope, *self._part(wildcards)),
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
        """The images by which a checkpoint is scored: the first ones of each class."""
        generator = wildcards.generator
        return {
            "names": self._names(wildcards) | {"scope": wildcards.scope, "step": int(wildcards.step)},
            "subjects": [self._subject(generator, name) for name in self.study.classes_of(wildcards.scope)],
            "first": 0,
            "last": self.config["fidelity"]["images"] - 1,
            "settings": self._sampling(generator),
        }

    @canonical
    def synthesize_shard(self, wildcards: Any) -> dict[str, Any]:
        """The images of a shard."""
        generator = wildcards.generator
        return {
            "names": self._names(wildcards),
            "subject": self._subject(generator, wildcards.label),
            "settings": self._sampling(generator),
        }

    def _names(self, wildcards: Any) -> dict[str, Any]:
        method, part = self.config["generators"][wildcards.generator]["method"], self._part(wildcards)
        study_seed = seed(self.seed, *part) if part else self.seed
        return {"study_seed": study_seed, "generator": wildcards.generator, "method": method}

    def _subject(self, generator: str, name: str) -> dict[str, Any]:
        return {"name": name, "label": self.study.classes[name], "prompts": self._prompts(generator, [name])}

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
