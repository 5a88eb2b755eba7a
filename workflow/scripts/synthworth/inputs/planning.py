"""Inputs of the rule that plans a study."""

from pathlib import Path
from typing import Any

from synthworth.inputs.paths import StudyPaths

# Where benchmarks lie of the jobs that a plan counts: of the study, of its folds and of its external test sets.
FOLDERS = ("benchmarks", "repeat-*/benchmarks", "external/*/benchmarks")
PLANNED = (
    *("train_base_model", "encode_images", "sample_prior", "train_extractor", "train_generator", "sample_checkpoint"),
    *("extract_features", "synthesize_shard", "train_classifier", "evaluate_classifier"),
)


class PlanningInputs(StudyPaths):
    """Input functions of rules."""

    def planned(self, wildcards: Any) -> dict[str, list[str]]:
        """The images of each split, of all folds; where there are folds, all images are test images."""
        self.study.require_dataset()
        own = f"{self.home}/data/index.csv" if self.study.parts else f"{self.home}/data/test/index.csv"
        return {
            "training": [f"{folder}/data/train/index.csv" for folder in self.parts],
            "selecting": [f"{folder}/data/{self.study.selection_split}/index.csv" for folder in self.parts],
            "tests": [own, *(f"results/{name}/data/test/index.csv" for name in self.study.external)],
        }

    def finished(self, wildcards: Any) -> int:
        """How many benchmarks of such jobs there are; as inputs they would have Snakemake run the jobs."""
        patterns = [f"{folder}/{rule}/**/*.tsv" for folder in FOLDERS for rule in PLANNED]
        return sum(1 for pattern in patterns for _ in Path(self.home).glob(pattern))
