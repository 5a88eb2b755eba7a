import numpy as np
import pandas as pd
import pytest

from synthworth.curves import figure2_fid_curves, figure4_ms_ssim_curves, figure_other_curves
from synthworth.floors import smaller_floors
from synthworth.tables.fidelity import fidelity as fidelity_table


def test_curves_have_a_row_per_extractor_and_mark_the_selected(fidelity):
    figure = figure2_fid_curves(fidelity, ["gan", "ddpm"])
    assert [axes.get_title() for axes in figure.axes] == ["gan", "ddpm", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["FID\n(inception, select)", "FID\n(domain, select)"]
    curve, ring = figure.axes[0].lines[2:4]
    assert curve.get_xdata().tolist() == [10, 20, 30]
    assert curve.get_ydata().tolist() == [41, 81, 121]
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([20], [81])


def test_images_that_no_step_led_to_are_points_side_by_side(fidelity):
    outside = fidelity[(fidelity["generator"] == "gan") & (fidelity["step"] == 20)].assign(generator="others", step=0)
    figure = figure2_fid_curves(pd.concat([fidelity, outside]), ["gan", "others"])
    axes = {each.get_title(): each for each in figure.axes[:3]}
    points = [line for line in axes["others"].lines if line.get_marker() == "."]
    assert [line.get_xdata().tolist() for line in points] == [[-0.25], [0.25]]
    assert [line.get_ydata().tolist() for line in points] == [[80], [81]]
    assert [label.get_text() for label in axes["others"].get_xticklabels()] == ["not trained"]
    bottom = {each.get_title() or place: each.get_xlabel() for place, each in enumerate(figure.axes)}
    assert list(bottom.values())[-3:] == ["Training step", "", "Training step"]


def test_ms_ssim_curves_read_only_ms_ssim_even_where_the_extractor_is_missing(fidelity):
    unnamed = fidelity.assign(extractor=fidelity["extractor"].replace("", np.nan))
    figure = figure4_ms_ssim_curves(unnamed)
    assert [axes.get_title() for axes in figure.axes] == ["ddpm", "gan"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_intervals_and_floors_are_drawn_where_there_are_any(fidelity):
    with_floor = fidelity.assign(low=fidelity["value"] - 0.1, high=fidelity["value"] + 0.1, floor=0.02)
    figure = figure_other_curves(with_floor)
    axes = figure.axes[0]
    assert axes.get_ylabel() == "KID\n(domain, select)"
    assert len(axes.collections) == 2
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in dotted] == [0.02, 0.02]
    assert "real against real" in [text.get_text() for text in figure.legends[0].get_texts()]
    without = figure_other_curves(fidelity)
    assert not without.axes[0].collections
    assert "real against real" not in [text.get_text() for text in without.legends[0].get_texts()]


def test_floors_of_fewer_images_than_the_scores_are_told(fidelity):
    same = fidelity.assign(floor=0.02, n_synthetic=50, n_reference=40, floor_n_synthetic=50, floor_n_reference=40)
    assert smaller_floors(same) == ""
    viral = same["class"] == "viral"
    fewer = same.assign(floor_n_synthetic=same["floor_n_synthetic"].where(~viral, 25))
    fewer["floor_n_reference"] = fewer["floor_n_reference"].where(~viral, 20)
    told = "(synthetic and reference): viral: 25 and 20 instead of 50 and 40."
    assert told in smaller_floors(fewer)
    assert told in " ".join(figure2_fid_curves(fewer).get_supxlabel().split())
    assert told in " ".join(fidelity_table(fewer).remarks)
    pairs = fewer.assign(n_reference=0, floor_n_reference=0)
    assert "viral: 25 instead of 50." in smaller_floors(pairs)
    assert smaller_floors(fewer.assign(floor=np.nan)) == smaller_floors(fewer.drop(columns="floor")) == ""
