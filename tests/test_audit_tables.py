"""The table of the memorisation audit: what it calls copying, over all its scores together and by themselves."""

import pandas as pd

from synthworth.tables.audits import detection, memorization


def scores(*values):
    """A score of a class for each (p, p_adjusted); the last is of a checkpoint that was not chosen."""
    alarms = {"false_alarms": 1 / 21, "false_alarms_low": 0.0, "false_alarms_high": 0.168, "false_alarms_n": 20}
    numbers = {"value": 0.4, "low": 0.1, "high": 0.9, "reference_low": 0.0, "reference_high": 0.2, "power": 0.5}
    rows = [
        {"generator": "ddpm", "class": str(place), "score": "gap", "p": p, "p_adjusted": adjusted, "power_of": "a copy"}
        for place, (p, adjusted) in enumerate(values)
    ]
    selected = [True] * (len(rows) - 1) + [False]
    counts = {"power_copies": [1] + [5] * (len(rows) - 1), "power_images": [6] + [50] * (len(rows) - 1)}
    return pd.DataFrame(rows).assign(**numbers, **alarms, **counts, selected=selected)


def test_copying_is_told_after_holm_and_what_is_so_by_itself_with_a_question_mark():
    table = memorization(scores((0.001, 0.003), (0.03, 0.06), (0.5, 0.5), (0.0, float("nan"))), "baseline")
    assert table.frame["Class"].tolist() == ["0", "1", "2"]
    assert table.frame["Generalisation gap"].tolist() == [
        "0.40 [0.10, 0.90]; copies; real 0.00 to 0.20; power 50 %",
        "0.40 [0.10, 0.90]; copies?; real 0.00 to 0.20; power 50 %",
        "0.40 [0.10, 0.90]; real 0.00 to 0.20; power 50 %",
    ]
    assert "over all 3 scores together (after Holm)" in table.remarks[-1]
    assert "as 0.2 of so many would be by chance" in table.remarks[-1]


def test_power_is_told_with_its_false_alarms_and_the_images_it_was_measured_on():
    both = pd.concat([own := scores((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)), own.assign(score="flagged", power_images=1)])
    told = memorization(both, "baseline").remarks
    assert "(Generalisation gap: a copy (1 to 5 of 6 to 50 images); Flagged as copies (share): a copy)" in told[0]
    assert "0: 4.8 % [0.0, 16.8] (20 patients); 1: 4.8 % [0.0, 16.8] (20 patients)." in told[1]


def test_the_detectors_own_checks_have_numbers_of_their_own():
    rows = [
        {"generator": generator, "class": name, "auroc": 0.6, "low": 0.5, "high": 0.7}
        | {"n_real": n * factor, "n_synthetic": m * factor}
        for generator, n, m in (("real images (32 px)", 10, 11), ("real images (64 px)", 10, 11), ("ddpm", 21, 50))
        for name, factor in (("a", 1), ("all", 2))
    ]
    table = detection(pd.DataFrame(rows), "baseline")
    assert table.frame["Images"].tolist() == ["real images (32 px)", "real images (64 px)", "ddpm"]
    told = "Of a class n = 21 held-out real and 50 synthetic images; in a half 10 to 11 real ones."
    assert told in table.remarks[1]
