"""Figures: the numbers that their axes hold, and the files that they become."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthworth import figures
from synthworth.figure_style import generator_looks, save_figure
from synthworth.inputs import FIGURE_SCORES as SCORES
from synthworth.published import read_published
from synthworth.sheets import figure3_progression, sample_sheet

FOLDER = Path(__file__).parents[1] / "resources/published"


@pytest.fixture(scope="module")
def cells():
    return read_published(FOLDER)["cells"]


@pytest.fixture
def fidelity():
    return pd.DataFrame(
        [
            {"generator": generator, "scope": name, "class": name, "step": step, "selected": step == 20}
            | {"metric": metric, "extractor": extractor, "reference": "select", "value": value * step + place}
            for generator in ("gan", "ddpm")
            for place, name in enumerate(["viral", "healthy"])
            for metric, extractor, value in [("fid", "inception", 4), ("fid", "domain", 1), ("ms_ssim", "", 0.01)]
            for step in (30, 10, 20)
        ]
    )


@pytest.fixture
def effects():
    return pd.DataFrame(
        [
            ("lora+100", "lora", 100, 2.0, 1.0, 3.0, "helps"),
            ("gan+1000", "gan", 1000, -2.0, -3.0, -1.0, "harms"),
            ("gan+250", "gan", 250, 0.5, -1.0, 2.0, "no evidence"),
        ],
        columns=["arm", "generator", "dose", "effect", "low", "high", "verdict"],
    )


@pytest.fixture
def comparisons(effects):
    fractions = effects.assign(**{name: effects[name] / 100 for name in ("effect", "low", "high")}, metric="macro_f1")
    return pd.concat([fractions.assign(classifier="all"), fractions.assign(classifier="resnet", effect=0.9)])


def named_lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_figure7_lines_are_the_means_over_classifiers(cells):
    axes = figures.figure7_accuracy_change(cells, "Baseline").axes[0]
    lines = named_lines(axes)
    printed = pd.read_csv(FOLDER / "table7_accuracy.csv")
    means = printed.groupby(["generator", "added_per_class"])["accuracy_mean"].mean()
    assert sorted(lines) == ["DreamBooth", "Fine-tuning", "GAN", "LoRA", "Unconditional"]
    for name, line in lines.items():
        assert list(line.get_ydata()) == pytest.approx(list(means[name] - means["Baseline"].iloc[0]))
    assert [label.get_text() for label in axes.get_xticklabels()][-2:] == ["+5,000", "+10,000"]
    assert np.round(lines["GAN"].get_xdata()).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_figure7_bars_are_standard_errors_whatever_the_deviation():
    def cell(arm, dose, sd):
        return {"classifier": "c", "arm": arm, "generator": arm[:3], "dose": dose} | {
            "metric": "accuracy", "class": "all", "mean": 0.5, "sd": sd, "n": 5
        }  # fmt: skip

    population = np.std([1, 2, 3, 4, 5]) / 100
    sample = np.std([1, 2, 3, 4, 5], ddof=1) / 100
    expected = np.sqrt(2 * 2.5 / 5)
    for sd, ddof in [(population, 0), (sample, 1)]:
        frame = pd.DataFrame([cell("baseline", 0, sd), cell("gan+1", 1, sd)])
        axes = figures.figure7_accuracy_change(frame, "baseline", ddof=ddof).axes[0]
        (low, high) = axes.collections[0].get_segments()[0][:, 1]
        assert (low, high) == pytest.approx((-expected, expected))


def test_a_generator_has_one_colour_in_all_figures(cells):
    order = ["Unconditional", "LoRA", "GAN", "Fine-tuning", "DreamBooth"]
    every = named_lines(figures.figure7_accuracy_change(cells, "Baseline", order).axes[0])
    some = cells[cells["generator"].isin(["Baseline", "GAN"])]
    alone = named_lines(figures.figure7_accuracy_change(some, "Baseline", order).axes[0])
    assert every["GAN"].get_color() == alone["GAN"].get_color() == generator_looks(order)["GAN"][0]
    assert len(set(generator_looks([str(number) for number in range(30)]).values())) == 30


def test_curves_have_a_row_per_extractor_and_mark_the_selected(fidelity):
    figure = figures.figure2_fid_curves(fidelity, ["gan", "ddpm"])
    assert [axes.get_title() for axes in figure.axes] == ["gan", "ddpm", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["FID\n(inception, select)", "FID\n(domain, select)"]
    curve, ring = figure.axes[0].lines[2:4]
    assert curve.get_xdata().tolist() == [10, 20, 30]
    assert curve.get_ydata().tolist() == [41, 81, 121]
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([20], [81])


def test_ms_ssim_curves_read_only_ms_ssim_even_where_the_extractor_is_missing(fidelity):
    unnamed = fidelity.assign(extractor=fidelity["extractor"].replace("", np.nan))
    figure = figures.figure4_ms_ssim_curves(unnamed)
    assert [axes.get_title() for axes in figure.axes] == ["ddpm", "gan"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_effects_go_by_generator_and_dose_with_their_verdicts(effects):
    axes = figures.figure_effects(effects, margin=1, generators=["lora", "gan"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lora+100", "gan+250", "gan+1000"]
    intervals = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_zorder() == 2]
    assert [list(interval) for interval in intervals] == [[1, 3], [-1, 2], [-3, -1]]
    points = [line for line in axes.lines if line.get_marker() in "^ov"]
    assert [(line.get_marker(), line.get_xdata()[0]) for line in points] == [("^", 2), ("o", 0.5), ("v", -2)]
    assert len({line.get_color() for line in points}) == 3


def test_effects_are_those_pooled_over_classifiers_in_points(comparisons, effects):
    pooled = figures.pooled_effects(comparisons)
    pd.testing.assert_frame_equal(pooled[effects.columns], effects)
    axes = figures.figure_effects(pooled).axes[0]
    assert axes.get_xlabel() == "Effect on macro f1 against the baseline (percentage points)"


def test_an_effect_of_unknown_chance_has_no_interval(effects):
    alone = effects.head(1).assign(low=np.nan, high=np.nan, verdict="no evidence")
    numbers = figures.figure_effects(alone).axes[0].child_axes[0]
    assert [label.get_text() for label in numbers.get_yticklabels()] == ["+2.00"]


@pytest.mark.parametrize("name", sorted(figures.FIGURES))
@pytest.mark.parametrize("empty", [False, True])
def test_figures_are_written_from_scores_or_say_that_there_are_none(
    name, empty, tmp_path, cells, fidelity, comparisons
):
    scores = {"cells": cells, "fidelity": fidelity, "comparisons": comparisons}[SCORES[name].removesuffix(".csv")]
    (scores.iloc[:0] if empty else scores).to_csv(tmp_path / "scores.csv", index=False)
    png, pdf = tmp_path / "figure.png", tmp_path / "figure.pdf"
    figures.draw_figure(name, tmp_path / "scores.csv", png, pdf, "s", "honest", baseline="Baseline")
    with Image.open(png) as image:
        assert image.width == 1440
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Text alone is grey; curves and verdicts have colours.
    assert bool((np.abs(pixels[..., 0] - pixels[..., 2]) > 50).any()) is not empty
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.pdf", "figure.png", "scores.csv"]


def test_equal_scores_give_equal_files(tmp_path, effects):
    for turn in ("a", "b"):
        save_figure(figures.figure_effects(effects), tmp_path / f"{turn}.png", tmp_path / f"{turn}.pdf")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def test_sample_sheet_sets_every_image_in_its_place():
    rows = {
        "grey": np.full((3, 8, 8, 1), 100, np.uint8),
        "none": np.zeros((0, 8, 8, 1), np.uint8),
        "colour": np.full((2, 16, 16, 3), 200, np.uint8),
    }
    axes = sample_sheet(rows, "Samples").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["grey", "colour"]
    corners = [tuple(int(edge) for edge in (image.get_extent()[0], image.get_extent()[3])) for image in axes.images]
    assert corners == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]
    # Grey levels are shown as they are, not stretched to each image's own range.
    assert axes.images[0].get_clim() == (0, 255)
    assert axes.images[3].get_array().shape == (16, 16, 3)


def test_progression_prints_the_fid_under_each_block():
    blocks = {step: np.full((4, 8, 8, 1), step % 256, np.uint8) for step in (500, 2000)}
    axes = figure3_progression({"viral": blocks, "healthy": blocks}, {"viral": {500: 147.25, 2000: 90.0}}, "LoRA").axes[
        0
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Step 500", "Step 2,000"]
    assert [text.get_text() for text in axes.texts] == ["FID 147.2", "FID 90.0"]
    assert len(axes.images) == 16
    # Four samples are a square of two by two, and blocks do not touch.
    edges = [(image.get_extent()[0] - 0.02, image.get_extent()[3] - 0.02) for image in axes.images]
    assert np.allclose(edges[:4], [(0, 0), (1, 0), (0, 1), (1, 1)])
    assert edges[4][0] > 2


def test_sheets_without_images_are_valid(tmp_path):
    for place, figure in enumerate([sample_sheet({}), figure3_progression({}, {}), figure3_progression({"a": {}}, {})]):
        save_figure(figure, tmp_path / f"{place}.png", tmp_path / f"{place}.pdf")
        assert figure.axes[0].texts[0].get_text() == "No images."
