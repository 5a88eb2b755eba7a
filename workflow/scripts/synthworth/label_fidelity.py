"""Label fidelity: how often a classifier trained on real images alone recognises a synthetic image as its class.

What the classifier says of held-out real images is the ceiling: it errs on those too. A generator at its ceiling makes
images as recognisable as real ones; below it, images of the wrong class or of none; above it, images more typical of
their class than reality is, which leave its variety out. In a multi-label study the same is asked of each finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from synthworth.errors import StudyError
from synthworth.figure_style import PAGE_WIDTH, STYLE, in_lines, without_scores, write_note
from synthworth.findings import THRESHOLD
from synthworth.statistics.shares import effective_number, wilson

HELD_OUT = "held-out real"
RECOGNITION_COLUMNS = (
    *("source", "class", "n", "n_groups", "recognised", "recall", "low", "high"),
    *("ceiling", "ratio", "ratio_low", "ratio_high", "reading"),
)
CONFUSION_COLUMNS = ("source", "class", "predicted", "images", "share")
# Of a multi-label study, whose images may be recognised as several.
FINDING_COLUMNS = ("source", "class", "finding", "images", "share", "n")
AS_REAL, BELOW, ABOVE, UNKNOWN = "as real", "below real", "above real", "no ceiling"
PANELS_IN_A_ROW = 3


@dataclass(frozen=True)
class Judged:
    """Images with the class each is meant to show and what the classifier says of them.

    `classes`: str [n]. `probabilities`: float [n, K] in [0, 1], in the order of the study's K classes. `groups`: [n],
    the patient of each image; None where each image stands for itself. `findings`: float [n, K], which are meant to
    show (1), which not (0), NaN masked; the K probabilities are then theirs. None without findings.
    """

    classes: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray | None = None
    findings: np.ndarray | None = None

    def meant(self, names: Sequence[str], name: str) -> np.ndarray:
        """The images that are meant to show the class, or finding, `name`: bool [n]."""
        if self.findings is None:
            return self.classes == name
        return self.findings[:, list(names).index(name)] == 1

    def recognised(self) -> np.ndarray:
        """What the classifier sees: bool [n, K], one class of each image, or any number of findings."""
        if self.findings is None:
            return np.arange(self.probabilities.shape[1]) == self.probabilities.argmax(axis=1)[:, None]
        return self.probabilities > THRESHOLD


def recognition(
    names: Sequence[str], held_out: Judged, synthetic: Mapping[str, Judged], confidence: float = 0.95
) -> pd.DataFrame:
    """The recall of each class, of held-out real images first, then of each generator: columns `RECOGNITION_COLUMNS`.

    `names` are the classes in the order of the probabilities; `held_out` are images that the classifier was not
    trained on; where they chose its epoch, their recall is a little high. `low` and `high` are Wilson's limits
    (1927), for images of patients with the effective number of images of Korn and Graubard (1998). `ceiling` is the
    recall of the held-out images, `ratio` the recall over it with Donner and Zou's (2012, MOVER-R) limits, and
    `reading` says on which side of 1 they lie; with a ceiling of 0 there is no ratio (empty). `ratio_high` is
    infinite where the ceiling may be 0. A class that a generator does not make has no row. Of a multi-label study
    `names` are findings, and all this is of the images that are meant to show one; `auroc` is that of telling them from
    those of the same source that are meant not to. StudyError for a class without held-out images, a generator without
    images, unknown classes, or probabilities that are none.
    """
    _check(names, held_out, synthetic)
    rows = []
    ceilings = {name: _recall(names, held_out, name, confidence) for name in names}
    for source, judged in {HELD_OUT: held_out, **synthetic}.items():
        for name in names:
            if not judged.meant(names, name).any():
                continue
            own, ceiling = _recall(names, judged, name, confidence), ceilings[name]
            row = {"source": source, "class": name, **own, "ceiling": ceiling["recall"], "reading": ""}
            if source != HELD_OUT:
                row |= _ratio(own, ceiling)
            if judged.findings is not None:
                row["auroc"] = _auroc(judged, list(names).index(name))
            rows.append(row)
    own_columns = [] if held_out.findings is None else ["auroc"]
    return pd.DataFrame(rows, columns=[*RECOGNITION_COLUMNS, *own_columns])


def confusion(names: Sequence[str], held_out: Judged, synthetic: Mapping[str, Judged]) -> pd.DataFrame:
    """As which class the images of each class are recognised: columns `CONFUSION_COLUMNS`, arguments of `recognition`.

    `share` is of the images of a source and a class, so that each row of a matrix adds up to 1. Of a multi-label study
    which findings are recognised in the images of each class, in columns `FINDING_COLUMNS`, `n` being their number.
    """
    _check(names, held_out, synthetic)
    columns = CONFUSION_COLUMNS if held_out.findings is None else FINDING_COLUMNS
    rows = []
    for source, judged in {HELD_OUT: held_out, **synthetic}.items():
        said = judged.recognised()
        for name in names if held_out.findings is None else np.unique(judged.classes):
            own = said[judged.classes == name]
            for place, seen in enumerate(names):
                if len(own):
                    images = int(own[:, place].sum())
                    rows.append((source, name, seen, images, images / len(own), len(own))[: len(columns)])
    return pd.DataFrame(rows, columns=list(columns))


def figure_confusion(confusions: pd.DataFrame, names: Sequence[str], note: str = "") -> Figure:
    """Confusion matrices of the held-out real images and of each generator, in the order of `confusions` rows.

    Rows are what the images are meant to show, the classes `names`, columns what the classifier sees: classes, or of a
    multi-label study findings; numbers are per cent of the row.
    """
    seen = "finding" if "finding" in confusions else "predicted"
    columns_seen = list(confusions["finding"].unique()) if seen == "finding" else list(names)
    sources = list(confusions["source"].unique())
    with matplotlib.rc_context(STYLE):
        columns = min(PANELS_IN_A_ROW, max(1, len(sources)))
        lines = max(1, ceil(len(sources) / columns))
        side = PAGE_WIDTH / PANELS_IN_A_ROW
        figure = Figure(figsize=(PAGE_WIDTH, 1.2 + lines * (side + 0.1)), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False)
        if not sources:
            return without_scores(figure, grid[0, 0], note, "No images.")
        for place, (axes, source) in enumerate(zip(grid.flat, sources, strict=False)):
            own = confusions[confusions["source"] == source].rename(columns={seen: "seen"})
            _draw_matrix(axes, own, names, columns_seen)
            axes.set_title(in_lines(source, 26))
            if place % columns == 0:
                axes.set_ylabel("Meant to show")
            else:
                axes.set_yticklabels([])
            if place >= len(sources) - columns:
                axes.set_xlabel("Recognised as" if seen == "predicted" else "Finding recognised")
            else:
                axes.set_xticklabels([])
        for axes in grid.flat[len(sources) :]:
            axes.remove()
        write_note(
            figure,
            "Per cent of the images of each row (number of images at the right), by a classifier trained on real "
            f"images alone; its errors on held-out real images are the ceiling of any generator. {note}",
        )
    return figure


def _draw_matrix(axes: Axes, confusions: pd.DataFrame, names: Sequence[str], seen: Sequence[str]) -> None:
    table = confusions.pivot_table(index="class", columns="seen", values="share").reindex(index=names, columns=seen)
    shares = table.to_numpy(float)
    by_class = confusions.groupby("class")
    totals = by_class["n"].first() if "n" in confusions else by_class["images"].sum()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = max(5, 9 - 0.5 * len(names))
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=size)
    counts = axes.secondary_yaxis("right")
    counts.set_yticks(range(len(names)), [f"{count:,.0f}" for count in totals.reindex(names, fill_value=0)])
    counts.tick_params(length=0, labelsize=7)
    counts.spines["right"].set_visible(False)
    across, down = ([in_lines(name, 12) for name in side] for side in (seen, names))
    axes.set_xticks(range(len(seen)), across, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), down)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)


def _recall(names: Sequence[str], judged: Judged, name: str, confidence: float) -> dict[str, float]:
    own = judged.meant(names, name)
    right = judged.recognised()[own, list(names).index(name)]
    groups = np.arange(len(right)) if judged.groups is None else judged.groups[own]
    low, high = wilson(right.mean(), effective_number(right, groups), confidence)
    counts = {"n": len(right), "n_groups": len(np.unique(groups)), "recognised": int(right.sum())}
    return counts | {"recall": float(right.mean()), "low": low, "high": high}


def _auroc(judged: Judged, place: int) -> float:
    """Of the certain images of a source; NaN where all of them are meant to show the finding."""
    truth, said = judged.findings[:, place], judged.probabilities[:, place]
    known = ~np.isnan(truth)
    return float(roc_auc_score(truth[known] == 1, said[known])) if (truth == 0).any() else float("nan")


def _ratio(own: Mapping[str, float], ceiling: Mapping[str, float]) -> dict[str, float | str]:
    """Ratio of two independent recalls, with its limits from theirs (Donner and Zou's equations, free of 0 / 0)."""
    if ceiling["recall"] == 0:
        return {"reading": UNKNOWN}
    product = own["recall"] * ceiling["recall"]
    below = own["low"] * (2 * own["recall"] - own["low"])
    above = own["high"] * (2 * own["recall"] - own["high"])
    ceiling_below = ceiling["low"] * (2 * ceiling["recall"] - ceiling["low"])
    ceiling_above = ceiling["high"] * (2 * ceiling["recall"] - ceiling["high"])
    root_low = np.sqrt(max(0.0, product**2 - below * ceiling_above))
    root_high = np.sqrt(max(0.0, product**2 - above * ceiling_below))
    low = below / (product + root_low) if product + root_low > 0 else 0.0
    high = (product + root_high) / ceiling_below if ceiling_below > 0 else np.inf
    reading = BELOW if high < 1 else ABOVE if low > 1 else AS_REAL
    return {
        "ratio": own["recall"] / ceiling["recall"],
        "ratio_low": float(low),
        "ratio_high": float(high),
        "reading": reading,
    }


def _check(names: Sequence[str], held_out: Judged, synthetic: Mapping[str, Judged]) -> None:
    problems = []
    for source, judged in {HELD_OUT: held_out, **synthetic}.items():
        shape, n = judged.probabilities.shape, len(judged.classes)
        groups = n if judged.groups is None else len(judged.groups)
        if shape != (n, len(names)) or groups != n:
            problems.append(
                f"{source}: probabilities {shape} and {groups} groups for {n} images of {len(names)} classes; "
                "predict anew with the study's classes"
            )
            continue
        bad = ~np.isfinite(judged.probabilities).all(axis=1)
        bad |= (np.nan_to_num(judged.probabilities) < -1e-6).any(axis=1)
        if judged.findings is None:
            bad |= np.abs(np.nan_to_num(judged.probabilities).sum(axis=1) - 1) > 1e-3
        if bad.any():
            problems.append(
                f"{source}: the probabilities of {bad.sum()} of {n} images are missing, negative or do not "
                "add up to 1; did the classifier's training diverge?"
            )
        unknown = sorted(set(judged.classes) - set(names)) if judged.findings is None else []
        problems += [f"{source}: class {name} is none of the study's" for name in unknown]
        if not n:
            problems.append(f"{source}: no images")
    if HELD_OUT in synthetic:
        problems.append(f"a generator cannot be named {HELD_OUT!r}; rename it")
    if not problems:
        absent = [name for name in names if not held_out.meant(names, name).any()]
        word = "class" if held_out.findings is None else "finding"
        problems += [f"{word} {name}: no held-out real image; give the split more" for name in absent]
    if problems:
        raise StudyError("Label fidelity cannot be reckoned from these predictions.", problems)
