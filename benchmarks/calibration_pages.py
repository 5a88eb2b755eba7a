"""What docs/verdict.md shows of the calibration, tables and a figure: from the CSV of `verdict_calibration.py`."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthworth.figure_style import GENERATOR_COLOURS, GREY, PAGE_WIDTH, STYLE

COLUMNS = ["design", "effect", "metric", "quantity", "value", "low", "high", "studies"]
PRIMARY = "balanced_accuracy"
LEVEL = 0.05
# What the page promises of studies without an effect: the tests are two-sided, and only one side helps.
HELPS_AT_MOST = LEVEL / 2
# The quantities of the CSV.
HELPS, HARMS, COVERED, TOGETHER = "helps", "harms", "intervals with the truth", "all simultaneous intervals"
POWER, DETECTABLE, WIDTH = "power", "minimum detectable effect", "width of the intervals"
ERROR = "standard error at the effect, of that without"
CROSSED, CROSSED_WIDTH = "crossed bootstrap: intervals with the truth", "crossed bootstrap: width of the intervals"
NAIVE_ARM = "t-test on bootstraps: arms at p < 0.05"
NAIVE_STUDY = "t-test on bootstraps: studies that say helps"


def calibration_tables(frame: pd.DataFrame) -> list[str]:
    """The page's tables in Markdown: without an effect, with one, by other metrics, and by other methods."""
    none, some = frame[frame["effect"] == 0], frame[frame["effect"] > 0]
    primary, others = none[none["metric"] == PRIMARY], none[none["metric"] != PRIMARY]
    shown = {
        HELPS: ("says helps", _percent),
        HARMS: ("says harms", _percent),
        COVERED: ("95 % intervals with the truth", _percent),
        TOGETHER: ("all simultaneous ones", _percent),
        DETECTABLE: ("smallest effect, as reported", _points),
    }
    methods = {
        COVERED: ("95 % intervals with the truth", _percent),
        WIDTH: ("their width", _points),
        CROSSED: ("bootstrap of patients and seeds: with the truth", _percent),
        CROSSED_WIDTH: ("their width", _points),
        NAIVE_STUDY: ("t-test on bootstraps: says helps", _percent),
    }
    effects = {
        POWER: ("found", _percent),
        COVERED: ("95 % intervals with the effect", _percent),
        ERROR: ("standard error, of that without the effect", lambda row: f"{row['value']:.2f}"),
    }
    return [
        _table(primary, {"design": "No arm has an effect"}, shown),
        _table(some, {"design": "One arm has an effect", "effect": "of (points)"}, effects),
        _table(others, {"metric": "Equal generators, trained once"}, shown),
        _table(primary, {"design": "No arm has an effect"}, methods),
    ]


def _table(frame: pd.DataFrame, keys: dict[str, str], shown: dict) -> str:
    """Rows by `keys` ({column: heading}), a column for each quantity of `shown` ({quantity: (heading, format)})."""
    headings = [*keys.values(), *(heading for heading, _ in shown.values())]
    lines = [headings, ["---"] * len(headings)]
    for values, rows in frame.groupby(list(keys), sort=False):
        cells = rows.set_index("quantity")
        texts = [form(cells.loc[quantity]) if quantity in cells.index else "" for quantity, (_, form) in shown.items()]
        lines.append([*(str(value).replace("_", " ") for value in values), *texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(row: pd.Series) -> str:
    return f"{100 * row['value']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _points(row: pd.Series) -> str:
    return f"{row['value']:.1f} points"


def calibration_figure(frame: pd.DataFrame) -> Figure:
    """False alarms, coverage and power, from the frame that `main` writes."""
    frame = frame[frame["metric"] == PRIMARY]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.3), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=[1.05, 0.8, 1.15])
        names = list(frame["design"].unique())
        looks = dict(zip(names, zip(GENERATOR_COLOURS, "osv^D", strict=False), strict=False))
        _false_alarms(axes[0], frame, names, looks)
        _coverage(axes[1], frame, names, looks)
        _power(axes[2], frame, names, looks)
    return figure


def _false_alarms(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """The share of studies without an effect that say `helps`, by design and by paper B's test."""
    rows = [(name, HELPS, *looks[name]) for name in names] + [(names[0], NAIVE_STUDY, GREY, "X")]
    for place, (name, quantity, colour, marker) in enumerate(rows):
        row = _row(frame, name, quantity)
        axes.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour)
        axes.plot([100 * row["value"]], [place], color=colour, marker=marker, markersize=6)
        right = row["value"] < 0.5
        # Clear of the dashed line.
        beside = max(100 * row["high"], 100 * HELPS_AT_MOST) if right else 100 * row["low"]
        axes.annotate(
            f"{100 * row['value']:.1f} %",
            (beside, place),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
        )
    axes.axvline(100 * HELPS_AT_MOST, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [*(name.replace(", ", ",\n") for name in names), "t-test on\nbootstraps"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("Studies that say “helps” (%)")
    axes.set_title("No arm has an effect", loc="left")


def _coverage(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """The share of 95 % intervals with the truth, hollow those of the crossed bootstrap."""
    axes.axvspan(93, 97, color="#EEEEEE", linewidth=0)
    axes.axvline(95, color=GREY, linewidth=0.8, linestyle="--")
    for place, name in enumerate(names):
        for quantity, shift, fill in ((COVERED, 0, looks[name][0]), (CROSSED, 0.3, "none")):
            row, style = _row(frame, name, quantity), {"color": looks[name][0], "markerfacecolor": fill}
            axes.plot([100 * row["low"], 100 * row["high"]], [place + shift] * 2, color=looks[name][0], linewidth=1)
            axes.plot([100 * row["value"]], [place + shift], marker=looks[name][1], markersize=5, **style)
    axes.set_yticks(range(len(names)), [""] * len(names))
    # Level with the designs of the panel to the left.
    axes.set_ylim(len(names) + 0.5, -0.5)
    axes.set_xlim(84, 101)
    axes.set_xticks([85, 90, 95, 100])
    axes.set_xlabel("95 % intervals\nwith the truth (%)")
    axes.set_title("Coverage", loc="left")


def _power(axes: Axes, frame: pd.DataFrame, names: list[str], looks: dict[str, tuple[str, str]]) -> None:
    """How often an arm with an effect is found."""
    for name in names:
        rows = frame[(frame["design"] == name) & (frame["quantity"] == POWER)]
        if rows.empty:
            continue
        error = 100 * np.array([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        colour, marker = looks[name]
        axes.errorbar(
            rows["effect"],
            100 * rows["value"],
            error,
            color=colour,
            marker=marker,
            markersize=5,
            elinewidth=1,
        )
    axes.axhline(80, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_ylim(-3, 103)
    axes.set_xlim(0, 16)
    axes.set_xticks([0, 3, 5, 10, 15])
    axes.set_xlabel("True effect of one arm\n(points of balanced accuracy)")
    axes.set_ylabel("Found (%)")
    axes.set_title("Power", loc="left")


def _row(frame: pd.DataFrame, design: str, quantity: str) -> pd.Series:
    """The number without an effect."""
    own = (frame["design"] == design) & (frame["quantity"] == quantity) & (frame["effect"] == 0)
    return frame[own].iloc[0]
