"""The tables of where chance comes from and of worth in real images: what they show, and what has no number."""

import pandas as pd

from synthworth.tables.chance import components, worth
from synthworth.tables.effects import effects


def test_the_best_of_many_arms_stands_with_the_interval_for_all_of_them():
    row = {"classifier": "all", "arm": "gan+9", "metric": "macro_f1", "effect": 0.02, "low": 0.01, "high": 0.03}
    row |= {"low_simultaneous": -0.005, "high_simultaneous": 0.045, "p_adjusted": 0.2, "verdict": "no evidence"}
    row |= {"minimum_detectable_effect": 0.05, "n_seeds": 2, "n_images": 9, "n_patients": 8}
    row |= {"baseline_score": 0.612, "guess_score": 0.25}
    table = effects(pd.DataFrame([row, row | {"classifier": "a", "low_simultaneous": -0.9}]), "baseline")
    assert table.frame.to_dict("records") == [
        {
            "Arm": "gan+9",
            "Effect": "+2.00",
            "Interval, all arms at once": "-0.50 to +4.50",
            "p (Holm)": "0.200",
            "Smallest effect that could be seen": "5.00",
            "Verdict": "no evidence",
        }
    ]
    assert any("hold for all arms at once" in remark for remark in table.remarks)
    levels = "baseline itself has 61.2 % macro f1; a guess without a look at the images has 25.0 %."
    assert levels in table.remarks


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
