"""Inputs of the rules of tables, figures and the report."""

from typing import Any

from synthworth.inputs.paths import StudyPaths

# The scores that each table and figure shows.
TABLE_SCORES = {
    "table1_demographics": "demographics.csv",
    "table2_classes": "classes.csv",
    "table5_fid": "fidelity.csv",
    "table6_ratings": "ratings.csv",
    "ratings_by_class": "ratings.csv",
    "rating_readers": "rating_rows.csv",
    "rating_tests": "rating_tests.csv",
    "rating_agreement": "rating_agreement.csv",
    "rating_discrimination": "rating_discrimination.csv",
    "rating_preferences": "rating_preferences.csv",
    "rating_correlations": "rating_correlations.csv",
    "table7_accuracy": "cells.csv",
    "table8_accuracy_change": "cells.csv",
    "table9_per_class": "cells.csv",
    "fidelity": "fidelity.csv",
    "recognition": "recognition.csv",
    "detection": "detection.csv",
    "memorization": "memorization_summary.csv",
    "effects": "comparisons.csv",
    "external_effects": "external.csv",
    "components": "components.csv",
    "worth": "worth.csv",
}
FIGURE_SCORES = {
    "figure2_fid_curves": "fidelity.csv",
    "figure4_ms_ssim_curves": "fidelity.csv",
    "figure_other_curves": "fidelity.csv",
    "figure_metric_selftest": "metric_selftest.csv",
    "figure_confusion": "confusion.csv",
    "figure_memorization": "memorization_summary.csv",
    "figure_memorization_power": "memorization_power.csv",
    "figure6_ratings": "rating_rows.csv",
    "figure7_accuracy_change": "cells.csv",
    "figure_effects": "comparisons.csv",
}
# Scores that the report tells of in words, where they are had.
REPORT_SCORES = {"copies": "copies.csv", "audits": "memorization_summary.csv", "detection": "detection.csv"}
# What the published scores hold: no images, no curves, no intervals.
PUBLISHED_TABLES = [
    "table5_fid",
    "table6_ratings",
    "table7_accuracy",
    "table8_accuracy_change",
    "table9_per_class",
]
PUBLISHED_FIGURES = ["figure7_accuracy_change"]
# What hangs on held-out images, which the published protocol does not have.
HELD_OUT = [
    *("recognition.csv", "detection.csv", "confusion.csv"),
    *("memorization_summary.csv", "memorization_power.csv", "copies.csv"),
]
# Of a study with folds: what each part has of its own, and not the study.
OF_PARTS = [*HELD_OUT, "fidelity.csv", "metric_selftest.csv"]
OF_DATA = ["demographics.csv", "classes.csv"]
# What readers' ratings become, and the modes of kits without whose ratings it would be empty.
RATED = {
    **dict.fromkeys(["rating_rows.csv", "rating_tests.csv", "rating_agreement.csv", "rating_correlations.csv"]),
    "ratings.csv": {"single"},
    "rating_discrimination.csv": {"single", "pair"},
    "rating_preferences.csv": {"pair", "prompt"},
}


class ReportInputs(StudyPaths):
    """Input functions of rules."""

    def table_scores(self, wildcards: Any) -> str:
        """The scores that a table shows."""
        return self.scores(wildcards.study, TABLE_SCORES[wildcards.table])

    def figure_scores(self, wildcards: Any) -> str:
        """The scores that a figure shows."""
        return self.scores(wildcards.study, FIGURE_SCORES[wildcards.figure])

    def report(self, wildcards: Any) -> dict[str, Any]:
        """What the report shows: from cached scores only tables and figures, else also what the data look like.

        With folds each part has a report of its generators; that of the study has the scores of all parts together.
        """
        study = wildcards.study
        cached = self.config["cached_scores"] is not None
        whole, pooled = study not in self.study.parts, self.study.pools(study) and not cached
        if not cached:
            self.study.require_dataset()
        rated = bool(self.config["assessment"]["ratings"])
        metrics = {entry["metric"] for entry in self.config["fidelity"]["metrics"].values()}
        left_out = set() if metrics - {"fid", "ms_ssim"} else {"figure_other_curves"}
        left_out |= set() if self._is_had(study, "ratings.csv") else {"figure6_ratings"}
        left_out |= {name for name, file in (TABLE_SCORES | FIGURE_SCORES).items() if not self._is_had(study, file)}
        tables, figures = ([name for name in names if name not in left_out] for names in (TABLE_SCORES, FIGURE_SCORES))
        pictures = [] if cached or pooled else ["samples_real", "samples_generators"]
        for generator in [] if cached or pooled else self.config["generators"]:
            pictures += [f"samples_synthetic_{generator}"] if self.study.shards(generator) else []
            # What was not trained has no progress to show.
            pictures += [f"figure3_progression_{generator}"] if len(self.study.steps(generator)) > 1 else []
            pictures += [f"closest_pairs_{generator}"] if "select" in self.study.splits else []
        # Without the kits that were rated there is nothing to show of their images.
        pictures += ["figure5_examples"] if not cached and self._is_had(study, "ratings.csv") else []
        return {
            "verdict": self.scores(study, "verdict.json") if whole else [],
            "tests": self.scores(study, "generators.csv") if whole else [],
            "tables": [f"{self.results}/tables/{table}.html" for table in tables],
            "figures": [f"{self.results}/figures/{figure}.png" for figure in [*figures, *pictures]],
            "weights": [] if cached else f"{self.home}/weights/record.json",
            "duplicates": [] if cached else f"{self.results}/scores/duplicates.csv",
            **{
                name: self.scores(study, file) if self._is_had(study, file) else []
                for name, file in REPORT_SCORES.items()
            },
            "kits": self.kits if f"results/{study}" == self.parts[0] and not cached and not rated else [],
            "reports": [f"{folder}/report/index.html" for folder in self.parts] if pooled else [],
        }

    def _is_had(self, study: str, name: str) -> bool:
        """Whether a file of scores is cached, or can be made."""
        cached = self.config["cached_scores"]
        if cached is not None:
            return (self.study.root / cached / name).is_file()
        if study in self.study.parts and name not in OF_PARTS + OF_DATA:
            return False
        if name in RATED:
            modes = RATED[name]
            return bool(self.study.ratings) if modes is None else not modes.isdisjoint(self.study.rated_modes())
        if self.study.pools(study) and name in OF_PARTS:
            return False
        if name == "copies.csv" and self.config["memorization"]["filter_copies"] == "off":
            return False
        if name == "external.csv" and not self.study.external:
            return False
        if name == "worth.csv" and len(self.study.learning_curve()) < 2:
            return False
        return name not in HELD_OUT or "select" in self.study.splits
