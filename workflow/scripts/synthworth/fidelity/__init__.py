"""Fidelity: how real, and how diverse, a checkpoint's images are, as one score per metric, class and checkpoint.

A metric is a module of this package that is named as the metric and holds

- `READS`: what it is computed from, `"features"` (float [n, d] of an extractor) or `"images"` (uint8 [n, h, w, c]);
- `HAS_REFERENCE`: whether it compares the synthetic set with a real one;
- a function of the metric's own name: `f(synthetic)`, or `f(reference, synthetic)` for one with a reference.

Adding a metric is adding such a module. Metrics are imported by name, so that a job's fingerprint, that of
`fidelity.<metric>`, holds the code of its own metric only: a new metric makes no old score stale. Nothing here
imports torch: a scoring job starts in a fraction of a second.
"""

import csv
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from synthworth.errors import StudyError
from synthworth.files import replacing

# What a score says of the checkpoint, in the order of its row; `selected` is added once checkpoints are chosen.
CHECKPOINT_COLUMNS = ("generator", "scope", "class", "step")
SCORE_COLUMNS = (*CHECKPOINT_COLUMNS, "metric", "extractor", "reference", "n_synthetic", "n_reference", "value")


def score(metric: str, synthetic: np.ndarray, reference: np.ndarray | None = None) -> float:
    """The value of a metric, by its name, for a set of synthetic images or of their features.

    `synthetic` and `reference` are arrays as the metric's `READS` says; `reference` is given if and only if the
    metric has one. StudyError for an unknown metric or for data that the metric is not defined on.
    """
    module = metric_module(metric)
    if (reference is not None) != module.HAS_REFERENCE:
        raise ValueError(f"{metric} is computed {'against' if module.HAS_REFERENCE else 'without'} a reference")
    sets = (synthetic,) if reference is None else (reference, synthetic)
    return float(getattr(module, metric)(*sets))


def score_checkpoint(
    metric: str,
    images: Path | None,
    features: Path | None,
    reference: Path | None,
    output: Path,
    names: Mapping[str, str | int],
) -> None:
    """Scores one class of one checkpoint and writes the score as a CSV of one row, columns `SCORE_COLUMNS`.

    `images` is a shard (Parquet), `features` and `reference` are npz files with `features` [n, d]; only those that
    the metric needs are read. `names` says whose score it is: `generator`, `scope`, `class`, `step`, and, for a
    metric of features, `extractor` and (the name of the) `reference`. Those two are empty, and `n_reference` is 0,
    where a metric has none.
    """
    module = metric_module(metric)
    by_features = module.READS == "features"
    read, source = (_features, features) if by_features else (_images, images)
    synthetic = read(source)
    real = read(reference) if module.HAS_REFERENCE else None
    row = {column: names[column] for column in CHECKPOINT_COLUMNS} | {
        "metric": metric,
        "extractor": names["extractor"] if by_features else "",
        "reference": names["reference"] if module.HAS_REFERENCE else "",
        "n_synthetic": len(synthetic),
        "n_reference": 0 if real is None else len(real),
        "value": repr(score(metric, synthetic, real)),
    }
    with replacing(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SCORE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)


def metric_module(metric: str) -> ModuleType:
    """The module that defines a metric; StudyError if there is none of that name."""
    known = importlib.util.find_spec(f"{__name__}.{metric}") if metric.isidentifier() else None
    module = importlib.import_module(f"{__name__}.{metric}") if known else None
    if not hasattr(module, "READS"):
        raise StudyError("Unknown fidelity metric.", [f"fidelity.metrics: {metric!r} is not a metric of this study"])
    return module


def _features(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["features"]


def _images(path: Path) -> np.ndarray:
    # pyarrow costs most of a scoring job's start, and a metric of features does without it.
    from synthworth.shards import read_shard

    return read_shard(path, columns=())[0]
