"""Specs of the rules that train classifiers and compare arms."""

from typing import Any

from synthworth.arms import Arm, shared_names
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
        return (
            entry["training"]
            | {
                "classes": list(self.study.classes),
                "architecture": entry["architecture"],
                "dropout": entry["dropout"],
                "augmentation": entry["augmentation"],
                "arm": self._images_of(arm),
                "objective": _objective(arm),
                "weigh_classes": arm.balance == "class_weights",
                "run_seed": seed(
                    *(self.seed, "run", wildcards.classifier, wildcards.arm, int(wildcards.seed)),
                    *self._part(wildcards),
                ),
            }
            | ({"pretrain_share": arm.pretrain_share} if arm.regime == "pretrain_then_finetune" else {})
            | self._findings()
        )

    @canonical
    def evaluate_classifier(self, wildcards: Any) -> dict[str, Any]:
        """The classes, in the order of the probabilities; or the findings, in theirs."""
        return {"classes": list(self.study.classes)} | self._findings()

    @canonical
    def collect_runs(self, wildcards: Any) -> dict[str, Any]:
        """The names of all runs, in the order of their predictions, and how they are aggregated."""
        classes = self.study.findings or list(self.study.classes)
        return {"names": self._runs(wildcards), "classes": classes, "ddof": self._ddof()}

    @canonical
    def compare_arms(self, wildcards: Any) -> dict[str, Any]:
        """The runs, the baseline, the metric, the level and the margin of the comparisons."""
        statistics = self.config["statistics"]
        return {key: statistics[key] for key in ("baseline", "confidence", "margin", "replicates")} | {
            "names": self._runs(wildcards),
            "metric": statistics["primary_metric"],
            "seed": seed(self.seed, "statistics"),
        }

    @canonical
    def estimate_worth(self, wildcards: Any) -> dict[str, Any]:
        """The runs, the arms that real images are held back from, and the level."""
        statistics = self.config["statistics"]
        return {key: statistics[key] for key in ("baseline", "confidence")} | {
            "names": self._runs(wildcards),
            "metric": statistics["primary_metric"],
            "shares": [{"arm": arm.name, "real_share": arm.real_share} for arm in self.study.learning_curve()],
            "hold_back_seed": seed(self.seed, "hold back"),
        }

    @canonical
    def compare_generators(self, wildcards: Any) -> dict[str, Any]:
        """The metric of the rank tests, and the arms whose runs they take."""
        adding = shared_names(arm for arm in self.study.arms.values() if arm.adds_to(self.study.baseline))
        return {"metric": self.config["statistics"]["primary_metric"], "arms": adding}

    @canonical
    def reach_verdict(self, wildcards: Any) -> dict[str, Any]:
        """The generators whose images someone else made, and the arms that the study's verdict does not rest on, or not
        in all: those confounded with another loss, mixing or balance than the baseline's, and those of other regimes.
        """
        baseline = self.study.baseline
        synthetic = [arm for arm in self.study.arms.values() if arm.dose]
        comparable = [arm for arm in synthetic if arm.differs_in_images_alone(baseline)]
        return {
            "outside": self.study.outside(),
            "other_regimes": shared_names(arm for arm in comparable if arm.regime != baseline.regime),
            "confounded": shared_names(arm for arm in synthetic if arm not in comparable),
        }

    def _images_of(self, arm: Arm) -> dict[str, Any]:
        """Keywords of `arm_images`; of what an arm does not do, nothing: its runs do not hang on it."""
        images: dict[str, Any] = {"regime": arm.regime}
        if arm.per_class:
            images |= {"per_class": arm.per_class, "first": arm.first}
        if arm.balance in ("oversample", "to_majority"):
            images["balance"] = arm.balance
        if arm.repeat_training_images:
            images["repeat_training_images"] = True
        # By the study's seed, so that all runs of an arm see the same images.
        if arm.shuffled_labels:
            images["shuffle_seed"] = seed(self.seed, "shuffled labels")
        if arm.real_share < 1:
            images |= {"real_share": arm.real_share, "hold_back_seed": seed(self.seed, "hold back")}
        return images

    def _runs(self, wildcards: Any) -> list[dict[str, Any]]:
        repeats = range(1, self.config["splits"]["repeats"] + 1) if self.study.pools(wildcards.study) else [None]
        return [
            ({"repeat": repeat} if repeat else {})
            | {
                "classifier": run.classifier,
                "arm": run.arm.shared_name,
                "generator": run.arm.source,
                "dose": run.arm.dose,
                "generator_seed": run.arm.generator_seed,
                "draw": run.arm.draw,
                "seed": run.seed,
            }
            for repeat in repeats
            for run in self.study.runs
        ]


def _objective(arm: Arm) -> dict[str, Any]:
    objective: dict[str, Any] = {"loss": arm.loss, "mixing": arm.mixing}
    if arm.loss == "focal":
        objective["focal_gamma"] = arm.focal_gamma
    if arm.mixing != "none":
        objective["mixing_alpha"] = arm.mixing_alpha
    return objective
