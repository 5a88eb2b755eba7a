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
from synthworth.figure_style import PAGE_WIDTH, STYLE, save_figure, without_scores, write_note
from synthworth.protocols import provenance
from synthworth.shards import read_shard

# Samples of a class on a sheet.
COLUMNS = 5


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
    sheet = {}
    for name in classes:
        own = rows[rows["class"] == name]
        first = [*own.index[~own["patient"].duplicated()], *own.index[own["patient"].duplicated()]][:COLUMNS]
        sheet[name] = pixels[first]
    save_figure(sample_sheet(sheet, "Training images", provenance(study, protocol)), png, pdf)


def draw_synthetic_samples(
    shards: Sequence[str | Path],
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    study: str,
    protocol: str,
) -> None:
    """Figure A2: the first images of each class, one shard each, in the order of `classes`."""
    sheet = {}
    for name, shard in zip(classes, shards, strict=True):
        images, rows = read_shard(shard)
        sheet[name] = images[:COLUMNS]
        generator = rows["generator"].iloc[0]
    save_figure(sample_sheet(sheet, f"Synthetic images ({generator})", provenance(study, protocol)), png, pdf)


def draw_progression(
    samples: Sequence[str | Path],
    curves: str | Path,
    png: str | Path,
    pdf: str | Path,
    classes: Sequence[str],
    extractor: str,
    study: str,
    protocol: str,
) -> None:
    """Figure 3: the first four samples of each checkpoint (shards in any order), FID by `extractor` below."""
    scores = read_scores(curves)
    scores = scores[(scores["metric"] == "fid") & (scores["extractor"] == extractor)]
    images: dict[str, dict[int, np.ndarray]] = {name: {} for name in classes}
    for shard in samples:
        pixels, rows = read_shard(shard)
        images[rows["label"].iloc[0]][int(rows["step"].iloc[0])] = pixels[:4]
    fid = {name: dict(zip(own["step"].astype(int), own["value"], strict=True)) for name, own in scores.groupby("class")}
    generator = rows["generator"].iloc[0]
    note = " ".join([f"FID with {extractor} features." if extractor else "", provenance(study, protocol)]).strip()
    save_figure(figure3_progression(images, fid, f"Synthetic images over training ({generator})", note), png, pdf)


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
