"""The tables of where chance comes from and of worth in real images: what they show, and what has no number."""

import pandas as pd

from synthworth.tables.chance import components, worth


def test_the_sources_of_chance_are_those_of_all_cells_together():
    rows = pd.DataFrame(
        [
            ("all", "all", "seed", 6.804, 3, 2, ""),
            ("all", "all", "generator_seed", None, 0, 0, "not estimable: one generator_seed"),
            ("resnet50", "baseline", "seed", 99.0, 1, 1, ""),
        ],
        columns=["classifier", "arm", "component", "standard_deviation", "degrees", "n_cells", "remark"],
    ).assign(metric="balanced_accuracy")
    table = components(rows)
    assert table.frame.to_numpy().tolist() == [
        ["training the classifier anew", "6.80", "3", ""],
        ["training the generator anew", "", "0", "not estimable: one generator seed"],
    ]
    assert "balanced accuracy" in table.caption


def test_what_the_curve_does_not_reach_is_said_and_not_guessed():
    rows = pd.DataFrame(
        [
            ("gan+9", 0.0312, 118.7, 20.2, None, "high: more than all 400 held back"),
            ("ddpm+9", -0.01, None, None, None, "the metric does not rise with real images"),
        ],
        columns=["arm", "effect", "images", "low", "high", "reason"],
    ).assign(n_real=800, n_held_back=400)
    table = worth(rows)
    assert table.frame.to_numpy().tolist() == [
        ["gan+9", "+3.12", "119", "20 to ?", "high: more than all 400 held back"],
        ["ddpm+9", "-1.00", "?", "", "the metric does not rise with real images"],
    ]
    assert "400 of 800" in table.remarks[0]
