"""The shortcut alarm: how well real and synthetic images can be told apart by their features, on held-out images.

Where they can be told apart, a classifier that gets synthetic images may learn the mark of their origin instead of
what it is meant to learn, and an arm may win, or lose, by an artefact.

The detector is a linear discriminant of standardised features whose covariance is shrunk as Ledoit and Wolf (2004, A
well-conditioned estimator for large-dimensional covariance matrices) have it: it has nothing to tune, and 20 images of
2048 features are enough for it. It is fitted to all folds but one and judged on that one, scaling and all; the images
of a patient lie in one fold. It looks for what differs between real and synthetic images *of the same class*, and only
pairs of the same class and the same fold are compared: other shares of the classes are no artefact, and detectors of
different folds have different scales (pooled, they give an AUROC below 0.5 where there is nothing to find).

The interval is Newcombe's (`statistics.areas`), its variance summed over classes and folds. For it, the images of one
patient count as one. Detectors of different folds are fitted to much the same images, which it does not know: see
`STANDARD_ERROR_FACTOR`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.features import Features, load_features
from synthworth.files import replacing
from synthworth.seeds import seed as seed_of
from synthworth.selected import read_selection
from synthworth.statistics.areas import area_under_curve, pooled_area

FOLDS = 5
# Simulated with 20 to 100 images per class and 50 to 2048 features, AUROCs of indistinguishable sets scatter 1.4 to 1.6
# times as much as their standard error says (Bates, Hastie and Tibshirani 2023 on why); 95 % intervals would hold 0.5
# in 80 to 88 %. From an AUROC of 0.8 on it is about right, and the factor errs on the side of no alarm.
STANDARD_ERROR_FACTOR = 1.5
COLUMNS = ("class", "auroc", "low", "high", "n_real", "n_real_groups", "n_synthetic", "n_synthetic_groups", "folds")
ALL = "all"
# In place of a generator, with their size in pixels: real images against other real ones.
NULL = "real images"
COUNTS = ["n_real", "n_real_groups", "n_synthetic", "n_synthetic_groups", "folds"]


@dataclass(frozen=True)
class FeatureSet:
    """Features of a set of images.

    `features`: float [n, d] of one extractor. `classes`: str [n]. `groups`: [n], what must not be torn apart between
    folds, such as the patient of a real image; None where each image stands for itself, as synthetic ones do.
    """

    features: np.ndarray
    classes: np.ndarray
    groups: np.ndarray | None = None


def detect(
    real: FeatureSet, synthetic: FeatureSet, *, seed: int, folds: int = FOLDS, confidence: float = 0.95
) -> pd.DataFrame:
    """AUROC of telling synthetic from real images: a row for each class, then one for `all`, the mean over classes.

    Columns `COLUMNS`: `auroc` in [0, 1] (0.5: cannot be told apart) with the limits of its interval, numbers of images
    and of groups, and the folds used: `folds`, or as many as the smallest class has groups. Classes that only the real
    set has are left out. `real` should be images that the generator was not trained on: copies of training images lie
    beside their originals in other folds, and such a generator would pass for one that cannot be told from reality.

    StudyError for a synthetic class without real images, for fewer than 2 groups of a class on either side, or for
    features that are not finite or not of one extractor.
    """
    _check(real, synthetic)
    names = sorted(set(synthetic.classes))
    sides = [_of_classes(real, names), _of_classes(synthetic, names)]
    folds = min([folds, *(count for side in sides for count in _group_counts(side, names))])
    random = np.random.default_rng(seed_of(seed, "detector"))
    fold = np.concatenate([_folds(side, names, folds, random) for side in sides])
    features, classes, groups = (
        np.concatenate([getattr(side, name) for side in sides]) for name in ("features", "classes", "groups")
    )
    is_synthetic = np.repeat([False, True], [len(side.classes) for side in sides])

    rows, strata = [], []
    scores = np.empty(len(features))
    for held_out in range(folds):
        test = fold == held_out
        direction = _direction(features[~test], is_synthetic[~test], classes[~test])
        scores[test] = features[test] @ direction
    for name in names:
        own = []
        for held_out in range(folds):
            cells = [(classes == name) & (fold == held_out) & (is_synthetic == side) for side in (False, True)]
            if all(cell.any() for cell in cells):
                auroc = area_under_curve(*(scores[cell] for cell in cells))
                own.append((auroc, *(len(np.unique(groups[cell])) for cell in cells)))
        # A fold's part in a class is its number of pairs; classes have equal parts in the whole.
        pairs = np.array([m * n for _, m, n in own], float)
        own = [(weight, *stratum) for weight, stratum in zip(pairs / pairs.sum(), own, strict=True)]
        strata += [(weight / len(names), *stratum) for weight, *stratum in own]
        rows.append(
            {"class": name} | pooled_area(own, confidence, STANDARD_ERROR_FACTOR) | _counts(sides, [name], folds)
        )
    rows.append({"class": ALL} | pooled_area(strata, confidence, STANDARD_ERROR_FACTOR) | _counts(sides, names, folds))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def detect_between_halves(
    real: FeatureSet, *, seed: int, repetitions: int = 10, folds: int = FOLDS, confidence: float = 0.95
) -> pd.DataFrame:
    """The detector's null: the rows of `detect` between two halves of the real images, which no detector tells apart.

    Each repetition halves the groups of each class anew; a column `repetition` comes first. Most intervals should hold
    0.5 (the repetitions share images, so their number is no sample size); where they do not, the alarm cannot be
    trusted either. StudyError as `detect`, and for a class of fewer than 4 groups.
    """
    _check(real, real)
    names = sorted(set(real.classes))
    whole = _of_classes(real, names)
    counts = dict(zip(names, _group_counts(whole, names), strict=True))
    short = [f"class {name}: {count} patient(s), 4 are needed" for name, count in counts.items() if count < 4]
    if short:
        raise StudyError("Too few real images for the detector of synthetic images to be checked on.", short)
    frames = []
    for repetition in range(repetitions):
        random = np.random.default_rng(seed_of(seed, "detector", "halves", repetition))
        second = _folds(whole, names, 2, random) == 1
        halves = [
            FeatureSet(whole.features[rows], whole.classes[rows], whole.groups[rows]) for rows in (~second, second)
        ]
        found = detect(*halves, seed=seed_of(seed, "detector", repetition), folds=folds, confidence=confidence)
        found.insert(0, "repetition", repetition)
        frames.append(found)
    return pd.concat(frames, ignore_index=True)


def detect_synthetic(
    references: Sequence[str | Path],
    selections: Sequence[str | Path],
    features: Sequence[str | Path],
    output: str | Path,
    generators: Sequence[tuple[str, int, Mapping[str, int]]],
    seed: int,
    confidence: float,
) -> None:
    """Writes the rows of `detect` for the chosen checkpoints of all generators as CSV, a column `generator` first.

    One per generator, in its order: `references`, features (npz) of real images that no generator saw, rendered at the
    size of the generator's images, so that both were resized from there; `selections`, the files of chosen
    checkpoints; and `generators`, their names, each with that size and the places of its checkpoints
    (`<scope>/<step>`) in the list of files `features`. Rows of the generator `real images (<size> px)`, before all
    others, are the null at each size: means over halvings of the real images, with the fewest images of any, empty
    where they are too few to be halved. So are the rows of a generator where they are too few.
    """
    by_size = {size: reference for (_, size, _), reference in zip(generators, references, strict=True)}
    frames = [
        _null(_feature_set(load_features(Path(reference))), seed, confidence).assign(generator=f"{NULL} ({size} px)")
        for size, reference in by_size.items()
    ]
    for (generator, _, places), reference, selection in zip(generators, references, selections, strict=True):
        real, parts = _feature_set(load_features(Path(reference))), []
        for name, choice in read_selection(selection).items():
            file = features[places[f"{choice['scope']}/{choice['step']}"]]
            parts.append(_feature_set(load_features(Path(file)).of_class(name)))
        made = FeatureSet(*(np.concatenate([getattr(part, key) for part in parts]) for key in ("features", "classes")))
        try:
            found = detect(real, made, seed=seed_of(seed, generator), confidence=confidence)
        except StudyError as error:
            print(error, flush=True)
            found = pd.DataFrame([{"class": ALL}], columns=list(COLUMNS))
        frames.append(found.assign(generator=generator))
    with replacing(output) as temporary:
        pd.concat(frames)[["generator", *COLUMNS]].to_csv(temporary, index=False)


def _feature_set(found: Features) -> FeatureSet:
    return FeatureSet(found.features, found.labels, found.patients)


def _null(real: FeatureSet, seed: int, confidence: float) -> pd.DataFrame:
    try:
        halves = detect_between_halves(real, seed=seed, confidence=confidence)
    except StudyError as error:
        print(error, flush=True)
        return pd.DataFrame([{"class": ALL}], columns=list(COLUMNS))
    told = dict.fromkeys(["auroc", "low", "high"], "mean") | dict.fromkeys(COUNTS, "min")
    return halves.groupby("class", sort=False).agg(told).reset_index()[list(COLUMNS)]


def is_null(generators: pd.Series) -> pd.Series:
    """Which rows of `detect_synthetic` are of real images against each other; no generator's name holds a space."""
    return generators.str.startswith(f"{NULL} (")


def alarm(detection: pd.DataFrame, generator: str, threshold: float = 0.75) -> str:
    """What `detect` found of a generator, as a warning; empty unless the AUROC over all classes is surely above
    `threshold`: the lower limit of its interval is.
    """
    row = detection.set_index("class").loc[ALL]
    if not row["low"] > threshold:
        return ""
    return (
        f"{generator}: its images can be told from held-out real ones (AUROC {row['auroc']:.2f}, "
        f"{row['low']:.2f} to {row['high']:.2f}; alarm above {threshold:g}). Arms with these images may win, or lose, "
        "by an artefact of their making rather than by what they show."
    )


def _direction(features: np.ndarray, synthetic: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The discriminant [d]: (shrunk within-cell covariance)^-1 (mean synthetic - mean real image of a class), the
    mean over classes; a cell is a class on one side. In the features' own units.
    """
    scale = features.std(axis=0)
    scale[scale <= 1e-9 * np.abs(features).max(axis=0)] = np.inf
    features = features / scale
    difference, centred = np.zeros(features.shape[1]), []
    for name in np.unique(classes):
        real, made = (features[(classes == name) & (synthetic == side)] for side in (False, True))
        if len(real) and len(made):
            difference += made.mean(axis=0) - real.mean(axis=0)
            centred += [real - real.mean(axis=0), made - made.mean(axis=0)]
    if not centred:
        return difference
    shrinkage, level, values, axes = _shrunk_covariance(np.concatenate(centred))
    if level == 0:
        # No spread within cells at all: nothing to weigh the features by.
        return difference / scale
    along = axes @ difference
    inside = (along / ((1 - shrinkage) * values + shrinkage * level)) @ axes
    return (inside + (difference - along @ axes) / (shrinkage * level)) / scale


def _shrunk_covariance(x: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Ledoit and Wolf's (1 - s) S + s m I for centred x [n, d]: s, m, eigenvalues [r] of S and their axes [r, d].

    r = min(n, d): with fewer images than features S itself, d x d, is never made. s is at least 1e-6, so that the
    inverse exists.
    """
    n, d = x.shape
    if n > d:
        values, axes = np.linalg.eigh(x.T @ x / n)
        values, axes = np.maximum(values, 0), axes.T
    else:
        _, values, axes = np.linalg.svd(x, full_matrices=False)
        values = values**2 / n
    level = values.sum() / d
    spread = (values**2).sum() / d - level**2
    error = ((np.sum(x**2, axis=1) ** 2).mean() - (values**2).sum()) / (n * d)
    shrinkage = 1.0 if spread <= 0 else float(np.clip(error / spread, 1e-6, 1))
    return shrinkage, float(level), values, axes


def _folds(side: FeatureSet, names: list[str], folds: int, random: np.random.Generator) -> np.ndarray:
    """The fold of each image [n]: groups of each class dealt in random order, so that folds differ by one at most."""
    fold_of: dict[object, int] = {}
    for name in names:
        own = [group for group in np.unique(side.groups[side.classes == name]) if group not in fold_of]
        start = random.integers(folds)
        fold_of |= {group: int(start + place) % folds for place, group in enumerate(random.permutation(own))}
    return np.array([fold_of[group] for group in side.groups])


def _of_classes(side: FeatureSet, names: list[str]) -> FeatureSet:
    rows = np.isin(side.classes, names)
    groups = np.arange(len(side.classes)) if side.groups is None else np.asarray(side.groups)
    return FeatureSet(side.features[rows].astype(np.float64), np.asarray(side.classes)[rows], groups[rows])


def _group_counts(side: FeatureSet, names: list[str]) -> list[int]:
    return [len(np.unique(side.groups[side.classes == name])) for name in names]


def _counts(sides: list[FeatureSet], names: list[str], folds: int) -> dict[str, int]:
    numbers = {}
    for word, side in zip(("real", "synthetic"), sides, strict=True):
        rows = np.isin(side.classes, names)
        numbers |= {f"n_{word}": int(rows.sum()), f"n_{word}_groups": len(np.unique(side.groups[rows]))}
    return numbers | {"folds": folds}


def _check(real: FeatureSet, synthetic: FeatureSet) -> None:
    problems = []
    for word, side in (("real", real), ("synthetic", synthetic)):
        shape, lengths = (
            side.features.shape,
            {len(side.classes), len(side.classes if side.groups is None else side.groups)},
        )
        if len(shape) != 2 or lengths != {shape[0]}:
            problems.append(f"{word} set: features {shape} with {sorted(lengths)} classes and groups")
        elif not np.isfinite(side.features).all():
            bad = np.count_nonzero(~np.isfinite(side.features).all(axis=1))
            problems.append(f"{word} set: {bad} of {shape[0]} images have features that are not finite; extract anew")
    if not problems and real.features.shape[1] != synthetic.features.shape[1]:
        problems.append(
            f"{real.features.shape[1]} real and {synthetic.features.shape[1]} synthetic features per image: "
            "two different extractors made them; extract both anew"
        )
    if not problems and not len(synthetic.classes):
        problems.append("synthetic set: no images; synthesise some")
    if not problems:
        names = sorted(set(synthetic.classes))
        for word, side in (("real", real), ("synthetic", synthetic)):
            for name, count in zip(names, _group_counts(_of_classes(side, names), names), strict=True):
                if count < 2:
                    what = "patient" if side.groups is not None else "image"
                    problems.append(f"class {name}: {count} {what}(s) in the {word} set, 2 or more are needed")
    if problems:
        raise StudyError("Real and synthetic images cannot be told apart, or not, on these features.", problems)
