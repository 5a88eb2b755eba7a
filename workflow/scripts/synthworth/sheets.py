"""Sheets of images: samples of each class, and how they change over a generator's training."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthworth.cells import read_scores
from synthworth.figure_style import (
    PAGE_HEIGHT,
    PAGE_WIDTH,
    STYLE,
    in_lines,
    save_figure,
    without_scores,
    write_note,
)
from synthworth.protocols import provenance
from synthworth.shards import read_shard

# Samples of a class on a sheet.
COLUMNS = 5
# Samples of a class and generator where all generators share a sheet.
SAMPLES = 2
# Checkpoints on the sheet of a generator's progress, where more would make the images too small.
STEPS = 7
# Between the cells of a sheet, as a share of an image's side.
GAP = 0.08
SMALLEST_TILE = 0.8  # inches
LARGEST_TILE = 1.3  # inches


def sample_sheet(images_by_row: Mapping[str, np.ndarray], title: str = "", note: str = "") -> Figure:
    """Sample images as in Figures A1 to A7 of the paper: a named row (a class) each, a column per sample.

    `images_by_row`: uint8 [n, height, width, channels] per row, channels 1 or 3, square; rows may differ in n and in
    size. A row with fewer images leaves its last places blank.
    """
    rows = {name: images for name, images in images_by_row.items() if len(images)}
    with matplotlib.rc_context(STYLE):
        columns = max((len(images) for images in rows.values()), default=1)
        tile = min(1.3, (PAGE_WIDTH - 0.8) / columns)
        figure = Figure(figsize=(PAGE_WIDTH, tile * max(len(rows), 1) + 0.6), layout="constrained")
        axes = figure.subplots()
        if not rows:
            return without_scores(figure, axes, note, "No images.")
        for row, images in enumerate(rows.values()):
            for column, image in enumerate(images):
                _show(axes, image, column, row)
        _frame_sheet(axes, columns, len(rows), list(rows), [row + 0.5 for row in range(len(rows))])
        axes.set_title(title)
        write_note(figure, note)
    return figure


def generator_sheet(
    images: Mapping[str, Mapping[str, np.ndarray]], classes: Sequence[str], title: str = "", note: str = ""
) -> Figure:
    """Samples of all classes and generators on one page (Figure A2 of the paper): rows are classes, columns are
    generators.

    `images[generator][class]`: uint8 [n, height, width, channels], square; of generator and class up to `SAMPLES` are
    shown, side by side or one below the other, as many as there is room for. Generators may differ in size.
    """
    columns = {name: cells for name, cells in images.items() if any(len(samples) for samples in cells.values())}
    with matplotlib.rc_context(STYLE):
        if not columns:
            figure = Figure(figsize=(PAGE_WIDTH, 2), layout="constrained")
            return without_scores(figure, figure.subplots(), note, "No images.")
        margin = 0.2 + 0.075 * max(len(name) for name in classes)
        across, down, tile = _cell(len(columns), len(classes), PAGE_WIDTH - margin)
        width, height = across + GAP, down + GAP
        total = width * len(columns) - GAP, height * len(classes) - GAP
        heads = [in_lines(name, int(13 * tile * across)) for name in columns]
        lines = max(head.count("\n") + 1 for head in heads)
        figure = Figure(figsize=(PAGE_WIDTH, tile * total[1] + 0.7 + 0.17 * lines), layout="constrained")
        axes = figure.subplots()
        for column, cells in enumerate(columns.values()):
            for row, name in enumerate(classes):
                for place, image in enumerate(cells.get(name, [])[: across * down]):
                    _show(axes, image, column * width + place % across, row * height + place // across)
        _frame_sheet(axes, *total, list(classes), [row * height + down / 2 for row in range(len(classes))])
        centres = [column * width + across / 2 for column in range(len(columns))]
        axes.set_xticks(centres, heads)
        axes.xaxis.tick_top()
        axes.set_title(title)
        write_note(figure, note)
    return figure


def figure3_progression(
    images: Mapping[str, Mapping[int, np.ndarray]],
    fid: Mapping[str, Mapping[int, float]],
    title: str = "",
    note: str = "",
) -> Figure:
    """How a generator's images change over training steps (Figure 3 of the paper).

    `images[class][step]`: uint8 [n, height, width, channels], the samples of a checkpoint, set as a block that is as
    square as can be (4 samples: 2 x 2). Rows are classes, columns are steps; `fid[class][step]` stands below a block.
    """
    steps = sorted({step for blocks in images.values() for step in blocks})
    with matplotlib.rc_context(STYLE):
        if not steps:
            figure = Figure(figsize=(PAGE_WIDTH, 2), layout="constrained")
            return without_scores(figure, figure.subplots(), note, "No images.")
        most = max(len(samples) for blocks in images.values() for samples in blocks.values())
        across = max(1, ceil(sqrt(most)))
        down = max(1, ceil(most / across))
        gap, text = 0.12 * across, 0.22 * across
        width, height = across + gap, down + text
        total = width * len(steps) - gap, height * len(images)
        tile = min(1.0, (PAGE_WIDTH - 0.8) / total[0])
        figure = Figure(figsize=(PAGE_WIDTH, tile * total[1] + 0.7), layout="constrained")
        axes = figure.subplots()
        for row, (name, blocks) in enumerate(images.items()):
            for column, step in enumerate(steps):
                for place, image in enumerate(blocks.get(step, [])):
                    _show(axes, image, column * width + place % across, row * height + place // across)
                score = fid.get(name, {}).get(step)
                if score is not None and not np.isnan(score):
                    centre = column * width + across / 2
                    axes.text(centre, row * height + down + text / 2, f"FID {score:.1f}", ha="center", va="center")
        _frame_sheet(axes, *total, list(images), [row * height + down / 2 for row in range(len(images))])
        centres = [column * width + across / 2 for column in range(len(steps))]
        axes.set_xticks(centres, [f"Step {step:,}" for step in steps])
        axes.xaxis.tick_top()
        axes.set_title(title)
        write_note(figure, note)
    return figure


def draw_real_samples(
    images: str | Path,
    index: str | Path,
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    study: str,
    protocol: str,
) -> None:
    """Figure A1: the first images of each class in a split (`images-<size>.npy` and its `index.csv`), of as many
    patients as there are.
    """
    pixels = np.load(images, mmap_mode="r")
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    sheet = {name: pixels[_first_rows(rows, name, COLUMNS)] for name in classes}
    save_figure(sample_sheet(sheet, "Training images", provenance(study, protocol)), png, pdf)


def draw_synthetic_samples(
    shards: Sequence[str | Path],
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    study: str,
    protocol: str,
) -> None:
    """Figures A3 to A7: the first images of a generator, one shard for each class, in the order of `classes`."""
    sheet = {}
    for name, shard in zip(classes, shards, strict=True):
        sheet[name], rows = read_shard(shard, count=COLUMNS)
        generator = rows["generator"].iloc[0]
    save_figure(sample_sheet(sheet, f"Synthetic images ({generator})", provenance(study, protocol)), png, pdf)


def draw_generator_samples(
    shards: Sequence[str | Path],
    images: str | Path,
    index: str | Path,
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    generators: Sequence[str],
    study: str,
    protocol: str,
) -> None:
    """Figure A2: the first images of every generator beside the first real ones of a split, class by class.

    `shards` are one for each class of each generator: those of the first generator first, each in the order of
    `classes`. `images` and `index` are of a split, as in Figure A1.
    """
    pixels = np.load(images, mmap_mode="r")
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    sheet = {"real images": {name: pixels[_first_rows(rows, name, SAMPLES)] for name in classes}}
    names = [(generator, name) for generator in generators for name in classes]
    for (generator, name), shard in zip(names, shards, strict=True):
        sheet.setdefault(generator, {})[name] = read_shard(shard, count=SAMPLES)[0]
    title = "Images of all classes and generators"
    save_figure(generator_sheet(sheet, classes, title, provenance(study, protocol)), png, pdf)


def draw_progression(
    samples: Sequence[str | Path],
    curves: str | Path,
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    extractor: str,
    reference: str,
    study: str,
    protocol: str,
) -> None:
    """Figure 3: the first four samples of each class and checkpoint (shards in any order), FID by `extractor` below.

    Of more than `STEPS` checkpoints the first, the last and those at about equal distances between them.
    """
    scores = read_scores(curves)
    names = {"metric": "fid", "extractor": extractor, "reference": reference}
    scores = scores[(scores[list(names)] == pd.Series(names)).all(axis=1)]
    images: dict[str, dict[int, np.ndarray]] = {name: {} for name in classes}
    found = pd.concat([pd.read_parquet(shard, columns=["generator", "step"]).head(1) for shard in samples])
    steps = np.unique(found["step"])
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, STEPS).round().astype(int))]
    for shard, step in zip(samples, found["step"], strict=True):
        if step in steps:
            pixels, rows = read_shard(shard, columns=["label"])
            for name in rows["label"].unique():
                images[name][int(step)] = pixels[rows["label"] == name][:4]
    fid = {name: dict(zip(own["step"].astype(int), own["value"], strict=True)) for name, own in scores.groupby("class")}
    generator = found["generator"].iloc[0]
    note = " ".join([f"FID with {extractor} features." if extractor else "", provenance(study, protocol)]).strip()
    save_figure(figure3_progression(images, fid, f"Synthetic images over training ({generator})", note), png, pdf)


def _first_rows(rows: pd.DataFrame, name: str, count: int) -> list[int]:
    """The first rows of a class in an index, of as many patients as there are."""
    own = rows[rows["class"] == name]
    again = own["patient"].duplicated()
    return [*own.index[~again], *own.index[again]][:count]


def _cell(columns: int, rows: int, width: float) -> tuple[int, int, float]:
    """How the samples of a class and generator are set, across and down, and the side of one in inches.

    `SAMPLES` of them beside or below each other if they stay large enough on a page, else one. `width` is what names
    leave of the page's.
    """
    options = [(SAMPLES, 1), (1, SAMPLES), (1, 1)]
    tiles = [
        min(LARGEST_TILE, width / (columns * (across + GAP)), (PAGE_HEIGHT - 0.9) / (rows * (down + GAP)))
        for across, down in options
    ]
    best = next((place for place, tile in enumerate(tiles) if tile >= SMALLEST_TILE), len(options) - 1)
    return *options[best], tiles[best]


def _show(axes: Axes, image: np.ndarray, left: float, top: float) -> None:
    """One image in a unit square, with a thin white border."""
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    extent = (left + 0.02, left + 0.98, top + 0.98, top + 0.02)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="antialiased")


def _frame_sheet(axes: Axes, width: float, height: float, names: list[str], centres: list[float]) -> None:
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks(centres, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
