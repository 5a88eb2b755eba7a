"""Label fidelity: recalls, their intervals, the ceiling, and the matrices that the figure shows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from synthworth.errors import StudyError
from synthworth.label_fidelity import (
    CONFUSION_COLUMNS,
    HELD_OUT,
    RECOGNITION_COLUMNS,
    Judged,
    confusion,
    figure_confusion,
    recognition,
)

NAMES = ["healthy", "viral"]


def judged(right, groups=None):
    """Images of each class, `right[name] = (recognised, all)`."""
    classes, probabilities = [], []
    for place, name in enumerate(NAMES):
        recognised, n = right.get(name, (0, 0))
        for i in range(n):
            said = place if i < recognised else 1 - place
            classes.append(name)
            probabilities.append([0.8 if column == said else 0.2 for column in range(2)])
    return Judged(np.array(classes, str), np.array(probabilities).reshape(-1, 2), groups)


HELD = judged({"healthy": (45, 50), "viral": (20, 40)})


def row(frame, source, name):
    return frame.set_index(["source", "class"]).loc[(source, name)]


@pytest.mark.parametrize(("recognised", "n"), [(30, 40), (0, 20), (20, 20), (1, 3)])
def test_recall_has_wilsons_interval(recognised, n):
    frame = recognition(NAMES, HELD, {"gan": judged({"viral": (recognised, n)})}, confidence=0.9)
    found = row(frame, "gan", "viral")
    assert (found["n"], found["recognised"], found["recall"]) == (n, recognised, recognised / n)
    expected = proportion_confint(recognised, n, alpha=0.1, method="wilson")
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-12)
    assert 0 <= found["low"] <= found["recall"] <= found["high"] <= 1


def test_the_ceiling_is_what_held_out_real_images_reach():
    frame = recognition(NAMES, HELD, {"gan": judged({"healthy": (40, 50), "viral": (20, 50)})})
    assert tuple(frame.columns) == RECOGNITION_COLUMNS
    assert list(frame["source"]) == [HELD_OUT] * 2 + ["gan"] * 2
    assert row(frame, HELD_OUT, "viral")["recall"] == 0.5
    found = row(frame, "gan", "viral")
    assert (found["ceiling"], found["ratio"]) == (0.5, pytest.approx(0.8))
    assert found["ratio_low"] < 0.8 < found["ratio_high"]
    # Recognised in 40 % of cases, but so are real images in half of them: no sign of wrong labels.
    assert found["reading"] == "as real"
    assert pd.isna(row(frame, HELD_OUT, "viral")["ratio"])


@pytest.mark.parametrize(
    ("recognised", "reading"), [(5, "below real"), (60, "as real"), (100, "above real"), (0, "below real")]
)
def test_reading_says_on_which_side_of_the_ceiling(recognised, reading):
    found = row(recognition(NAMES, HELD, {"gan": judged({"viral": (recognised, 100)})}), "gan", "viral")
    assert found["reading"] == reading


def test_ratio_limits_are_those_of_donner_and_zous_equation():
    frame = recognition(NAMES, HELD, {"gan": judged({"healthy": (30, 40)})})
    own, real = row(frame, "gan", "healthy"), row(frame, HELD_OUT, "healthy")
    p, l, u = own["recall"], own["low"], own["high"]  # noqa: E741
    q, m, v = real["recall"], real["low"], real["high"]
    low = (p * q - np.sqrt((p * q) ** 2 - l * v * (2 * p - l) * (2 * q - v))) / (v * (2 * q - v))
    high = (p * q + np.sqrt((p * q) ** 2 - u * m * (2 * p - u) * (2 * q - m))) / (m * (2 * q - m))
    assert (own["ratio_low"], own["ratio_high"]) == pytest.approx((low, high))


def test_ratio_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(150):
        real, made = rng.binomial(40, 0.7), rng.binomial(50, 0.56)
        frame = recognition(
            NAMES, judged({"healthy": (real, 40), "viral": (1, 1)}), {"g": judged({"healthy": (made, 50)})}
        )
        found = row(frame, "g", "healthy")
        held += found["ratio_low"] <= 0.8 <= found["ratio_high"]
    assert held / 150 >= 0.9


def test_a_class_that_the_classifier_never_recognises_has_no_ratio():
    held = judged({"healthy": (9, 10), "viral": (0, 10)})
    found = row(recognition(NAMES, held, {"gan": judged({"viral": (3, 10)})}), "gan", "viral")
    assert found["reading"] == "no ceiling"
    assert pd.isna(found[["ratio", "ratio_low", "ratio_high"]]).all()


def test_images_of_one_patient_are_no_more_than_one():
    single = judged({"healthy": (15, 20), "viral": (5, 5)})
    fourfold = Judged(
        np.repeat(single.classes, 4), np.repeat(single.probabilities, 4, axis=0), np.repeat(np.arange(25), 4)
    )
    by_image = Judged(fourfold.classes, fourfold.probabilities)
    alone, together, wrong = (
        row(recognition(NAMES, held, {}), HELD_OUT, "healthy") for held in (single, fourfold, by_image)
    )
    assert (together["n"], together["n_groups"]) == (80, 20)
    assert together["low"] == pytest.approx(alone["low"], abs=0.02)
    assert wrong["low"] > alone["low"] + 0.08
    # All right: as many as there are patients.
    assert row(recognition(NAMES, fourfold, {}), HELD_OUT, "viral")["low"] == pytest.approx(
        proportion_confint(5, 5, method="wilson")[0]
    )


def test_patients_whose_images_differ_as_much_as_any_narrow_nothing_down():
    held = judged({"healthy": (10, 20), "viral": (5, 5)})
    # Each patient has one image that is recognised and one that is not.
    groups = np.concatenate([np.arange(10), np.arange(10), np.arange(20, 25)])
    found = row(recognition(NAMES, Judged(held.classes, held.probabilities, groups), {}), HELD_OUT, "healthy")
    assert found["low"] == pytest.approx(proportion_confint(10, 20, method="wilson")[0])


def test_confusion_is_sklearns():
    rng = np.random.default_rng(0)
    names = ["a", "b", "c"]
    classes = np.array(names)[rng.integers(0, 3, 60)]
    probabilities = rng.dirichlet(np.ones(3), 60)
    frame = confusion(names, Judged(classes, probabilities), {"gan": Judged(classes[:5], probabilities[:5])})
    assert tuple(frame.columns) == CONFUSION_COLUMNS
    table = frame[frame["source"] == HELD_OUT].pivot_table(index="class", columns="predicted", values="images")
    expected = confusion_matrix(classes, np.array(names)[probabilities.argmax(axis=1)], labels=names)
    np.testing.assert_array_equal(table.to_numpy(), expected)
    np.testing.assert_allclose(frame.groupby(["source", "class"])["share"].sum(), 1)


def test_a_class_that_a_generator_does_not_make_has_no_row():
    made = {"gan": judged({"viral": (3, 10)})}
    assert list(recognition(NAMES, HELD, made)["class"]) == ["healthy", "viral", "viral"]
    assert set(confusion(NAMES, HELD, made).query("source == 'gan'")["class"]) == {"viral"}


@pytest.mark.parametrize(
    ("held", "made", "problem"),
    [
        (judged({"healthy": (3, 5)}), {}, "class viral: no held-out real image"),
        (HELD, {"gan": judged({})}, "gan: no images"),
        (HELD, {"gan": Judged(np.array(["viral"]), np.array([[0.5, 0.2]]))}, "gan: the probabilities of 1 of 1 images"),
        (HELD, {"gan": Judged(np.array(["viral"]), np.array([[np.nan, 1]]))}, "did the classifier's training diverge"),
        (HELD, {"gan": Judged(np.array(["viral"]), np.array([[-1.0, 2.0]]))}, "missing, negative"),
        (HELD, {"gan": Judged(np.array(["viral"]), np.ones((1, 3)) / 3)}, r"gan: probabilities \(1, 3\)"),
        (HELD, {"gan": Judged(np.array(["other"]), np.array([[0.5, 0.5]]))}, "gan: class other is none"),
        (HELD, {HELD_OUT: HELD}, "a generator cannot be named"),
    ],
)
def test_says_what_is_wrong(held, made, problem):
    for function in (recognition, confusion):
        with pytest.raises(StudyError, match=problem):
            function(NAMES, held, made)


def test_figure_shows_the_matrices_side_by_side():
    made = {f"generator_{i}": judged({"healthy": (8, 10), "viral": (i, 4)}) for i in range(3)}
    frame = confusion(NAMES, HELD, made)
    figure = figure_confusion(frame, NAMES, note="Study demo.")
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == [HELD_OUT, *made]
    np.testing.assert_allclose(panels[1].images[0].get_array(), [[0.8, 0.2], [1, 0]])
    assert [text.get_text() for text in panels[0].texts] == ["90", "10", "50", "50"]
    assert "Study demo." in figure.get_supxlabel().replace("\n", " ")


def test_figure_without_images_says_so():
    figure = figure_confusion(pd.DataFrame(columns=list(CONFUSION_COLUMNS)), NAMES)
    assert [text.get_text() for text in figure.axes[0].texts] == ["No images."]
