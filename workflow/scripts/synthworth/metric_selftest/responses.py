"""What metrics say of spoilt real images, and whether that is what they should say.

The images of each class are halved by patient. One half is the reference; the other is spoilt and scored in place of
synthetic images. Unspoilt it gives the floor: what the metric says of two sets of one distribution at this number of
images. Halves are drawn several times, and their scatter is the yardstick: a metric that moves by less than that
cannot be read at this number of images, however right it may be in the limit.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.fidelity import metric_module, score
from synthworth.files import replacing
from synthworth.metric_selftest.degradations import KINDS, PIXELS, degrade_pixels, replaced_rows
from synthworth.metric_selftest.expectations import DOWN, NEITHER, UNKNOWN, UP, expectation
from synthworth.seeds import seed as seed_of

SEVERITIES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
VALUE_COLUMNS = (
    *("metric", "extractor", "degradation", "severity", "class", "repetition"),
    *("n_synthetic", "n_reference", "value", "problem"),
)
TEXT = ("metric", "extractor", "degradation", "class", "problem")
RESPONSE_COLUMNS = (
    *("metric", "extractor", "degradation", "expected", "floor", "floor_sd", "at_worst", "shift", "monotonicity"),
    *("seen_from", "responds", "reason"),
)
# A response is one that stands out of the floor's scatter by so many standard deviations ...
SHIFT = 2.0
# ... and of whose pairs of severities this share more go the right way than go the wrong one; pairs that differ by
# less than `TIE` standard deviations go neither.
MONOTONICITY = 0.8
TIE = 0.5
YES, NO, WRONG_WAY, NOT_MEANT, UNDEFINED = "yes", "no", "wrong way", "not meant to", "not defined"
DIRECTIONS = {UP: "up", DOWN: "down", NEITHER: "neither"}


def selftest(
    images: np.ndarray,
    classes: np.ndarray,
    patients: np.ndarray,
    metrics: Sequence[str],
    extractors: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    *,
    seed: int,
    severities: Sequence[float] = SEVERITIES,
    repetitions: int = 3,
    images_per_half: int = 50,
) -> pd.DataFrame:
    """The value of each metric for each degradation, severity, class and drawing of halves: columns `VALUE_COLUMNS`.

    `images`: uint8 [n, height, width, channels], real ones, of `classes` and `patients` [n]. `metrics` are names of
    `synthworth.fidelity`; those of features are computed for each of `extractors`, maps from images to float [n, d].
    A half has at most `images_per_half` images of a class, as many on both sides, and no patient of the other half.
    Severity 0, always among the severities, is the floor. Where a metric is not defined `value` is empty and `problem`
    says why. With one class there is no `class_mix`.

    All images are extracted once, and once more per severity of blur and of noise; other degradations only choose.
    StudyError where a class has images of fewer than 2 patients.
    """
    if repetitions < 2:
        raise StudyError(
            "The metric self-test cannot tell response from chance.", ["repetitions: 2 or more are needed"]
        )
    classes, patients = np.asarray(classes).astype(str), np.asarray(patients).astype(str)
    names = sorted(set(classes))
    _check(classes, patients, names)
    severities = sorted({0.0, *severities})
    kinds = [kind for kind in KINDS if kind != "class_mix" or len(names) > 1]
    halves = [_halves(classes, patients, names, images_per_half, seed, place) for place in range(repetitions)]
    # (metric, extractor, what makes its input from images); images themselves have no extractor.
    inputs = [("", lambda x: x, [name for name in metrics if metric_module(name).READS != "features"])]
    of_features = [name for name in metrics if metric_module(name).READS == "features"]
    inputs += [(extractor, extract, of_features) for extractor, extract in extractors.items()]
    rows = []
    for extractor, extract, own in inputs:
        clean = extract(images) if own else images
        floor: dict[tuple[str, str, int], list[dict[str, object]]] = {}
        for kind, severity in product(kinds if own else [], severities):
            spoilt = clean
            if kind in PIXELS and severity > 0:
                spoilt = extract(degrade_pixels(images, kind, severity, seed_of(seed, "metric_selftest")))
            for (repetition, half), name, metric in product(enumerate(halves), names, own):
                reference, chosen = half[name]
                if kind not in PIXELS:
                    chosen = _composed(half, name, kind, severity, seed_of(seed, "metric_selftest", repetition))
                same = (metric, name, repetition)
                if severity > 0 or same not in floor:
                    found = _values(metric, clean[reference], spoilt[chosen])
                if severity == 0:
                    found = floor.setdefault(same, found)
                key = {"extractor": extractor, "degradation": kind, "severity": severity, "class": name}
                key |= {"repetition": repetition, "n_synthetic": len(chosen), "n_reference": len(reference)}
                rows += [key | value for value in found]
    return pd.DataFrame(rows, columns=list(VALUE_COLUMNS))


def collect(paths: Sequence[str | Path], values: str | Path, responses: str | Path) -> None:
    """Writes the values of some CSVs of `selftest` as one, and what `judge` says of them as another."""
    # A class may be named 0, or NA.
    told = {"dtype": dict.fromkeys(TEXT, str), "keep_default_na": False, "na_values": {"value": [""]}}
    found = pd.concat([pd.read_csv(path, **told) for path in paths], ignore_index=True)
    for path, frame in ((values, found), (responses, judge(found))):
        with replacing(path) as temporary:
            frame.to_csv(temporary, index=False)


def judge(values: pd.DataFrame) -> pd.DataFrame:
    """Whether each metric responds to each degradation, from the frame of `selftest`: columns `RESPONSE_COLUMNS`.

    `floor` and `at_worst` are means over classes and halves at severity 0 and at the greatest one; `floor_sd` is the
    scatter of one value over drawings of halves, within classes. `shift` is the way between them in units of
    `floor_sd`, infinite where that is 0; positive is up. `monotonicity`, in [-1, 1], is Goodman and Kruskal's gamma of
    severity and mean value (pairs that rise less pairs that fall, of both, by more than `TIE` floor_sd), 0 if none do.
    `seen_from` is the smallest severity from which on the mean stands `SHIFT` floor_sd from the floor on the expected
    side. `responds`: yes, no, wrong way, not meant to (the `reason` says why) or not defined. For `copies` yes means
    that the metric rewards them.
    """
    rows = []
    values = values.assign(extractor=values["extractor"].astype(object).fillna(""))
    for (metric, extractor, kind), own in values.groupby(["metric", "extractor", "degradation"], sort=False):
        expected = expectation(metric, kind)
        row = {"metric": metric, "extractor": extractor, "degradation": kind, "reason": expected.reason}
        row["expected"] = DIRECTIONS[expected.direction]
        rows.append(row | _response(own, expected.direction))
        if expected == UNKNOWN:
            rows[-1]["expected"] = ""
    return pd.DataFrame(rows, columns=list(RESPONSE_COLUMNS))


def _response(values: pd.DataFrame, direction: int) -> dict[str, object]:
    if values["value"].isna().any():
        problem = values.loc[values["value"].isna(), "problem"].iloc[0]
        return {"responds": UNDEFINED, "reason": problem}
    curve = values.groupby("severity")["value"].mean()
    floor = values[values["severity"] == 0]
    scatter = float(np.sqrt(floor.groupby("class")["value"].var(ddof=1).mean()))
    shifts = _in_units(curve.to_numpy() - curve.iloc[0], scatter)
    gamma = _monotonicity(shifts)
    beyond = direction * shifts >= SHIFT
    seen = [severity for place, severity in enumerate(curve.index) if beyond[place:].all()]
    responds = NOT_MEANT
    if direction:
        if beyond[-1] and direction * gamma >= MONOTONICITY:
            responds = YES
        elif -direction * shifts[-1] >= SHIFT:
            responds = WRONG_WAY
        else:
            responds = NO
    return {
        "floor": float(curve.iloc[0]),
        "floor_sd": scatter,
        "at_worst": float(curve.iloc[-1]),
        "shift": float(shifts[-1]),
        "monotonicity": gamma,
        "seen_from": seen[0] if direction and seen else np.nan,
        "responds": responds,
    }


def _in_units(differences: np.ndarray, scatter: float) -> np.ndarray:
    if scatter > 0:
        return differences / scatter
    return np.array([0.0 if difference == 0 else np.copysign(np.inf, difference) for difference in differences])


def _monotonicity(shifts: np.ndarray) -> float:
    first, second = np.triu_indices(len(shifts), 1)
    rises = (shifts[second] > shifts[first] + TIE).astype(int) - (shifts[first] > shifts[second] + TIE)
    return float(rises.sum() / max(1, np.abs(rises).sum()))


def _values(metric: str, reference: np.ndarray, synthetic: np.ndarray) -> list[dict[str, object]]:
    module = metric_module(metric)
    try:
        found = score(metric, synthetic, reference if module.HAS_REFERENCE else None)
    except StudyError as error:
        return [{"metric": name, "value": np.nan, "problem": "; ".join(error.problems)} for name in module.NAMES]
    return [{"metric": name, "value": value, "problem": ""} for name, value in found.items()]


def _composed(
    half: Mapping[str, tuple[np.ndarray, np.ndarray]], name: str, kind: str, severity: float, seed: int
) -> np.ndarray:
    """Rows of the images that a composition puts in place of the candidates of a class."""
    reference, candidates = half[name]
    others = {
        "mode_drop": np.array([], int),
        "class_mix": np.concatenate([half[other][1] for other in half if other != name] or [np.array([], int)]),
        "copies": reference,
    }[kind]
    chosen = replaced_rows(len(candidates), kind, severity, seed_of(seed, name), len(others))
    return np.concatenate([candidates, others])[chosen]


def _halves(
    classes: np.ndarray, patients: np.ndarray, names: list[str], most: int, seed: int, repetition: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each class the rows of the reference and those of the candidates, equally many."""
    random = np.random.default_rng(seed_of(seed, "metric_selftest", "halves", repetition))
    side_of: dict[str, int] = {}
    # The rarest class first: patients of several classes are halved where it matters most.
    for name in sorted(names, key=lambda name: (np.count_nonzero(classes == name), name)):
        counts = [0, 0]
        for patient in random.permutation(np.unique(patients[classes == name])):
            side = side_of.setdefault(patient, int(counts[1] < counts[0]))
            counts[side] += np.count_nonzero((classes == name) & (patients == patient))
    sides = np.array([side_of[patient] for patient in patients])
    halves = {}
    for name in names:
        rows = [random.permutation(np.flatnonzero((classes == name) & (sides == side))) for side in (0, 1)]
        count = min(most, *map(len, rows))
        halves[name] = (np.sort(rows[0][:count]), np.sort(rows[1][:count]))
    return halves


def _check(classes: np.ndarray, patients: np.ndarray, names: list[str]) -> None:
    problems = [
        f"class {name}: images of one patient only, 2 or more are needed for two halves; give the split more"
        for name in names
        if len(np.unique(patients[classes == name])) < 2
    ]
    if not names:
        problems.append("there are no images")
    if problems:
        raise StudyError("The metric self-test has too few real images.", problems)
