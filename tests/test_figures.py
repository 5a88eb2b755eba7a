"""Figures: the numbers that their axes hold, and the files that they become."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthworth import figures, sheets
from synthworth.cells import WITHOUT_COPIES
from synthworth.figure_style import generator_looks, in_lines, save_figure
from synthworth.inputs.report import FIGURE_SCORES as SCORES
from synthworth.memorization.summaries import FALSE_ALARMS
from synthworth.published import read_published
from synthworth.shards import write_shard
from synthworth.sheets import (
    draw_generator_samples,
    draw_progression,
    figure3_progression,
    generator_sheet,
    sample_sheet,
)

FOLDER = Path(__file__).parents[1] / "resources/published"

INTERVALS = ["low", "high", "low_simultaneous", "high_simultaneous"]


@pytest.fixture(scope="module")
def cells():
    return read_published(FOLDER)["cells"]


@pytest.fixture
def effects():
    return pd.DataFrame(
        [
            ("lora+100", "lora", 100, 2.0, 1.0, 3.0, 0.5, 3.5, "helps"),
            ("gan+1000", "gan", 1000, -2.0, -3.0, -1.0, -3.5, -0.5, "harms"),
            ("gan+250", "gan", 250, 0.5, -1.0, 2.0, -1.5, 2.5, "no evidence"),
        ],
        columns=["arm", "generator", "dose", "effect", *INTERVALS, "verdict"],
    )


@pytest.fixture
def comparisons(effects):
    fractions = effects.assign(**{name: effects[name] / 100 for name in ("effect", *INTERVALS)}, metric="macro_f1")
    return pd.concat([fractions.assign(classifier="all"), fractions.assign(classifier="resnet", effect=0.9)])


@pytest.fixture
def audits():
    """Scores of the audits, as few as a figure can have."""
    named = {"generator": "gan", "class": "viral", "step": 10, "selected": True}
    measured = {"low": 0.1, "high": 0.9, "power": 0.5, "copies": 1, "images": 6} | dict.fromkeys(FALSE_ALARMS, 0.1)
    selftest = {"metric": "fid", "extractor": "domain", "degradation": "blur", "class": "viral", "problem": ""}
    selftest |= {"n_synthetic": 9, "n_reference": 9}
    rated = {"mode": "single", "kit": "k", "item": "001", "repeats": "", "against": "", "class": "viral"}
    return {
        "rating_rows": pd.DataFrame(
            [
                rated | {"reader": "A", "source": name, "identity": name, "score": "quality", "value": 3.0}
                for name in ("real", "gan")
            ]
        ),
        "confusion": pd.DataFrame(
            [
                {"source": "gan", "class": name, "predicted": other, "images": 9, "share": float(name == other)}
                for name in ("viral", "healthy")
                for other in ("viral", "healthy")
            ]
        ),
        "memorization_summary": pd.DataFrame(
            [
                named
                | measured
                | {"score": "flagged", "value": 0.4, "beyond_real": False, "power_of": "a planted copy"}
                | {"reference": 0.1, "reference_low": 0.0, "reference_high": 0.2}
            ]
        ),
        "memorization_power": pd.DataFrame(
            [
                named | measured | {"score": "flagged", "perturbation": "exact", "strength": 0.0, "n": 9},
                named | measured | {"score": "c_t", "perturbation": "", "share": 0.1, "n": 9},
            ]
        ),
        "metric_selftest": pd.DataFrame(
            [
                selftest | {"severity": severity, "repetition": repetition, "value": 10 * severity + repetition}
                for severity in (0.0, 1.0)
                for repetition in (0, 1)
            ]
        ),
    }


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


def test_figure7_tells_lines_without_copies_and_keeps_their_colours(cells):
    some = cells[cells["generator"].isin(["Baseline", "GAN", "LoRA"])]
    synthetic = some["dose"] > 0
    without = some.assign(arm=some["arm"].where(~synthetic, some["arm"] + WITHOUT_COPIES))
    asked = {"baseline": "Baseline", "generators": ["LoRA", "GAN"]}
    before, after = (named_lines(figures.figure7_accuracy_change(x, **asked).axes[0]) for x in (some, without))
    assert list(before) == ["LoRA", "GAN"]
    assert list(after) == [f"LoRA{WITHOUT_COPIES}", f"GAN{WITHOUT_COPIES}"]
    for old, new in zip(before.values(), after.values(), strict=True):
        assert (new.get_color(), new.get_marker()) == (old.get_color(), old.get_marker())
        assert (old.get_linestyle(), new.get_linestyle()) == ("-", "--")
        assert list(new.get_ydata()) == list(old.get_ydata())


def test_figure7_gives_a_generator_its_colour_whatever_its_arm_is_called(cells):
    some = cells[cells["generator"].isin(["Baseline", "GAN"])]
    mine = some.assign(arm=some["arm"].str.replace("GAN", "mine", regex=False))
    balanced = mine[mine["arm"] == "mine+250"].assign(arm="balanced")
    order = ["LoRA", "GAN"]
    lines = named_lines(figures.figure7_accuracy_change(pd.concat([mine, balanced]), "Baseline", order).axes[0])
    assert list(lines) == ["mine", "balanced"]
    assert (lines["mine"].get_color(), lines["mine"].get_marker()) == generator_looks(order)["GAN"]
    assert lines["balanced"].get_color() not in [colour for colour, _ in generator_looks(order).values()]


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


def test_names_break_after_underscores():
    assert in_lines("lung_model_0", 40) == "lung_model_0"
    assert in_lines("lung_model_0", 8) == in_lines("lung_model_0", 1) == "lung_\nmodel_0"


def test_effects_go_by_generator_and_dose_with_their_verdicts(effects):
    axes = figures.figure_effects(effects, margin=1, generators=["lora", "gan"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lora+100", "gan+250", "gan+1000"]
    intervals = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_zorder() == 2]
    assert [list(ends) for ends in intervals] == [[0.5, 3.5], [1, 3], [-1.5, 2.5], [-1, 2], [-3.5, -0.5], [-3, -1]]
    numbers = [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
    assert numbers[0] == "+2.00 [+0.50, +3.50]"
    points = [line for line in axes.lines if line.get_marker() in "^ov"]
    assert [(line.get_marker(), line.get_xdata()[0]) for line in points] == [("^", 2), ("o", 0.5), ("v", -2)]
    assert len({line.get_color() for line in points}) == 3


def test_effects_are_those_pooled_over_classifiers_in_points(comparisons, effects):
    pooled = figures.pooled_effects(comparisons)
    pd.testing.assert_frame_equal(pooled[effects.columns], effects)
    axes = figures.figure_effects(pooled).axes[0]
    assert axes.get_xlabel() == "Effect on macro f1 against the baseline (percentage points)"


def test_an_effect_of_unknown_chance_has_no_interval(effects):
    alone = effects.head(1).assign(**dict.fromkeys(INTERVALS, np.nan), verdict="no evidence")
    numbers = figures.figure_effects(alone).axes[0].child_axes[0]
    assert [label.get_text() for label in numbers.get_yticklabels()] == ["+2.00"]


@pytest.mark.parametrize("name", sorted(figures.FIGURES))
@pytest.mark.parametrize("empty", [False, True])
def test_figures_are_written_from_scores_or_say_that_there_are_none(
    name, empty, tmp_path, cells, fidelity, comparisons, audits
):
    known = {"cells": cells, "fidelity": fidelity, "comparisons": comparisons} | audits
    scores = known[SCORES[name].removesuffix(".csv")]
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


def grey(value, count=2, size=8, channels=1):
    return np.full((count, size, size, channels), value, np.uint8)


def shown(axes):
    """{(left, top): grey level} of the images on a sheet, to the nearest tenth of an image."""
    corners = [
        (round(image.get_extent()[0] - 0.02, 1), round(image.get_extent()[3] - 0.02, 1)) for image in axes.images
    ]
    return dict(zip(corners, [int(image.get_array().flat[0]) for image in axes.images], strict=True))


def test_all_generators_stand_on_one_sheet_by_class():
    images = {
        "real images": {"viral": grey(1), "healthy": grey(2)},
        "gan": {"viral": grey(3, size=16, channels=3), "healthy": grey(4, count=1)},
        "none": {"viral": grey(0, count=0)},
        "a_rather_long_name": {"healthy": grey(5, count=9)},
    }
    axes = generator_sheet(images, ["healthy", "viral"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["healthy", "viral"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["real images", "gan", "a_rather_long_name"]
    # Two side by side, a gap between classes and generators; what there is too few of stays blank.
    assert shown(axes) == {
        (0, 0): 2, (1, 0): 2, (2.1, 0): 4, (4.2, 0): 5, (5.2, 0): 5,
        (0, 1.1): 1, (1, 1.1): 1, (2.1, 1.1): 3, (3.1, 1.1): 3,
    }  # fmt: skip


@pytest.mark.parametrize(("generators", "second"), [(6, (0, 1)), (8, (0, 1.1))])
def test_samples_stand_below_each_other_or_alone_where_columns_are_many(generators, second):
    names = [f"class{number}" for number in range(5)]
    images = {f"lung_model_{number}": {name: grey(number) for name in names} for number in range(generators)}
    figure = generator_sheet(images, names)
    places = shown(figure.axes[0])
    assert len(places) == generators * 5 * (2 if second == (0, 1) else 1)
    assert sorted(places)[:2] == [(0, 0), second]
    assert figure.get_size_inches()[1] < 10
    assert figure.axes[0].get_xticklabels()[0].get_text() == "lung_\nmodel_0"


def test_the_sheet_of_generators_has_their_first_images_and_real_ones(tmp_path, monkeypatch):
    classes, generators = ["healthy", "viral"], ["lora", "gan"]
    np.save(tmp_path / "images.npy", np.concatenate([grey(value, 1) for value in (10, 11, 12, 20, 21)]))
    index = pd.DataFrame(
        {"class": ["viral", "viral", "viral", "healthy", "healthy"], "patient": ["a", "a", "b", "c", "d"]}
    )
    index.to_csv(tmp_path / "index.csv", index=False)
    shards = []
    for generator in generators:
        for name in classes:
            names = {"generator": generator, "label": name, "prompt": "", "scope": "all", "step": 1, "seed": 0}
            value = 100 * (1 + generators.index(generator)) + 10 * classes.index(name)
            pixels = np.concatenate([grey(value + number, 1) for number in range(3)])
            shards.append(tmp_path / f"{generator}-{name}.parquet")
            write_shard(shards[-1], [pixels], pd.DataFrame({"index": range(3), **names}))
    drawn = []
    monkeypatch.setattr(sheets, "save_figure", lambda figure, *files: drawn.append(figure.axes[0]))
    draw_generator_samples(
        shards, tmp_path / "images.npy", tmp_path / "index.csv", "png", "pdf", classes, generators, "s", "honest"
    )
    assert [label.get_text() for label in drawn[0].get_xticklabels()] == ["real images", *generators]
    # Of two patients where the class has two.
    assert shown(drawn[0]) == {
        (0, 0): 20, (1, 0): 21, (2.1, 0): 100, (3.1, 0): 101, (4.2, 0): 200, (5.2, 0): 201,
        (0, 1.1): 10, (1, 1.1): 12, (2.1, 1.1): 110, (3.1, 1.1): 111, (4.2, 1.1): 210, (5.2, 1.1): 211,
    }  # fmt: skip


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


def test_progression_shows_some_of_many_checkpoints(tmp_path, monkeypatch):
    shards, scores = [], []
    for step in range(10, 410, 10):
        names = {"generator": "gan", "label": "viral", "prompt": "", "scope": "viral", "step": step, "seed": 0}
        shards.append(tmp_path / f"{step}.parquet")
        write_shard(shards[-1], [grey(step // 10, 5)], pd.DataFrame({"index": range(5), **names}))
        scores.append({"class": "viral", "step": step, "metric": "fid", "value": step})
    pd.DataFrame(scores).assign(extractor="domain", reference="train").to_csv(tmp_path / "curves.csv", index=False)
    drawn = []
    monkeypatch.setattr(sheets, "save_figure", lambda figure, *files: drawn.append(figure.axes[0]))
    # Shards come in any order.
    draw_progression(shards[::-1], tmp_path / "curves.csv", "png", "pdf", ["viral"], "domain", "train", "s", "honest")
    steps = [10, 70, 140, 210, 270, 330, 400]
    assert [label.get_text() for label in drawn[0].get_xticklabels()] == [f"Step {step}" for step in steps]
    assert [text.get_text() for text in drawn[0].texts] == [f"FID {step}.0" for step in steps]
    assert [int(image.get_array().flat[0]) for image in drawn[0].images] == [
        step // 10 for step in steps for _ in "four"
    ]


def test_sheets_without_images_are_valid(tmp_path):
    empty = [sample_sheet({}), generator_sheet({"gan": {}}, ["a"]), figure3_progression({}, {})]
    for place, figure in enumerate([*empty, figure3_progression({"a": {}}, {})]):
        save_figure(figure, tmp_path / f"{place}.png", tmp_path / f"{place}.pdf")
        assert figure.axes[0].texts[0].get_text() == "No images."
