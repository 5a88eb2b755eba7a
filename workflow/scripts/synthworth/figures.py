"""The study's figures, from tidy scores alone.

Figures 2, 4 and 7 answer to those of Schaudt et al. 2023. A generator has one colour in all figures of a study: by the
place of its name in `generators` (by default those in the scores, sorted). Nothing here touches matplotlib's global
state or needs a display.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from synthworth.cells import WITHOUT_COPIES, accuracy_changes, read_scores
from synthworth.curves import figure2_fid_curves, figure4_ms_ssim_curves, figure_other_curves
from synthworth.figure_style import (
    GREY,
    MARGIN_COLOUR,
    PAGE_WIDTH,
    STYLE,
    VERDICTS,
    generator_looks,
    in_order,
    save_figure,
    without_scores,
    write_note,
)
from synthworth.label_fidelity import figure_confusion
from synthworth.memorization.sheets import memorisation_curves, power_chart
from synthworth.memorization.summaries import over_classes
from synthworth.metric_selftest.figure import figure_selftest
from synthworth.protocols import provenance
from synthworth.ratings.figure import figure6_ratings


@dataclass(frozen=True)
class Setting:
    """What the scores do not say: the note below, the baseline arm, the study's generators and classes in order, the
    degrees of freedom taken off in the scores' standard deviations, and the margin of the verdict in percentage points.
    """

    note: str
    baseline: str
    generators: Sequence[str] | None
    classes: Sequence[str] | None
    ddof: int
    margin: float | None


def draw_figure(
    name: str,
    scores: str | Path,
    png: str | Path,
    pdf: str | Path,
    study: str,
    protocol: str,
    baseline: str = "baseline",
    generators: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    ddof: int = 1,
    margin: float | None = None,
) -> None:
    """Draws the figure `name` (a key of FIGURES) from a CSV of scores.

    Where scores are missing the figure says so and is valid all the same.
    """
    setting = Setting(provenance(study, protocol), baseline, generators, classes, ddof, margin)
    save_figure(FIGURES[name](read_scores(scores), setting), png, pdf)


def figure7_accuracy_change(
    cells: pd.DataFrame,
    baseline: str = "baseline",
    generators: Sequence[str] | None = None,
    ddof: int = 1,
    note: str = "",
) -> Figure:
    """Mean change of accuracy from the baseline over classifiers, per dose (Figure 7 of the paper).

    A line per generator, or arm that uses its images otherwise, over doses set at equal distances, so that 10,000 does
    not crush 100; dashed where copies were left out. Thin bars: one standard error over training seeds, of arm and
    baseline, with classifiers independent; none where an n is 1.
    """
    changes = accuracy_changes(cells, baseline)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        if changes.empty:
            return without_scores(figure, axes, note)
        doses = sorted(changes["dose"].unique())
        lines = list(changes["training_data"].unique())
        # The first arm of a generator has its colour, whatever it is called, and where copies were left out, too.
        plain = {name: name.removesuffix(WITHOUT_COPIES) for name in lines}
        first = changes.drop_duplicates("generator").set_index("training_data")["generator"]
        first = {plain[name]: generator for name, generator in first.items()}
        owner = {name: first.get(plain[name], plain[name]) for name in lines}
        looks = generator_looks(in_order(owner.values(), generators))
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        for place, name in enumerate(sorted(lines, key=lambda name: list(looks).index(owner[name]))):
            points = changes[changes["training_data"] == name].groupby("dose")
            height = points["change"].mean()
            # A small step aside keeps bars of different generators apart.
            shift = 0.05 * (place - (len(lines) - 1) / 2)
            width = [doses.index(dose) + shift for dose in height.index]
            colour, marker = looks[owner[name]]
            error = [_standard_error(scores, ddof) for _, scores in points]
            axes.errorbar(width, height, error, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
            axes.plot(
                width,
                height,
                color=colour,
                linestyle="-" if name == plain[name] else "--",
                marker=marker,
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=name,
            )
        axes.set_xticks(range(len(doses)), [f"+{dose:,}" for dose in doses])
        axes.set_xlim(-0.4, len(doses) - 0.6)
        axes.set_xlabel("Synthetic images added per class")
        axes.set_ylabel("Mean change of accuracy\n(percentage points)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        write_note(figure, f"Bars: one standard error over training seeds. {note}")
    return figure


def pooled_effects(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons with the baseline that `figure_effects` shows: pooled over classifiers, in percentage points.

    `comparisons` has effects and intervals as fractions, a row per classifier and arm, with classifier `all` for the
    pooled ones. Of several metrics the first, a study's primary one, stays.
    """
    pooled = comparisons[comparisons["classifier"] == "all"]
    pooled = pooled[pooled["metric"].isin(pooled["metric"].head(1))]
    points = ("effect", "low", "high", "low_simultaneous", "high_simultaneous")
    return pooled.assign(**{name: 100 * pooled[name].astype(float) for name in points})


def figure_effects(
    effects: pd.DataFrame, margin: float | None = None, generators: Sequence[str] | None = None, note: str = ""
) -> Figure:
    """A forest plot of the verdicts: each arm's effect with its intervals, in percentage points.

    `effects` has the columns `arm, generator, dose, effect, low, high` (thick), `low_simultaneous, high_simultaneous`
    (thin, and in numbers), `verdict` (helps, no evidence, harms) and, where the effect is not one on accuracy,
    `metric`. Rows go by generator and dose; an effect whose chance is not known (one seed) has no interval. `margin`
    (percentage points) shades the effects too small to matter.
    """
    effects = effects.dropna(subset=["effect"])
    order = {name: place for place, name in enumerate(in_order(effects["generator"], generators))}
    effects = effects.assign(place=effects["generator"].map(order)).sort_values(["place", "dose", "arm"], kind="stable")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 1.5 + 0.24 * max(len(effects), 4)), layout="constrained")
        axes = figure.subplots()
        if effects.empty:
            return without_scores(figure, axes, note)
        # Half a row of air between generators.
        heights = np.arange(len(effects)) + 0.5 * (effects["place"].diff().fillna(0) != 0).cumsum().to_numpy()
        if margin is not None:
            axes.axvspan(-margin, margin, color=MARGIN_COLOUR, linewidth=0, zorder=0)
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        texts = []
        for height, row in zip(heights, effects.itertuples(), strict=True):
            colour, marker = VERDICTS.get(row.verdict, (GREY, "o"))
            together = [row.low_simultaneous, row.high_simultaneous]
            for ends, width in ((together, 0.7), ([row.low, row.high], 2.0)):
                axes.plot(ends, [height, height], color=colour, linewidth=width, solid_capstyle="butt")
            axes.plot([row.effect], [height], color=colour, marker=marker, markersize=6, linestyle="none")
            interval = "" if pd.isna(together).any() else " [{:+z.2f}, {:+z.2f}]".format(*together)
            texts.append(f"{row.effect:+z.2f}{interval}".replace("-", "−"))
        axes.set_yticks(heights, effects["arm"])
        axes.set_ylim(heights[-1] + 0.7, -0.7)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        metric = effects["metric"].iloc[0].replace("_", " ") if "metric" in effects else "accuracy"
        axes.set_xlabel(f"Effect on {metric} against the baseline (percentage points)")
        numbers = axes.secondary_yaxis("right")
        numbers.set_yticks(heights, texts)
        numbers.tick_params(axis="y", length=0)
        numbers.spines["right"].set_visible(False)
        handles = [
            Line2D([], [], color=colour, marker=marker, markersize=6, linewidth=1.4, label=verdict)
            for verdict, (colour, marker) in VERDICTS.items()
            if verdict in set(effects["verdict"])
        ]
        if margin is not None:
            handles.append(Patch(color=MARGIN_COLOUR, label=f"within ±{margin:g}"))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        write_note(figure, note)
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame, Setting], Figure]] = {
    "figure2_fid_curves": lambda scores, setting: figure2_fid_curves(scores, setting.generators, setting.note),
    "figure4_ms_ssim_curves": lambda scores, setting: figure4_ms_ssim_curves(scores, setting.generators, setting.note),
    "figure_other_curves": lambda scores, setting: figure_other_curves(scores, setting.generators, setting.note),
    "figure6_ratings": lambda scores, setting: figure6_ratings(
        scores, setting.generators, setting.classes, setting.note
    ),
    "figure7_accuracy_change": lambda scores, setting: figure7_accuracy_change(
        scores, setting.baseline, setting.generators, setting.ddof, setting.note
    ),
    "figure_metric_selftest": lambda scores, setting: figure_selftest(scores, setting.note),
    "figure_confusion": lambda scores, setting: figure_confusion(scores, scores["class"].unique(), setting.note),
    "figure_memorization": lambda scores, setting: memorisation_curves(
        scores, generators=setting.generators, note=setting.note
    ),
    "figure_memorization_power": lambda scores, setting: power_chart(over_classes(scores), note=setting.note),
    "figure_effects": lambda scores, setting: figure_effects(
        pooled_effects(scores),
        setting.margin,
        setting.generators,
        "Thick intervals are of each arm alone; thin ones, and the numbers, hold for all arms at once; verdicts are "
        f"corrected for the number of arms. {setting.note}",
    ),
}


def _standard_error(scores: pd.DataFrame, ddof: int) -> float:
    """Of the mean over classifiers (rows) of arm minus baseline; NaN where a cell has one seed only."""
    variances = [
        (scores[sd] ** 2 / (scores[n] - 1 + ddof)).where(scores[n] > 1)
        for sd, n in [("sd", "n"), ("sd_baseline", "n_baseline")]
    ]
    return sqrt(sum(variances).sum(skipna=False)) / len(scores)
