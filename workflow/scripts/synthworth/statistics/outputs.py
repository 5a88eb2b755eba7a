"""The files of a study's statistics: comparisons.csv, generators.csv and verdict.json, each written at once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthworth.files import replacing
from synthworth.statistics.comparisons import compare_arms
from synthworth.statistics.generators import compare_generators
from synthworth.statistics.predictions import read_predictions
from synthworth.statistics.verdict import verdict


def write_comparisons(
    predictions: Sequence[str | Path],
    output: str | Path,
    *,
    names: Sequence[Mapping[str, Any]],
    baseline: str,
    metric: str = "balanced_accuracy",
    confidence: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
) -> None:
    """Writes the frame of `compare_arms` as a CSV.

    `predictions` are the runs' files and `names` their classifier, arm, generator, dose and seed, in the same order.
    """
    runs = [{**name, "path": path} for name, path in zip(names, predictions, strict=True)]
    frame = compare_arms(read_predictions(runs), baseline, metric, confidence, replicates, seed)
    _write_csv(frame, output)


def write_generators(runs: str | Path, generators: str | Path, *, metric: str) -> None:
    """Reads runs.csv and writes the frame of `compare_generators` as a CSV."""
    frame = pd.read_csv(runs, converters=dict.fromkeys(["generator", "class"], str))
    _write_csv(compare_generators(frame, metric), generators)


def write_verdict(comparisons: str | Path, answer: str | Path, *, margin: float | None = None) -> None:
    """Reads comparisons.csv and writes `verdict` of it as JSON."""
    frame = pd.read_csv(comparisons, converters=dict.fromkeys(["classifier", "arm", "generator"], str))
    with replacing(answer) as temporary:
        text = json.dumps(verdict(frame, margin), indent=2, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)
