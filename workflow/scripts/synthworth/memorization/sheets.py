"""The audit's figures: the closest pairs side by side, its power, and memorisation over a generator's training."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import EngFormatter, MaxNLocator

from synthworth.figure_style import (
    GREY,
    MARGIN_COLOUR,
    PAGE_WIDTH,
    STYLE,
    generator_looks,
    in_lines,
    in_order,
    without_scores,
    write_note,
)
from synthworth.memorization.summaries import SCORES, false_alarms

PAIRS = 9
PAIR_COLUMNS = 3
FLAGGED = "#D55E00"
# Between pairs, and for the words below one, as shares of an image's side.
GAP = 0.14
WORDS = 0.5

PERTURBATIONS = {
    "exact": "exact copy",
    "flip": "mirrored",
    "shift": "shifted by {:g} %",
    "brightness": "brightness ±{:g} %",
    "jpeg": "JPEG quality {:g}",
    "crop": "cropped by {:g} %",
    "noise": "noise, sd {:g} %",
    "blur": "blurred, sd {:g} %",
    "combined": "five of these, mildly",
}


def closest_pairs(
    images: pd.DataFrame,
    synthetic: np.ndarray,
    training: Mapping[str, np.ndarray],
    count: int = PAIRS,
    title: str = "",
    note: str = "",
) -> Figure:
    """The `count` synthetic images with the highest copy score, each beside the training image it is like.

    `images` is the audit's table of images, row i being `synthetic[i]` (uint8 [n, height, width, 1 or 3]); `training`
    gives the images of the pairs by name. Below a pair stand patient, score, and the rank of its feature distance
    (1: the nearest of the set to the training images); a pair that is flagged is framed.
    """
    images = images.assign(place=range(len(images)), rank=images["distance"].rank(method="min").astype(int))
    rows = images.sort_values(["similarity", "distance"], ascending=[False, True], kind="stable").head(count)
    with matplotlib.rc_context(STYLE):
        columns = min(PAIR_COLUMNS, max(len(rows), 1))
        lines = max(1, ceil(len(rows) / columns))
        width, height = 2 + GAP, 1 + WORDS
        tile = min(1.3, (PAGE_WIDTH - 0.2) / (width * columns - GAP))
        figure = Figure(figsize=(PAGE_WIDTH, tile * height * lines + 0.65), layout="constrained")
        axes = figure.subplots()
        if rows.empty:
            return without_scores(figure, axes, note, "No images.")
        for place, row in enumerate(rows.itertuples()):
            left, top = place % columns * width, place // columns * height
            _show(axes, synthetic[row.place], left, top)
            _show(axes, training[row.similar_image], left + 1, top)
            if row.flagged:
                frame = Rectangle((left, top), 2, 1, fill=False, edgecolor=FLAGGED, linewidth=2, clip_on=False)
                axes.add_patch(frame)
            words = [
                f"patient {_short(row.similar_patient)}",
                f"score {row.similarity:.2f}, {'flagged' if row.flagged else 'not flagged'}",
                f"distance {row.distance:.3g} ({row.rank} of {len(images):,})",
            ]
            colour = FLAGGED if row.flagged else "black"
            axes.text(left + 1, top + 1.06, "\n".join(words), ha="center", va="top", fontsize=7, color=colour)
        axes.set_xlim(-0.02, width * columns - GAP + 0.02)
        axes.set_ylim(height * lines, -0.02)
        axes.set_aspect("equal")
        axes.set_axis_off()
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        write_note(figure, f"Left of each pair: synthetic; right: the training image it is most like. {note}")
    return figure


def power_chart(power: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """What the audit finds: of planted copies by perturbation (left), and of sets that hold some (right).

    `power` is that of the audits over their classes (`summaries.over_classes`). Bars are 95 % intervals.
    """
    recalls, sets = power[power["score"] == "flagged"], power[~power["score"].isin(["flagged", "named"])]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 1.3 + 0.2 * max(len(recalls), 8)), layout="constrained")
        if recalls.empty:
            return without_scores(figure, figure.subplots(), note)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
        heights = np.arange(len(recalls))
        errors = [recalls["power"] - recalls["low"], recalls["high"] - recalls["power"]]
        bars = {"ecolor": GREY, "elinewidth": 1.2, "markersize": 4.5, "color": "#0072B2", "clip_on": False}
        left.errorbar(recalls["power"], heights, xerr=np.maximum(errors, 0), fmt="o", zorder=3, **bars)
        left.set_yticks(heights, [_perturbation(row.perturbation, row.strength) for row in recalls.itertuples()])
        left.set_ylim(len(recalls) - 0.2, -0.6)
        left.tick_params(axis="y", length=0)
        left.set_xlim(0, 1)
        left.grid(axis="x", color=MARGIN_COLOUR)
        left.set_axisbelow(True)
        left.set_xlabel("Share of planted copies flagged")
        names = list(dict.fromkeys(sets["score"]))
        for name, (colour, marker) in generator_looks(names).items():
            own = sets[sets["score"] == name]
            right.fill_between(own["share"], own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
            label = SCORES[name].removesuffix(" (%)")
            right.plot(
                own["share"], own["power"], color=colour, marker=marker, markersize=4, label=label, clip_on=False
            )
        right.set_xscale("log")
        shares = sets.drop_duplicates("share").sort_values("share")
        right.set_xticks(shares["share"], [_planted(row) for row in shares.itertuples()])
        right.tick_params(axis="x", labelsize=7)
        right.minorticks_off()
        right.set_ylim(0, 1)
        right.set_xlabel("Copies in the set")
        right.set_ylabel("Share of such sets found")
        right.legend(loc="upper left")
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        alarms = [f"Left: where at most {false_alarms(recalls)} of real images of new patients are flagged."]
        if len(sets):
            alarms.append(f"Right: where {100 * sets['false_alarms'].max():.1f} % of sets without copies are found.")
        write_note(figure, " ".join([*alarms, note]))
    return figure


def memorisation_curves(
    summaries: pd.DataFrame,
    score: str = "flagged",
    generators: Sequence[str] | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """A score of memorisation over training steps: a panel per class, a line with its interval per generator.

    `summaries` are rows of the audits' summaries with `generator`, `class` and `step`. The grey band holds 95 % of
    equally many held-out images (duplicates: training images).
    """
    rows = summaries[summaries["score"] == score]
    with matplotlib.rc_context(STYLE):
        classes = list(dict.fromkeys(rows["class"]))
        columns = min(3, max(1, len(classes)))
        lines = max(1, ceil(len(classes) / columns))
        figure = Figure(figsize=(PAGE_WIDTH, 1.2 + 1.8 * lines), layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        if rows.empty:
            return without_scores(figure, grid[0, 0], note)
        order = [name for name in in_order(rows["generator"], generators) if name in set(rows["generator"])]
        looks = generator_looks(in_order(rows["generator"], generators))
        for place, name in enumerate(classes):
            axes = grid.flat[place]
            own = rows[rows["class"] == name]
            _draw_band(axes, own)
            for generator in order:
                colour, marker = looks[generator]
                _draw_curve(axes, own[own["generator"] == generator].sort_values("step"), colour, marker)
            axes.set_title(in_lines(name, 80 // columns))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if place % columns == 0:
                axes.set_ylabel(SCORES[score])
            if place >= columns * (lines - 1):
                axes.set_xlabel("Training step")
        for axes in grid.flat[len(classes) :]:
            axes.remove()
        handles = [
            Line2D([], [], color=looks[name][0], marker=looks[name][1], markersize=4.5, label=name) for name in order
        ]
        kind = "training" if score == "duplicates" else "held-out"
        handles.append(Patch(color="#DDDDDD", label=f"{kind} images"))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)), title=title or None)
        power = rows["power"]
        seen = " to ".join(dict.fromkeys(f"{100 * end:.0f} %" for end in (power.min(), power.max())))
        alarms = f", at false alarms of {false_alarms(rows)}" if score == "flagged" else ""
        write_note(figure, f"Bars: 95 % intervals. Power ({rows['power_of'].iloc[0]}{alarms}): {seen}. {note}")
    return figure


def _draw_band(axes: Axes, rows: pd.DataFrame) -> None:
    """Generators differ in it by the numbers of their images alone: the widest is shown."""
    band = rows.groupby("step").agg({"reference_low": "min", "reference_high": "max"}).sort_index()
    steps = band.index.to_numpy(float)
    if len(steps) == 1:
        steps, band = steps + [-0.5, 0.5], band.loc[band.index.repeat(2)]
    axes.fill_between(steps, band["reference_low"], band["reference_high"], color="#DDDDDD", linewidth=0, zorder=0)


def _draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, marker: str) -> None:
    errors = np.maximum([curve["value"] - curve["low"], curve["high"] - curve["value"]], 0)
    axes.errorbar(curve["step"], curve["value"], errors, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
    axes.plot(curve["step"], curve["value"], color=colour, marker=marker, markersize=4.5, markeredgecolor="white")


def _show(axes: Axes, image: np.ndarray, left: float, top: float) -> None:
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    extent = (left + 0.01, left + 0.99, top + 0.99, top + 0.01)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="antialiased")


def _perturbation(name: str, strength: float) -> str:
    share = 1 if name == "jpeg" else 100
    return PERTURBATIONS[name].format(round(share * strength, 6))


def _planted(row: NamedTuple) -> str:
    """A share, and how many of how many images it is: of small sets one at least, which may be more than the share."""
    copies, images = (_span(*ends) for ends in ((row.copies, row.copies_most), (row.images, row.images_most)))
    return f"{100 * row.share:g} %\n{copies}\nof {images}"


def _span(fewest: float, most: float) -> str:
    return f"{fewest:.0f}" if fewest == most else f"{fewest:.0f}–{most:.0f}"


def _short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
