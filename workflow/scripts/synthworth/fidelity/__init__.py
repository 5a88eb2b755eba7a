"""Fidelity: how real, and how diverse, a checkpoint's images are, as one score per metric, class and checkpoint.

A metric is a module of this package that is named as the metric and holds

- `READS`: what it is computed from, `"features"` (float [n, d] of an extractor), `"images"` (uint8 [n, h, w, c]) or
  `"prompted"` (a structured array [n] with the fields `image`, uint8 [h, w, c], and `prompt`, text; images alone, as
  real ones are, share one prompt);
- `HAS_REFERENCE`: whether it compares the synthetic set with a real one;
- `NAMES`: what its values are called, one row of scores each, and `SCALES`: what each can be (`uncertainty.RANGES`);
- a function of the metric's own name: `f(synthetic)`, or `f(reference, synthetic)` for one with a reference, which
  returns a number, or a tuple of them in the order of `NAMES`;
- `on_subsets`, of the same sets: a function of rows of each that gives the metric of those, from what is computed once.

Adding a metric is adding such a module. Metrics are imported by name, so that a job's fingerprint, that of
`fidelity.<metric>`, holds the code of its own metric only: a new metric makes no old score stale. Nothing here
imports torch: a scoring job starts in a fraction of a second.
"""

import csv
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from synthworth.errors import StudyError
from synthworth.features import load_features
from synthworth.fidelity.uncertainty import floor, interval
from synthworth.files import replacing

# What a score says of the checkpoint, in the order of its row; `selected` is added once checkpoints are chosen.
CHECKPOINT_COLUMNS = ("generator", "scope", "class", "step")
MEASURE_COLUMNS = ("metric", "extractor", "reference")
SCORE_COLUMNS = (
    *CHECKPOINT_COLUMNS,
    *MEASURE_COLUMNS,
    "n_synthetic",
    "n_reference",
    "value",
    "low",
    "high",
    "standard_error",
    "reason",
)
# The floor of a metric of pairs of images is measured among so many times the images of a set.
PAIRED = 3
TRAIN = "train"
FLOOR_COLUMNS = (
    "class",
    *MEASURE_COLUMNS,
    "floor",
    "floor_high",
    "floor_n_synthetic",
    "floor_n_reference",
    "floor_reason",
)


def score(metric: str, synthetic: np.ndarray, reference: np.ndarray | None = None) -> dict[str, float]:
    """The values of a metric, each by its name, for a set of synthetic images or of their features.

    `synthetic` and `reference` are arrays as the metric's `READS` says; `reference` is given if and only if the
    metric has one. StudyError for an unknown metric or for data that the metric is not defined on.
    """
    module = metric_module(metric)
    if (reference is not None) != module.HAS_REFERENCE:
        raise ValueError(f"{metric} is computed {'against' if module.HAS_REFERENCE else 'without'} a reference")
    sets = (synthetic,) if reference is None else (reference, synthetic)
    return _named(module, getattr(module, metric)(*sets))


def score_checkpoint(
    metric: str,
    images: Path | None,
    features: Path | None,
    reference: Path | None,
    output: Path,
    names: Mapping[str, str | int],
    classes: Sequence[str],
    reference_images: int | None,
    confidence: float,
    replicates: int,
    seed: int,
) -> None:
    """Scores one checkpoint and writes a CSV, columns `SCORE_COLUMNS`, with a row per class and value of the metric.

    `images` is a shard (Parquet), `features` and `reference` are npz files as `features` writes them; only those that
    the metric needs are read. Of a class's real images the first `reference_images` count (None: all), as the paper
    takes the first 50; all of them where there are fewer. `names` says whose scores they are: `generator`, `scope`,
    `step`, and, for a metric of features, `extractor` and `reference` (the split). Those two are empty, and
    `n_reference` is 0, where a metric has none. A class on which the metric is not defined has no value. `low`
    and `high` are the interval of `uncertainty.interval`, empty where there are too few images for any. For a metric
    of prompts `n_synthetic` counts the images that share theirs with another one.
    `standard_error` is that of a metric that has a formula for it, a function of this name in its module; empty with
    too few images. `reason` says why there is no value, or of a value which of interval and error it lacks, and why.
    """
    module = metric_module(metric)
    synthetic = _read(features if module.READS == "features" else images, module.READS)
    real = _read(reference, "features") if module.HAS_REFERENCE else None
    rows = []
    for name in classes:
        own, _ = _of_class(synthetic, name)
        own = _sharing(own) if module.READS == "prompted" else own
        others, patients = (None, None) if real is None else _of_class(real, name, reference_images)
        shared = {column: names.get(column, name) for column in CHECKPOINT_COLUMNS} | _measure(names)
        shared |= {"n_synthetic": len(own), "n_reference": 0 if others is None else len(others)}
        try:
            # All pairs of images are most of the time of a metric of them: they are made once, for value and interval.
            of_rows = module.on_subsets(*((own,) if others is None else (others, own)))
            exact = module.READS == "features"
            values = score(metric, own, others) if exact else _named(module, of_rows(np.arange(len(own))))
        except StudyError as error:
            # A small class does not end the study: it has no such score.
            rows += [shared | {"metric": key, "reason": "; ".join(error.problems)} for key in module.NAMES]
            continue
        between = interval(
            getattr(module, metric),
            own,
            others,
            scales=module.SCALES,
            confidence=confidence,
            replicates=replicates,
            seed=seed,
            prepare=lambda *_, of_rows=of_rows: of_rows,
            patients=patients,
            prompts=own["prompt"] if module.READS == "prompted" else None,
        )
        error = _standard_error(module, others, own)
        for (key, value), (low, high) in zip(values.items(), between.tolist(), strict=True):
            row = {} if np.isnan(low) else {"low": low, "high": high}
            row |= {} if error is None or np.isnan(error) else {"standard_error": error}
            lacking = ["interval"] * ("low" not in row)
            lacking += ["standard error"] * (error is not None and "standard_error" not in row)
            reason = f"no {' and no '.join(lacking)}: {_images(own, others, patients)} are too few" if lacking else ""
            rows.append(shared | {"metric": key, "value": value, "reason": reason} | row)
    _write(output, SCORE_COLUMNS, rows)


def _standard_error(module: ModuleType, reference: np.ndarray | None, synthetic: np.ndarray) -> float | None:
    """Of a class: NaN where there are too few images, None where the metric has no formula for it."""
    return module.standard_error(reference, synthetic) if hasattr(module, "standard_error") else None


def measure_floor(
    metric: str,
    images: Path | None,
    index: Path | None,
    features: Path | None,
    reference: Path | None,
    output: Path,
    names: Mapping[str, str],
    classes: Sequence[str],
    synthetic_images: int,
    reference_images: int | None,
    replicates: int,
    seed: int,
) -> None:
    """What a metric says of real images alone: a CSV, columns `FLOOR_COLUMNS`, a row per class and value.

    `floor` is the metric's median, `floor_high` its 95 % quantile, over random disjoint sets of the real training
    images, in the numbers of a checkpoint's scores or, where there are too few, in the same proportion: those used
    stand beside it; empty where the metric is not defined on so few, as `floor_reason` says. `images` (uint8 array
    file) and its `index` (CSV), or `features`, are read, as the metric asks, and `reference`, the features that scores
    are held against. Where those are the training images too, only their number counts; held-out ones are what sets of
    training images are held against. A metric that looks at pairs of features needs 8 n^2 bytes for n real images of a
    class (3.2 GB for 20,000). Real images have no prompts: those of a class are taken as of one.
    """
    module = metric_module(metric)
    real = _read(features, "features") if module.READS == "features" else _read_split(images, index)
    held_against = _read(reference, "features") if module.HAS_REFERENCE else None
    rows = []
    for name in classes:
        # All pairs of many images would take hours.
        most = PAIRED * synthetic_images if module.READS != "features" else None
        own, patients = _of_class(real, name, most)
        others = None if held_against is None else _of_class(held_against, name, reference_images)[0]
        shared = {"class": name} | _measure(names)
        try:
            lowest = floor(
                getattr(module, metric),
                own,
                synthetic_images,
                0 if others is None else len(others),
                has_reference=module.HAS_REFERENCE,
                replicates=replicates,
                seed=seed,
                prepare=module.on_subsets,
                patients=patients,
                held_out=others if names.get("reference", TRAIN) != TRAIN else None,
            )
        except StudyError as error:
            rows += [shared | {"metric": key, "floor_reason": "; ".join(error.problems)} for key in module.NAMES]
            continue
        shared |= {"floor_n_synthetic": lowest.n_synthetic, "floor_n_reference": lowest.n_reference}
        rows += [
            shared | {"metric": key, "floor": median, "floor_high": upper}
            for key, median, upper in zip(module.NAMES, lowest.median.tolist(), lowest.upper.tolist(), strict=True)
        ]
    _write(output, FLOOR_COLUMNS, rows)


def _images(synthetic: np.ndarray, reference: np.ndarray | None, patients: np.ndarray | None) -> str:
    """The numbers of a score's images, in words."""
    if reference is None:
        return f"{len(synthetic)} synthetic images"
    of_patients = "" if patients is None else f" of {len(np.unique(patients))} patient(s)"
    return f"{len(synthetic)} synthetic and {len(reference)} real images{of_patients}"


def metric_module(metric: str) -> ModuleType:
    """The module that defines a metric; StudyError if there is none of that name."""
    known = importlib.util.find_spec(f"{__name__}.{metric}") if metric.isidentifier() else None
    module = importlib.import_module(f"{__name__}.{metric}") if known else None
    if not hasattr(module, "READS"):
        raise StudyError("Unknown fidelity metric.", [f"fidelity.metrics: {metric!r} is not a metric of this study"])
    return module


def _named(module: ModuleType, values: float | tuple[float, ...]) -> dict[str, float]:
    return dict(zip(module.NAMES, np.atleast_1d(values).astype(float).tolist(), strict=True))


# Items, the class of each and, of real ones, the patient.
Labelled = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _read(path: Path, what: str) -> Labelled:
    if what == "features":
        found = load_features(path)
        return found.features, found.labels, found.patients
    # pyarrow and pandas cost most of a scoring job's start, and a metric of features does without them.
    from synthworth.shards import read_shard

    if what == "images":
        images, rows = read_shard(path, columns=["label"])
        return images, rows["label"].to_numpy(), None
    images, rows = read_shard(path, columns=["label", "prompt"])
    return _prompted(images, rows["prompt"].to_list()), rows["label"].to_numpy(), None


def _prompted(images: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
    texts = np.array(prompts, str)
    pairs = np.empty(len(images), [("image", images.dtype, images.shape[1:]), ("prompt", texts.dtype)])
    pairs["image"], pairs["prompt"] = images, texts
    return pairs


def _sharing(pairs: np.ndarray) -> np.ndarray:
    """The images whose prompt another one has too."""
    _, place, counts = np.unique(pairs["prompt"], return_inverse=True, return_counts=True)
    return pairs[counts[place] > 1]


def _read_split(images: Path, index: Path) -> Labelled:
    import pandas as pd

    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    return np.load(images, mmap_mode="r"), rows["class"].to_numpy(), rows["patient"].to_numpy()


def _of_class(items: Labelled, name: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The first `count` items of a class, and their patients."""
    values, labels, patients = items
    rows = np.flatnonzero(labels == name)[:count]
    return values[rows], None if patients is None else patients[rows]


def _measure(names: Mapping[str, str | int]) -> dict[str, str | int]:
    return {column: names.get(column, "") for column in ("extractor", "reference")}


def _write(output: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    with replacing(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
