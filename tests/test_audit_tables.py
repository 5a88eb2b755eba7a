"""The table of the memorisation audit: what is beyond real images, over all scores together and by themselves."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import betabinom

from synthworth.label_fidelity import HELD_OUT
from synthworth.memorization.innocent import POOLED_ALARMS, innocent_flags
from synthworth.memorization.power import calibrate
from synthworth.memorization.summaries import flag_counts
from synthworth.tables.audits import detection, memorization, recognition


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


def test_what_is_beyond_is_told_after_holm_and_what_is_so_by_itself_with_a_question_mark():
    table = memorization(scores((0.001, 0.003), (0.03, 0.06), (0.5, 0.5), (0.0, float("nan"))), "baseline")
    assert table.frame["Class"].tolist() == ["0", "1", "2"]
    assert table.frame["Generalisation gap"].tolist() == [
        "0.40 [0.10, 0.90]; overfits; real 0.00 to 0.20; power 50 %",
        "0.40 [0.10, 0.90]; overfits?; real 0.00 to 0.20; power 50 %",
        "0.40 [0.10, 0.90]; real 0.00 to 0.20; power 50 %",
    ]
    assert "over all 3 scores together (after Holm)" in table.remarks[2]
    assert "as 0.2 of so many would be by chance" in table.remarks[2]


@pytest.mark.parametrize(
    ("score", "word"),
    [
        ("flagged", "copies"),
        ("gap", "overfits"),
        ("c_t", "nearer than real"),
        ("auth_pct", "nearer than real"),
        ("duplicates", "repeats itself"),
    ],
)
def test_only_flags_speak_of_copies(score, word):
    rows = scores((0.001, 0.003), (0.03, 0.06), (0.5, 0.5), (0.0, 0.0)).assign(score=score)
    table = memorization(rows, "baseline")
    told = [text.split("; ")[1] for text in table.frame.iloc[:, -1]]
    assert told == [word, f"{word}?", "real 0.00 to 0.20"]
    assert table.remarks[2].startswith(f"“{word}” (")


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


def audits():
    """Of a generator `0` two classes, and a checkpoint that was not chosen; of `ddpm` one class. Patients: 9 and 19."""
    rows = [
        ("0", "a", True, "flagged", 0.1, 9, 0.8, 0.7, 0.9),
        ("0", "b", True, "flagged", 0.05, 19, 0.5, 0.3, 0.7),
        ("0", "a", False, "flagged", 0.9, 9, 0.9, 0.9, 0.9),
        ("0", "a", True, "gap", 0.9, 9, 0.9, 0.9, 0.9),
        ("ddpm", "a", True, "flagged", 0.1, 9, 1.0, 0.9, 1.0),
    ]
    told = ["false_alarms", "false_alarms_n", "power", "power_low", "power_high"]
    frame = pd.DataFrame(rows, columns=["generator", "class", "selected", "score", *told])
    frame = frame.assign(value=0.5, reference_high=0.1, p_adjusted=0.5)
    return frame.assign(false_alarms_low=0.0, false_alarms_high=0.5, pooled_alarms=1 / 29, pooled_alarms_n=28)


def flags():
    """Images of `ddpm` and of `0`: of its class a 3 of 30, of b 2 of 10."""
    counts = [("ddpm", "a", 3, 4), ("0", "a", 3, 30), ("0", "b", 2, 10)]
    rows = [(*names, place < found) for *names, found, n in counts for place in range(n)]
    return pd.DataFrame(rows, columns=["generator", "class", "flagged"])


def test_flags_are_counted_beside_those_of_innocent_images_and_the_recall():
    found = flag_counts(flags(), audits())
    assert found.index.tolist() == ["0", "ddpm"]
    expected = [5, 40, (30 * 0.8 + 10 * 0.5) / 40, 0.3, 0.9]
    names = ["flagged", "n", "recall", "recall_low", "recall_high"]
    assert found.loc["0", names].tolist() == pytest.approx(expected)
    # Images of a class for each of its patients, 30 / 9 at most, are those of all 28: more than by the own thresholds.
    assert found.loc["0", "innocent"] == pytest.approx(min(30 / 10 + 10 / 20, 94 / 29))
    assert found.loc["ddpm", names].tolist() == pytest.approx([3, 4, 1, 0.9, 1])
    # By definition: of four images those above the highest of nine others.
    assert found.loc["ddpm", "innocent"] == pytest.approx(min(4 / 10, 13 / 29))
    assert found.loc["ddpm", "innocent_high"] == betabinom(4, 1, 9).ppf(0.95) == 2
    with pytest.raises(KeyError):
        flag_counts(flags(), audits().query("generator == '0'"))


ALIKE, ONE_HIGHER = [0] * 5, [3, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("above", "images"),
    [(ALIKE, [200] * 5), (ONE_HIGHER, [200] * 5), (ONE_HIGHER, [800] + [50] * 4), ([0], [1000])],
)
def test_the_bound_of_innocent_flags_holds_and_the_mean_is_what_is_counted(above, images):
    """Five classes of 20 patients each, alike or not, and one class: innocent flags of 1,000 images."""
    rng, studies = np.random.default_rng(0), 1000
    held_out = rng.normal(size=(studies, len(above), 20)) + np.array(above)[:, None]
    # None of 100 patients may be flagged at 1 in 100: the highest score of all is every class's threshold.
    known = [
        pd.DataFrame({"similarity": own, "patient": [f"{c} {i}" for i in range(20)]})
        for c, own in enumerate(held_out[0])
    ]
    alarms = [calibrate(own, known[:place] + known[place + 1 :]) for place, own in enumerate(known)]
    assert {alarm.threshold for alarm in alarms} == {held_out[0].max()}
    thresholds = held_out.max(axis=(1, 2))
    counts = sum(
        (rng.normal(shift, size=(studies, n)) > thresholds[:, None]).sum(axis=1)
        for shift, n in zip(above, images, strict=True)
    )
    rows = pd.DataFrame({"n": images, "false_alarms": [alarm.own.value for alarm in alarms], "false_alarms_n": 20})
    pooled = [alarms[0].pooled.value, alarms[0].pooled.n]
    mean, high = innocent_flags(rows.assign(**dict(zip(POOLED_ALARMS, pooled, strict=True))))
    # At 95 % less than 93.5 % come in one of 70 such simulations.
    assert np.mean(counts <= high) >= 0.935
    assert np.mean(counts) == pytest.approx(mean, rel=0.2)


@pytest.mark.parametrize(("recognised", "blind"), [((2, 0, 39), True), ((14, 12, 39), False)])
def test_what_a_blind_classifier_says_is_told_to_mean_nothing(recognised, blind):
    rows = [
        {"source": source, "class": name, "n": 40, "recognised": count, "recall": count / 40, "low": 0, "high": 1}
        for source in (HELD_OUT, "gan")
        for name, count in zip("abc", recognised, strict=True)
    ]
    table = recognition(pd.DataFrame(rows).assign(reading="as real"), "baseline")
    assert any("means nothing" in remark for remark in table.remarks) == blind
