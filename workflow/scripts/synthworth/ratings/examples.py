"""Figure 5 of Schaudt et al. 2023: synthetic images of high and low quality, and of high and low plausibility."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from synthworth.cells import read_scores
from synthworth.figure_style import GREY, STYLE, in_lines, save_figure, write_note
from synthworth.protocols import provenance
from synthworth.ratings.keys import read_keys
from synthworth.ratings.scales import REAL, SCALES
from synthworth.ratings.summaries import IMAGE, image_means

WIDTH = 5.2  # inches
WORDS = ("high", "low")


def choose_examples(rows: pd.DataFrame, kits: Sequence[str]) -> pd.DataFrame:
    """One synthetic image for each of high/low quality x high/low plausibility, of those that `kits` show.

    Columns `quality_side, plausibility_side` (high, low) and of the image `kit, file, source, class, quality,
    plausibility`, the means of its readers; a row without an image (empty text, NaN) where none was rated so. High and
    low are strictly beyond the middle of a scale; of the images there the one nearest to the corner is taken, of
    several the first in the kit's order, which is random: nothing is picked by hand.
    """
    single = rows[(rows["mode"] == "single") & (rows["source"] != REAL)]
    means = image_means(single)
    table = means.pivot_table(index=IMAGE, columns="score", values="value")
    table = table.reindex(columns=list(SCALES["single"])).dropna()
    shown = single[single["kit"].isin(kits)].drop_duplicates(IMAGE)[["file", *IMAGE]]
    shown = shown.join(table, on=IMAGE, how="inner")
    # From -1, the low end of a scale, to 1.
    places = {}
    for score, (low, high) in SCALES["single"].items():
        places[score] = (2 * shown[score] - low - high) / (high - low)
    found = []
    for sides in product(WORDS, WORDS):
        along = [places[score] * (1 if side == "high" else -1) for score, side in zip(places, sides, strict=True)]
        inside = (along[0] > 0) & (along[1] > 0)
        row = dict(zip(("quality_side", "plausibility_side"), sides, strict=True))
        if inside.any():
            row |= shown.loc[(along[0] + along[1])[inside].idxmax()].to_dict()
        found.append(row)
    columns = ["quality_side", "plausibility_side", "kit", "file", "source", "class", *SCALES["single"]]
    frame = pd.DataFrame(found).reindex(columns=columns)
    text = ["kit", "file", "source", "class"]
    return frame.assign(**{name: frame[name].astype(object).fillna("") for name in text})


def figure5_examples(examples: pd.DataFrame, images: Mapping[str, np.ndarray], note: str = "") -> Figure:
    """The images of `choose_examples`, quality from top to bottom, plausibility from left to right.

    `images`: uint8 [height, width] or [height, width, 3] by `file`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, WIDTH + 0.9), layout="constrained")
        grid = figure.subplots(2, 2)
        for letter, axes, row in zip("abcd", grid.flat, examples.to_dict("records"), strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if row["file"]:
                axes.imshow(images[row["file"]], cmap="gray", vmin=0, vmax=255)
                scores = f"quality {row['quality']:.3g}, plausibility {row['plausibility']:.3g}"
                axes.set_xlabel(f"({letter}) {in_lines(row['class'], 26)}, {in_lines(row['source'], 26)}\n{scores}")
            else:
                axes.set_aspect("equal")
                axes.text(0.5, 0.5, "no image rated so", transform=axes.transAxes, ha="center", color=GREY)
                axes.set_xlabel(f"({letter})")
        for axes, word in zip(grid[0], WORDS, strict=True):
            axes.set_title(f"{word} plausibility")
        for axes, word in zip(grid[:, 0], WORDS, strict=True):
            axes.set_ylabel(f"{word} quality")
        write_note(figure, note)
    return figure


def draw_examples(
    rows: str | Path,
    open_keys: Sequence[str | Path],
    sealed_keys: Sequence[str | Path],
    kits: Sequence[str | Path],
    png: str | Path,
    pdf: str | Path,
    passphrase: str,
    study: str,
    protocol: str,
) -> None:
    """Draws Figure 5 from rating_rows.csv and the folders `kits`, one for each open and then for each sealed key."""
    folders = dict(zip(read_keys(open_keys, sealed_keys, passphrase), kits, strict=True))
    examples = choose_examples(read_scores(rows), list(folders))
    images = {
        row.file: np.asarray(Image.open(Path(folders[row.kit]) / row.file)) for row in examples.itertuples() if row.file
    }
    save_figure(figure5_examples(examples, images, provenance(study, protocol)), png, pdf)
