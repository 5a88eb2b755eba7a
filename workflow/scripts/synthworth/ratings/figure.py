"""Figure 6 of Schaudt et al. 2023: how ratings are distributed, by generator and class."""

from collections.abc import Sequence
from math import ceil

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from synthworth.figure_style import (
    GREY,
    PAGE_WIDTH,
    STYLE,
    generator_looks,
    in_lines,
    in_order,
    without_scores,
    write_note,
)
from synthworth.ratings.scales import REAL, SCALES
from synthworth.ratings.summaries import first_ratings

PANELS_IN_A_ROW = 3
# The paper's.
MEDIAN_COLOUR = "#D62728"
# Of a score that all images have; the distance from one source to the next is 1.
WIDEST = 0.92
BAR = 0.78


def figure6_ratings(
    rows: pd.DataFrame,
    generators: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    note: str = "",
) -> Figure:
    """The shares of each score among the ratings of single images, a panel per score and class, all classes first.

    `rows` as of `joining.join_ratings`, of which each reader's first rating of an image counts. Bars lie at the
    scores and are as wide as the scores' shares; a line marks the median of a source: real images in grey, then
    the generators. `generators` and `classes` give the order; sorted, where they are None.
    """
    rated = first_ratings(rows[rows["mode"] == "single"])
    names = in_order(set(rated["source"]) - {REAL}, generators)
    colours = {REAL: GREY} | {name: colour for name, (colour, _) in generator_looks(names).items()}
    sources = [name for name in colours if name in set(rated["source"])]
    classes = [name for name in in_order(rated["class"], classes) if name in set(rated["class"])]
    with matplotlib.rc_context(STYLE):
        titles = ["all classes", *classes] if len(classes) > 1 else classes
        columns = max(1, min(PANELS_IN_A_ROW, len(titles)))
        lines = max(1, ceil(len(titles) / columns))
        scores = [name for name in SCALES["single"] if name in set(rated["score"])]
        figure = Figure(figsize=(PAGE_WIDTH, 1.0 + 1.45 * lines * max(1, len(scores))), layout="constrained")
        grid = figure.subplots(lines * max(1, len(scores)), columns, squeeze=False, sharex=True)
        if rated.empty:
            return without_scores(figure, grid[0, 0], note)
        for place, score in enumerate(scores):
            panels = grid[place * lines : (place + 1) * lines]
            own = rated[rated["score"] == score]
            for number, (axes, title) in enumerate(zip(panels.flat, titles, strict=False)):
                chosen = own if len(classes) == 1 or number == 0 else own[own["class"] == title]
                _draw_shares(axes, chosen, sources, colours, SCALES["single"][score])
                axes.set_title(in_lines(title, 34))
                if number % columns == 0:
                    axes.set_ylabel(score.capitalize())
                else:
                    axes.set_yticklabels([])
            for axes in panels.flat[len(titles) :]:
                axes.remove()
        handles = [Patch(color=colours[name], label="real images" if name == REAL else name) for name in sources]
        handles.append(Line2D([], [], color=MEDIAN_COLOUR, linewidth=1.8, label="median"))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
        readers = rated["reader"].nunique()
        counts = rated.groupby(["score", "source", "class"]).size()
        each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        whose = "one reader" if readers == 1 else f"{readers} readers"
        write_note(figure, f"{each} ratings of each source and class, of {whose}. {note}".strip())
    return figure


def _draw_shares(
    axes: Axes, rated: pd.DataFrame, sources: Sequence[str], colours: dict[str, str], scale: tuple[int, int]
) -> None:
    low, high = scale
    levels = np.arange(low, high + 1)
    for place, name in enumerate(sources):
        values = rated.loc[rated["source"] == name, "value"].to_numpy(float)
        if not len(values):
            continue
        shares = np.array([(values == level).mean() for level in levels])
        axes.barh(levels, WIDEST * shares, BAR, left=place - WIDEST * shares / 2, color=colours[name], alpha=0.75)
        axes.plot([place - 0.42, place + 0.42], [np.median(values)] * 2, color=MEDIAN_COLOUR, linewidth=1.8, zorder=3)
    axes.set_ylim(low - 0.6, high + 0.6)
    axes.set_yticks(levels)
    axes.set_xlim(-0.6, len(sources) - 0.4)
    axes.set_xticks([])
