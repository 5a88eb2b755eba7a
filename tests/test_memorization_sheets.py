import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from synthworth.figure_style import save_figure
from synthworth.memorization.power import POWER_COLUMNS
from synthworth.memorization.sheets import FLAGGED, closest_pairs, memorisation_curves, power_chart
from synthworth.memorization.summaries import over_classes


def texts(figure):
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [*words, *(text.get_text() for text in figure.texts)]


@pytest.fixture
def images():
    return pd.DataFrame(
        {
            "similar_image": ["a", "b", "a", "b"],
            "similar_patient": ["P1", "P2", "P1", "P2"],
            "similarity": [0.2, 0.97, 0.4, 0.6],
            "distance": [3.0, 0.5, 1.0, 2.0],
            "flagged": [False, True, False, False],
        }
    )


def test_the_closest_pairs_come_first_side_by_side_and_name_patients(images):
    synthetic = np.stack([np.full((8, 8, 1), 10 * place, np.uint8) for place in range(4)])
    training = {"a": np.full((8, 8, 1), 200, np.uint8), "b": np.full((8, 8, 3), 220, np.uint8)}
    figure = closest_pairs(images, synthetic, training, count=3, title="Closest pairs")
    axes = figure.axes[0]
    assert [picture.get_array().flat[0] for picture in axes.images] == [10, 220, 30, 220, 20, 200]
    lefts = [picture.get_extent()[0] for picture in axes.images]
    assert lefts[1] == pytest.approx(lefts[0] + 1)
    words = texts(figure)
    assert [text.split("\n")[0] for text in words[:3]] == ["patient P2", "patient P2", "patient P1"]
    assert words[0].split("\n")[1:] == ["score 0.97, flagged", "distance 0.5 (1 of 4)"]
    assert "not flagged" in words[1]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [to_hex(frame.get_edgecolor()).upper() for frame in frames] == [FLAGGED]
    assert frames[0].get_xy() == (0, 0)


def test_empty_tables_give_figures_that_say_so(images, tmp_path):
    none = np.zeros((0, 8, 8, 1), np.uint8)
    figures = [
        closest_pairs(images.head(0), none, {}),
        power_chart(pd.DataFrame(columns=POWER_COLUMNS)),
        memorisation_curves(pd.DataFrame(columns=["score", "class", "generator", "step", "power"])),
    ]
    for figure in figures:
        assert any(text in ("No images.", "No scores.") for text in texts(figure))
        save_figure(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")


def test_the_power_chart_shows_recalls_and_what_whole_sets_show():
    rows = [
        ["flagged", "jpeg", 30.0, 1.0, 1, 1, 0.9, 0.7, 1.0, 10, 0.024, 0.0, 0.088, 40],
        ["flagged", "crop", 0.05, 1.0, 1, 1, 0.4, 0.2, 0.6, 10, 0.024, 0.0, 0.088, 40],
        ["named", "crop", 0.05, 1.0, 1, 1, 0.1, 0.0, 0.3, 10, 0.024, 0.0, 0.088, 40],
        *(
            ["c_t", "all", 0.0, share, round(share * n), n, share, share / 2, 1.0, 50, 0.04, 0.01, 0.1, 50]
            for share in (0.1, 0.5, 1.0)
            for n in (6, 50)
        ),
    ]
    power = pd.DataFrame(rows, columns=POWER_COLUMNS)
    fewer = power.assign(false_alarms=power["false_alarms"] + 0.024, false_alarms_high=0.168, false_alarms_n=20)
    figure = power_chart(over_classes(pd.concat([power, fewer])))
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["JPEG quality 30", "cropped by 5 %"]
    assert left.lines[0].get_xdata().tolist() == [0.9, 0.4]
    (curve,) = right.lines
    assert curve.get_ydata().tolist() == [0.1, 0.5, 1.0]
    ticks = [label.get_text() for label in right.get_xticklabels()]
    assert ticks == ["10 %\n1–5\nof 6–50", "50 %\n3–25\nof 6–50", "100 %\n6–50\nof 6–50"]
    note = " ".join(figure.get_supxlabel().split())
    assert "where at most 4.8 % [0.0, 16.8] (20 patients) of real images of new patients are flagged" in note
    assert "where 6.4 % of sets without copies are found" in note


def summaries(generators, steps):
    rows = [
        {"generator": generator, "class": name, "step": step, "score": "flagged", "value": 0.1, "low": 0.0, "high": 0.3}
        | {"reference_low": 0.0, "reference_high": 0.05 * (1 + place), "power": 0.8 + 0.1 * place, "power_of": "a copy"}
        | {"false_alarms": 1 / 41, "false_alarms_low": 0.0, "false_alarms_high": 0.09, "false_alarms_n": 40}
        for place, generator in enumerate(generators)
        for name in ("sick", "healthy")
        for step in steps
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("steps", [[20, 10, 30], [7]])
def test_curves_have_a_band_of_held_out_images_and_tell_their_power(steps, tmp_path):
    rows = pd.concat([summaries(["ddpm", "gan"], steps), summaries(["gan"], steps).assign(score="gap")])
    figure = memorisation_curves(rows, generators=["gan", "ddpm"])
    assert [axes.get_title() for axes in figure.axes] == ["sick", "healthy"]
    lines = figure.axes[0].lines
    assert [line.get_xdata().tolist() for line in lines] == [sorted(steps)] * 2
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0, 0.1))
    assert np.ptp(band[:, 0]) > 0
    note = " ".join(figure.get_supxlabel().split())
    assert "Power (a copy, at false alarms of 2.4 % [0.0, 9.0] (40 patients)): 80 % to 90 %." in note
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["gan", "ddpm", "held-out images"]
    save_figure(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
