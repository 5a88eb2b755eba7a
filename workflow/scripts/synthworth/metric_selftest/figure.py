"""The self-test as a figure: a row per metric, a column per degradation."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

from synthworth.figure_style import (
    CLASS_COLOURS,
    GREY,
    MARGIN_COLOUR,
    PAGE_WIDTH,
    STYLE,
    VERDICTS,
    metric_label,
    without_scores,
    write_note,
)
from synthworth.metric_selftest.degradations import BLUR, KINDS, NOISE
from synthworth.metric_selftest.responses import NO, NOT_MEANT, SHIFT, UNDEFINED, WRONG_WAY, YES, judge

# Of floor scatters, the most that a linear axis can show with the floor still to be seen.
LINEAR = 60
HEADS = {
    "blur": ("Blur", "sd, % of width", 100 * BLUR),
    "noise": ("Noise", "sd, grey levels", NOISE),
    "mode_drop": ("Mode drop", "% replaced", 100.0),
    "class_mix": ("Class mix-up", "% replaced", 100.0),
    "copies": ("Copies of reference", "% replaced", 100.0),
}
MARKS = {
    YES: ("responds", VERDICTS["helps"][0]),
    NO: ("no response", VERDICTS["harms"][0]),
    WRONG_WAY: ("wrong way", VERDICTS["harms"][0]),
    NOT_MEANT: ("not meant to", GREY),
    UNDEFINED: ("not defined", GREY),
}
MARKS_OF_COPIES = {YES: ("rewards copies", VERDICTS["harms"][0]), NO: ("no reward", GREY)}


def figure_selftest(values: pd.DataFrame, note: str = "") -> Figure:
    """Values over severity, from the frame of `responses.selftest`; severities stand at equal distances.

    A thin line per class (mean over drawings of halves), a black one for their mean, and the floor's scatter (severity
    0, two standard deviations to each side) as a band. Each panel says whether the metric responds as it should.
    Several extractors give rows of their own; of many, draw one figure per extractor.
    """
    values = values.assign(extractor=values["extractor"].astype(object).fillna(""))
    responses = judge(values).set_index(["metric", "extractor", "degradation"])
    lines = list(values[["metric", "extractor"]].drop_duplicates().itertuples(index=False, name=None))
    kinds = [kind for kind in KINDS if kind in set(values["degradation"])]
    with matplotlib.rc_context(STYLE):
        height = 1.3 + 0.95 * max(1, len(lines))
        figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
        grid = figure.subplots(max(1, len(lines)), max(1, len(kinds)), sharey="row", squeeze=False)
        if values.empty:
            return without_scores(figure, grid[0, 0], note)
        classes = sorted(values["class"].unique())
        colours = {name: CLASS_COLOURS[place % len(CLASS_COLOURS)] for place, name in enumerate(classes)}
        for row, (metric, extractor) in enumerate(lines):
            of_metric = values[(values["metric"] == metric) & (values["extractor"] == extractor)]
            for column, kind in enumerate(kinds):
                axes = grid[row, column]
                _draw_panel(axes, of_metric[of_metric["degradation"] == kind], colours)
                _mark(axes, responses.loc[(metric, extractor, kind)], kind)
                _set_ticks(axes, sorted(values["severity"].unique()), kind, last=row == len(lines) - 1)
                if row == 0:
                    axes.set_title(HEADS[kind][0], pad=12)
            _set_scale(grid[row, 0], of_metric)
            grid[row, 0].set_ylabel(metric_label(metric, extractor, "").replace(" (", "\n("))
        figure.align_ylabels(grid[:, 0])
        handles = [Line2D([], [], color=colour, linewidth=0.9, label=name) for name, colour in colours.items()]
        handles.append(Line2D([], [], color="black", label="mean of classes"))
        handles.append(Patch(color=MARGIN_COLOUR, label=f"floor ± {SHIFT:g} sd"))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
        counts = values.groupby("class")["n_synthetic"].min()
        images = ", ".join(f"{name} {count}" for name, count in counts.items())
        write_note(
            figure,
            "Real images in place of synthetic ones, spoilt by growing amounts, against other patients' images; "
            f"images on each side: {images}. Floor: not spoilt, scatter over drawings of the two halves. "
            f"{_not_meant(responses.reset_index())}{note}",
        )
    return figure


def _not_meant(responses: pd.DataFrame) -> str:
    """Why metrics are not meant to respond, each reason once."""
    own = responses[responses["responds"] == NOT_MEANT]
    reasons = []
    for reason, rows in own.groupby("reason", sort=False):
        kinds = rows.groupby("metric", sort=False)["degradation"].unique()
        named = [
            f"{metric_label(metric, '', '')} ({', '.join(HEADS[kind][0].lower() for kind in own)})"
            for metric, own in kinds.items()
        ]
        reasons.append(f"{', '.join(named)}: {reason}")
    return f"Not meant to: {'; '.join(reasons)}. " if reasons else ""


def _draw_panel(axes: Axes, values: pd.DataFrame, colours: dict[str, str]) -> None:
    curves = values.pivot_table(index="class", columns="severity", values="value", aggfunc="mean", dropna=False)
    places = np.arange(curves.shape[1])
    middle, scatter = curves.mean().iloc[0], _scatter(values)
    axes.axhspan(middle - SHIFT * scatter, middle + SHIFT * scatter, color=MARGIN_COLOUR, linewidth=0, zorder=0)
    for name, curve in curves.iterrows():
        axes.plot(places, curve, color=colours[name], linewidth=0.8, alpha=0.9)
    axes.plot(places, curves.mean(skipna=False), color="black", linewidth=1.6)


def _set_scale(axes: Axes, values: pd.DataFrame) -> None:
    """Logarithmic beyond the floor's scatter, for a row whose panels span more than `LINEAR` times that scatter."""
    scatter = _scatter(values[values["degradation"] == values["degradation"].iloc[0]])
    means = values.groupby(["degradation", "severity"])["value"].mean()
    if 0 < LINEAR * scatter < means.max() - means.min():
        axes.set_yscale("symlog", linthresh=SHIFT * scatter)
        least = values["value"].min()
        axes.set_ylim(least - SHIFT * scatter if least < -0.01 * scatter else 0, 2 * values["value"].max())
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=SHIFT * scatter))
        axes.yaxis.get_major_locator().set_params(numticks=4)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))


def _scatter(values: pd.DataFrame) -> float:
    floor = values[values["severity"] == 0].groupby("class")["value"]
    return float(np.sqrt(floor.var(ddof=1).mean()))


def _mark(axes: Axes, response: pd.Series, kind: str) -> None:
    text, colour = MARKS[response["responds"]]
    if kind == "copies":
        text, colour = MARKS_OF_COPIES.get(response["responds"], (text, colour))
    axes.text(0.5, 1.0, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=6.5, color=colour)


def _set_ticks(axes: Axes, severities: Sequence[float], kind: str, last: bool) -> None:
    _, unit, factor = HEADS[kind]
    axes.set_xticks(range(len(severities)), [f"{factor * severity:.3g}" for severity in severities] if last else [])
    axes.tick_params(labelsize=6.5)
    if last:
        axes.set_xlabel(unit, fontsize=7.5)
