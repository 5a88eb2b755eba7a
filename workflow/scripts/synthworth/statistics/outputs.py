"""The files of a study's statistics, each written at once: comparisons.csv, components.csv, generators.csv, worth.csv
and verdict.json.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthworth.cells import read_scores
from synthworth.files import replacing
from synthworth.hold_back import held_back
from synthworth.manifest import read_index
from synthworth.statistics.comparisons import compare_arms
from synthworth.statistics.components import variance_components
from synthworth.statistics.generators import compare_generators
from synthworth.statistics.predictions import name_files, read_predictions
from synthworth.statistics.verdict import verdict
from synthworth.statistics.worth import worth_in_real_images


def write_comparisons(
    predictions: Sequence[str | Path],
    output: str | Path,
    components: str | Path,
    *,
    names: Sequence[Mapping[str, Any]],
    baseline: str,
    metric: str = "balanced_accuracy",
    confidence: float = 0.95,
    margin: float | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> None:
    """Writes the frames of `compare_arms` and of `variance_components` as CSVs.

    `names` and `predictions`, the runs' files, are as of `predictions.name_files`.
    """
    runs = read_predictions(name_files(names, predictions))
    _write_csv(compare_arms(runs, baseline, metric, confidence, margin, replicates, seed), output)
    _write_csv(variance_components(runs, metric), components)


def write_worth(
    predictions: Sequence[str | Path],
    indices: Sequence[str | Path],
    output: str | Path,
    *,
    names: Sequence[Mapping[str, Any]],
    baseline: str,
    shares: Sequence[Mapping[str, Any]],
    hold_back_seed: int,
    metric: str = "balanced_accuracy",
    confidence: float = 0.95,
) -> None:
    """Writes the frame of `worth_in_real_images` as a CSV.

    `indices` are those of the split train, one per fold, and `shares` the `arm` and `real_share` of the baseline and of
    each arm that differs from it in its share alone; of several folds the mean number of images counts. The rest is as
    of `write_comparisons`.
    """
    frames = [read_index(path) for path in indices]
    counts = {
        entry["arm"]: round(
            sum(
                len(held_back(frame["patient"], pd.factorize(frame["class"])[0], entry["real_share"], hold_back_seed))
                for frame in frames
            )
            / len(frames)
        )
        for entry in shares
    }
    runs = read_predictions(name_files(names, predictions))
    _write_csv(worth_in_real_images(runs, baseline, counts, metric, confidence), output)


def write_generators(runs: str | Path, generators: str | Path, *, metric: str, arms: Sequence[str]) -> None:
    """Reads runs.csv and writes the frame of `compare_generators` as a CSV."""
    _write_csv(compare_generators(read_scores(runs), metric, arms), generators)


def write_verdict(
    comparisons: str | Path,
    answer: str | Path,
    *,
    outside: Sequence[str],
    other_regimes: Sequence[str],
    confounded: Sequence[str],
) -> None:
    """Reads comparisons.csv and writes `verdict` of it as JSON."""
    reached = verdict(read_scores(comparisons), outside, other_regimes, confounded)
    with replacing(answer) as temporary:
        text = json.dumps(reached, indent=2, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)
