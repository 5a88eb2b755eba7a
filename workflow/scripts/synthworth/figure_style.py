"""How figures look: colours, type, the note below, and the two files that each becomes.

The colours are those of Okabe and Ito (generators, verdicts) and of Paul Tol's muted set (classes): the colour-blind
can tell them apart, and markers repeat what generators' colours say.
"""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthworth.files import replacing

GENERATOR_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
GENERATOR_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
CLASS_COLOURS = ["#332288", "#CC6677", "#44AA99", "#DDAA33", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933"]
# What tells one score of a checkpoint and class from another.
MEASURE = ["metric", "extractor", "reference"]
METRIC_NAMES = {
    "fid": "FID",
    "kid": "KID",
    "ms_ssim": "MS-SSIM",
    "prompt_ms_ssim": "MS-SSIM (within prompt)",
    "vendi": "Vendi score",
}
VERDICTS = {"helps": ("#0072B2", "^"), "no evidence": ("#7F7F7F", "o"), "harms": ("#D55E00", "v")}
GREY = "#7F7F7F"
MARGIN_COLOUR = "#EEEEEE"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    # Text stays text in the PDF.
    "pdf.fonttype": 42,
}
NOTE_WIDTH = 125  # characters
DOTS_PER_INCH = 200
PAGE_WIDTH = 7.2  # inches, two columns
PAGE_HEIGHT = 9.4  # inches


def save_figure(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Writes a figure as PNG (200 dots per inch) and as PDF, neither with a date, so that equal scores give equal
    files.
    """
    with matplotlib.rc_context(STYLE):
        with replacing(png) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
        with replacing(pdf) as temporary:
            figure.savefig(temporary, format="pdf", dpi=DOTS_PER_INCH, metadata={"CreationDate": None})


def in_order(present: Iterable[str], generators: Sequence[str] | None) -> list[str]:
    """All names that have a place in the study's figures: its generators, then, sorted, what else is present."""
    known = list(generators or [])
    return [*known, *sorted(set(present) - set(known))]


def generator_looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each generator; past seven generators the colours return with other markers."""
    count = len(GENERATOR_COLOURS)
    return {
        name: (GENERATOR_COLOURS[place % count], GENERATOR_MARKERS[(place + place // count) % count])
        for place, name in enumerate(names)
    }


def metric_label(metric: str, extractor: str, reference: str) -> str:
    """The name of a score, and in brackets what it was measured with."""
    made_with = ", ".join(word for word in (extractor, reference) if word)
    name = METRIC_NAMES.get(metric, metric.replace("_", " "))
    return f"{name} ({made_with})" if made_with else name


def in_lines(name: str, width: int) -> str:
    """A name in lines of at most `width` characters (8 or more), broken after underscores where it can be."""
    return textwrap.fill(name.replace("_", "_ "), max(8, width)).replace("_ ", "_")


def without_scores(figure: Figure, axes: Axes, note: str, text: str = "No scores.") -> Figure:
    """The figure that says that there is nothing to show."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    write_note(figure, note)
    return figure


def write_note(figure: Figure, note: str) -> None:
    """Small print at the figure's lower left, in lines that fit a page's width."""
    if note:
        figure.supxlabel(textwrap.fill(note, NOTE_WIDTH), fontsize=7, color=GREY, x=0.01, ha="left")
