"""Curves of scores over a generator's checkpoints, and the choice of the checkpoint that makes the study's images.

The rule is the paper's (Schaudt et al. 2023, section 2.3, and its code): a generator with a model per class takes,
for each class, the step with the lowest score; one model for all classes takes the step with the lowest sum over
classes. (The paper's Table 5 prints per-class minima for its joint models too, of checkpoints it did not use.)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.fidelity import CHECKPOINT_COLUMNS, FLOOR_COLUMNS, MEASURE_COLUMNS, SCORE_COLUMNS
from synthworth.files import replacing
from synthworth.selected import read_selection

JOINT_SCOPE = "all"
NAMED = ("generator", "scope", "class", *MEASURE_COLUMNS)
MEASURED = ("generator", "class", *MEASURE_COLUMNS)
REASONS = ("reason", "floor_reason")
PER_CLASS_RULE = "For each class, the step with the lowest score; of equal ones the earliest."
JOINT_RULE = "For all classes, the step with the lowest sum of scores over the classes; of equal ones the earliest."

LAST_RULE = "The last checkpoint of each training, whatever its scores."


def collect_curves(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of many score files as one frame, columns `SCORE_COLUMNS`, in the order of their names, not of files."""
    frames = [_read(path) for path in paths]
    if not frames:
        return pd.DataFrame(columns=list(SCORE_COLUMNS))
    curves = pd.concat(frames)[list(SCORE_COLUMNS)]
    return curves.sort_values([*CHECKPOINT_COLUMNS, *MEASURE_COLUMNS], ignore_index=True)


def _read(path: str | Path) -> pd.DataFrame:
    # A class may be named `NA`: nothing but an empty text is read as empty.
    texts = dict.fromkeys([*NAMED, *REASONS], str)
    numbers = {column: ["nan", ""] for column in (*SCORE_COLUMNS, *FLOOR_COLUMNS) if column not in texts}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=numbers)


def select_checkpoints(
    curves: pd.DataFrame,
    *,
    metric: str,
    classes: Sequence[str],
    joint: bool,
    extractor: str = "",
    reference: str = "",
) -> pd.DataFrame:
    """The chosen checkpoint of each class of one generator: columns `class, scope, step, value`, in `classes`' order.

    `curves` as from `collect_curves`; of them those rows count that have the given metric, extractor and reference.
    `joint` says that one model (scope `all`) makes all classes, and `value` is then the class's own score at the
    common step. StudyError where a class lacks a step that another class has, has it twice, or has no finite score.
    """
    scope = JOINT_SCOPE if joint else curves["class"]
    chosen = curves[
        (curves["metric"] == metric)
        & (curves["extractor"] == extractor)
        & (curves["reference"] == reference)
        & (curves["scope"] == scope)
        & curves["class"].isin(classes)
    ]
    scores = _grid(chosen, classes, f"{metric} {extractor} {reference}".strip())
    if joint:
        scores = pd.DataFrame({name: scores.sum(axis=1) for name in classes})
    # Steps ascend, so that the first of equal minima is the earliest.
    steps = scores.idxmin()
    own = chosen.set_index(["class", "step"])["value"]
    rows = [{"class": name, "scope": JOINT_SCOPE if joint else name, "step": int(steps[name])} for name in classes]
    return pd.DataFrame(rows).assign(value=[float(own[row["class"], row["step"]]) for row in rows])


def _grid(scores: pd.DataFrame, classes: Sequence[str], title: str) -> pd.DataFrame:
    """Scores as a table of steps (ascending) by classes, every cell filled."""
    problems = []
    generators = sorted(set(scores["generator"]))
    if len(generators) > 1:
        problems.append(f"scores of several generators: {', '.join(generators)}")
    repeated = scores[scores.duplicated(["class", "step"])]
    problems += [f"class {row['class']}, step {row.step}: more than one score" for _, row in repeated.iterrows()]
    steps = sorted(scores["step"].unique())
    table = scores.drop_duplicates(["class", "step"]).pivot_table(index="step", columns="class", values="value")
    table = table.reindex(index=steps, columns=list(classes)).astype(float)
    problems += [
        f"class {name}: no score at any step{_why(scores, name)}" for name in classes if table[name].isna().all()
    ]
    problems += [
        f"class {name}, step {step}: no finite score"
        for name in classes
        if not table[name].isna().all()
        for step in table.index[~np.isfinite(table[name])]
    ]
    if problems:
        raise StudyError(f"The checkpoints cannot be compared by their {title} scores.", problems)
    return table


def _why(scores: pd.DataFrame, name: str) -> str:
    """The reasons for which a class has no scores, in brackets, where some are known."""
    reasons = scores.loc[(scores["class"] == name) & (scores["reason"] != ""), "reason"].unique()
    return f" ({'; '.join(reasons)})" if len(reasons) else ""


def write_curves(scores: Iterable[str | Path], output: str | Path) -> None:
    """Collects score files (see `collect_curves`) in one CSV."""
    with replacing(output) as temporary:
        collect_curves(scores).to_csv(temporary, index=False)


def write_fidelity(
    curves: Sequence[str | Path], selections: Sequence[str | Path], floors: Sequence[str | Path], output: str | Path
) -> None:
    """Writes the curves of all generators as one CSV, the chosen checkpoints marked, each score beside its floor.

    `selections` are the files of `save_selection`, one per curves file and in the same order; `floors` those of
    `measure_floor`.
    """
    chosen = {}
    for curve, selection in zip(curves, selections, strict=True):
        chosen[collect_curves([curve])["generator"].iloc[0]] = read_selection(selection)
    with replacing(output) as temporary:
        marked = mark_selected(collect_curves(curves), chosen)
        lowest = pd.concat([_read(path) for path in floors])
        marked.merge(lowest, how="left", on=["class", *MEASURE_COLUMNS]).to_csv(temporary, index=False)


def save_selection(
    scores: Iterable[str | Path],
    output: str | Path,
    *,
    metric: str,
    classes: Sequence[str],
    joint: bool,
    extractor: str = "",
    reference: str = "",
    last: int | None = None,
) -> None:
    """Chooses from score files (see `select_checkpoints`) and writes the choice as JSON.

    `{"checkpoints": {class: {scope, step, metric, extractor, reference, value}}, "rule": the rule in words}`: the
    same choice always gives the same bytes. With `last`, a step, it is chosen unseen: `scores` are not read, and the
    value is null.
    """
    names = {"metric": metric, "extractor": extractor, "reference": reference}
    if last is None:
        chosen = select_checkpoints(collect_curves(scores), **names, classes=classes, joint=joint).to_dict("records")
        rule = JOINT_RULE if joint else PER_CLASS_RULE
    else:
        scopes = {name: JOINT_SCOPE if joint else name for name in classes}
        chosen = [{"class": name, "scope": scope, "step": last, "value": None} for name, scope in scopes.items()]
        rule = LAST_RULE
    selection = {"checkpoints": {row.pop("class"): row | names for row in chosen}, "rule": rule}
    with replacing(output) as temporary:
        text = json.dumps(selection, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def mark_selected(
    curves: pd.DataFrame, selections: Mapping[str, Mapping[str, Mapping[str, str | int | float]]]
) -> pd.DataFrame:
    """The curves with two columns after `step`.

    `selected` is true where a class's images come from that checkpoint, `selected_by` where the score, of whichever
    checkpoint, is the one that its generator's were chosen by. `selections` maps each generator to its
    `read_selection`.
    """
    entries = [
        {"generator": generator, "class": name, **checkpoint}
        for generator, checkpoints in selections.items()
        for name, checkpoint in checkpoints.items()
    ]
    marked = curves.copy()
    for place, (column, names) in enumerate({"selected": CHECKPOINT_COLUMNS, "selected_by": MEASURED}.items(), start=4):
        wanted = {tuple(entry[name] for name in names) for entry in entries}
        keys = zip(*(curves[name] for name in names), strict=True)
        marked.insert(place, column, [key in wanted for key in keys])
    return marked
