"""Figures of curves: the scores of generators' checkpoints over training steps."""

from collections.abc import Mapping, Sequence
from math import ceil

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from synthworth.figure_style import (
    CLASS_COLOURS,
    MEASURE,
    PAGE_WIDTH,
    STYLE,
    in_lines,
    in_order,
    metric_label,
    without_scores,
    write_note,
)
from synthworth.floors import smaller_floors

FLOOR = {"linestyle": ":", "linewidth": 0.9}


def figure2_fid_curves(fidelity: pd.DataFrame, generators: Sequence[str] | None = None, note: str = "") -> Figure:
    """FID of each generator's checkpoints over training steps (Figure 2 of the paper).

    A panel per generator, a line per class, a ring at the selected checkpoint; several extractors, or references,
    give a row of panels each. A generator with one checkpoint has the classes' points side by side. A band is the
    interval of a score, a dotted line the floor: what sets of real training images of the class have between them or,
    where the reference is `select`, with the held-out images. Scores without `low`, `high` and `floor` have neither.
    """
    return _curves(fidelity[fidelity["metric"] == "fid"], generators, note)


def figure4_ms_ssim_curves(fidelity: pd.DataFrame, generators: Sequence[str] | None = None, note: str = "") -> Figure:
    """MS-SSIM among each checkpoint's images over training steps (Figure 4 of the paper); panels as in Figure 2."""
    return _curves(fidelity[fidelity["metric"] == "ms_ssim"], generators, note)


def figure_other_curves(fidelity: pd.DataFrame, generators: Sequence[str] | None = None, note: str = "") -> Figure:
    """All other scores of each generator's checkpoints over training steps; panels as in Figure 2."""
    return _curves(fidelity[~fidelity["metric"].isin(["fid", "ms_ssim"])], generators, note)


def _curves(scores: pd.DataFrame, generators: Sequence[str] | None, note: str) -> Figure:
    scores = scores[(scores["class"] != "all") & scores["step"].notna()].fillna({"extractor": "", "reference": ""})
    order = [name for name in in_order(scores["generator"], generators) if name in set(scores["generator"])]
    rows = list(scores[MEASURE].drop_duplicates().itertuples(index=False, name=None))
    with matplotlib.rc_context(STYLE):
        # One row of scores folds into as many rows of panels as it needs.
        columns = max(1, len(order) if len(rows) > 1 else min(3, len(order)))
        lines = max(1, ceil(len(rows) * len(order) / columns))
        figure = Figure(figsize=(PAGE_WIDTH, 0.9 + (1.9 if lines < 4 else 1.3) * lines), layout="constrained")
        grid = figure.subplots(lines, columns, sharey="row" if len(rows) > 1 else "all", squeeze=False)
        if scores.empty:
            return without_scores(figure, grid[0, 0], note)
        classes = scores["class"].unique()
        colours = {name: CLASS_COLOURS[place % len(CLASS_COLOURS)] for place, name in enumerate(classes)}
        panels = [(row, name) for row in rows for name in order]
        for place, (measure, name) in enumerate(panels):
            axes = grid.flat[place]
            panel = scores[(scores[MEASURE] == list(measure)).all(axis=1) & (scores["generator"] == name)]
            # In narrow panels fewer numbers fit below the axis.
            _draw_curves(axes, panel, colours, ticks=2 if columns > 4 else 4)
            if len(rows) == 1 or place < columns:
                axes.set_title(in_lines(name, 80 // columns))
            if place % columns == 0:
                axes.set_ylabel(metric_label(*measure).replace(" (", "\n("))
            if place >= columns * (lines - 1) and panel["step"].any():
                axes.set_xlabel("Training step")
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
        handles.append(Line2D([], [], **_ring("#333333"), linestyle="none", label="selected"))
        if "floor" in scores and scores["floor"].notna().any():
            handles.append(Line2D([], [], color="#333333", **FLOOR, label="real against real"))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)))
        write_note(figure, " ".join(filter(None, [smaller_floors(scores), note])))
    return figure


def _draw_curves(axes: Axes, panel: pd.DataFrame, colours: Mapping[str, str], ticks: int) -> None:
    steps = panel["step"].unique()
    for place, (name, colour) in enumerate(colours.items()):
        curve = panel[panel["class"] == name].sort_values("step")
        if len(steps) == 1:
            # Points instead of lines, beside each other: shares of the axis, which has one step only.
            curve = curve.assign(step=steps[0] + (place + 0.5) / len(colours) - 0.5)
        axes.plot(curve["step"], curve["value"], color=colour, marker="." if len(steps) == 1 else "")
        if "low" in curve and len(steps) == 1:
            axes.vlines(curve["step"], curve["low"], curve["high"], color=colour, linewidth=0.8, alpha=0.6)
        elif "low" in curve:
            axes.fill_between(curve["step"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        if "floor" in curve and curve["floor"].notna().any():
            axes.axhline(curve["floor"].iloc[0], color=colour, zorder=0, **FLOOR)
        chosen = curve[curve["selected"].eq(True)]
        axes.plot(chosen["step"], chosen["value"], **_ring(colour), linestyle="none", zorder=3, clip_on=False)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    if len(steps) == 1:
        axes.set_xlim(steps[0] - 0.7, steps[0] + 0.7)
        axes.set_xticks(steps, [f"step {steps[0]:,.0f}" if steps[0] else "not trained"])


def _ring(colour: str) -> dict[str, object]:
    return {
        "marker": "o",
        "markersize": 6,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.5,
    }
