"""Specs of the rules that score checkpoints."""

from typing import Any

from synthworth.contradictions import LAST
from synthworth.seeds import seed
from synthworth.specs.canonical import ConfigSlices, canonical


class FidelitySpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def fetch_extractor(self, wildcards: Any) -> dict[str, Any]:
        """Where an extractor's weights come from."""
        entry = self.config["fidelity"]["extractors"][wildcards.extractor]
        key = f"fidelity.extractors.{wildcards.extractor}.weights"
        return {"kind": entry["kind"], "weights": entry["weights"], "config_key": key}

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
        """The kind of an extractor."""
        return {"kind": self.config["fidelity"]["extractors"][wildcards.extractor]["kind"]}

    @canonical
    def score_checkpoint(self, wildcards: Any) -> dict[str, Any]:
        """A metric and the names of what it is measured on."""
        entry = self.config["fidelity"]["metrics"][wildcards.metric]
        names = {"generator": wildcards.generator, "scope": wildcards.scope, "step": int(wildcards.step)}
        settings = self.config["fidelity"]
        return {key: settings[key] for key in ("reference_images", "confidence", "replicates")} | {
            "metric": entry["metric"],
            "names": names | self._measure(wildcards.metric),
            "classes": self.study.classes_of(wildcards.scope),
            "seed": seed(self.seed, "interval", *names.values()),
        }

    @canonical
    def measure_floor(self, wildcards: Any) -> dict[str, Any]:
        """A metric, and how many real images are held against how many."""
        settings = self.config["fidelity"]
        return {key: settings[key] for key in ("reference_images", "replicates")} | {
            "metric": settings["metrics"][wildcards.metric]["metric"],
            "names": self._measure(wildcards.metric),
            "classes": list(self.study.classes),
            "synthetic_images": settings["images"],
            "seed": seed(self.seed, "floor", wildcards.metric),
        }

    @canonical
    def select_checkpoint(self, wildcards: Any) -> dict[str, Any]:
        """The rule that chooses checkpoints."""
        name = self.config["fidelity"]["selection"]
        joint = self.study.scopes(wildcards.generator) == ["all"]
        choice = {"classes": list(self.study.classes), "joint": joint}
        if name == LAST:
            return choice | {"metric": LAST, "last": self.study.steps(wildcards.generator)[-1]}
        return choice | {"metric": self.config["fidelity"]["metrics"][name]["metric"]} | self._measure(name)

    @canonical
    def selftest_features(self, wildcards: Any) -> dict[str, Any]:
        """The metrics that look through an extractor."""
        kind = self.config["fidelity"]["extractors"][wildcards.extractor]["kind"]
        return self._selftest(wildcards.extractor, "selftest_images") | {"extractor": wildcards.extractor, "kind": kind}

    @canonical
    def selftest_images(self, wildcards: Any) -> dict[str, Any]:
        """The metrics that look at images."""
        return self._selftest(None, "selftest_pairs")

    @canonical
    def recognise_images(self, wildcards: Any) -> dict[str, Any]:
        """Whose images, and how many of each class, are to be recognised."""
        shards = {name: self.study.shards(name)[0] for name in self.study.synthesising()}
        return {
            "classes": list(self.study.classes),
            # In the order of the files: JSON sorts the keys of a mapping.
            "generators": [[name, last - first + 1] for name, (first, last) in shards.items()],
            "confidence": self.config["fidelity"]["confidence"],
        } | self._findings()

    @canonical
    def detect_synthetic(self, wildcards: Any) -> dict[str, Any]:
        """Which file of features is whose, and of what size their images are."""
        generators, place = [], 0
        for name in self.config["generators"]:
            keys = [f"{scope}/{step}" for scope in self.study.scopes(name) for step in self.study.steps(name)]
            places = {key: place + offset for offset, key in enumerate(keys)}
            generators.append([name, self.study.size(name), places])
            place += len(keys)
        settings = {"seed": seed(self.seed, "detector"), "confidence": self.config["fidelity"]["confidence"]}
        return {"generators": generators} | settings

    def _selftest(self, extractor: str | None, size: str) -> dict[str, Any]:
        entries = self.config["fidelity"]["metrics"].values()
        own = [entry["metric"] for entry in entries if entry.get("extractor") == extractor]
        return {
            "metrics": list(dict.fromkeys(own)),
            "images_per_half": self.config["fidelity"][size],
            "seed": seed(self.seed, "selftest"),
        }

    def _measure(self, metric: str) -> dict[str, str]:
        entry = self.config["fidelity"]["metrics"][metric]
        return {key: entry[key] for key in ("extractor", "reference") if key in entry}
