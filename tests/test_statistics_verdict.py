"""The study's verdict and its sentence, from rows of comparisons."""

import json

import numpy as np
import pandas as pd
import pytest

from synthworth.errors import StudyError
from synthworth.statistics.verdict import headline, verdict

FIXED, PATIENTS = "on these training images", "other training patients"


def comparison(arm, effect, low, high, word, dose=100, **others):
    return {
        "classifier": "all",
        "arm": arm,
        "generator": arm,
        "dose": dose,
        "metric": "balanced_accuracy",
        "confidence": 0.95,
        "effect": effect,
        "standard_error": (high - low) / 4,
        "low": low,
        "high": high,
        "low_simultaneous": low - 0.01,
        "high_simultaneous": high + 0.01,
        "p": 0.01,
        "p_adjusted": 0.02 if word != "no evidence" else 0.84,
        "margin": 0.01,
        "p_equivalence": 0.2,
        "p_equivalence_adjusted": 0.2,
        "minimum_detectable_effect": 0.042,
        "verdict": word,
        "n_images": 44,
        "n_patients": 40,
        "baseline_score": 0.6,
        "guess_score": 0.25,
        "p_guess": 1e-4,
        "n_classifiers": 1,
        "n_repeats": 1,
        "n_seeds": 2,
        "n_generator_seeds": 1,
        "n_draws": 1,
    } | others


def test_the_verdict_without_evidence_says_what_could_have_been_seen():
    rows = [
        comparison("ddpm+100", 0.004, -0.021, 0.029, "no evidence"),
        comparison("gan+100", -0.001, -0.009, 0.007, "no evidence", p_equivalence_adjusted=0.02),
        # Its own interval lies within the margin too, but not after Holm.
        comparison("lora+100", -0.002, -0.0099, 0.006, "no evidence", p_equivalence=0.02),
        comparison("oversampling", 0.05, 0.02, 0.08, "helps", dose=0),
    ]
    answer = verdict(pd.DataFrame(rows))
    assert answer["margin"] == 0.01
    assert answer["verdict"] == "no evidence"
    assert answer["best_arm"] == "ddpm+100"
    assert answer["answer"] == (
        "No evidence that synthetic data helps or harms: best arm ddpm+100, +0.4 points of balanced accuracy "
        "(95 % interval -3.1 to +3.9, for all arms at once; adjusted p 0.84); an effect below 4.2 points could easily "
        "have been missed with 44 test images of 40 patients and 2 seeds. The answer speaks of these trained "
        "generators and images, on these training images: generators trained anew or other training "
        "patients may do otherwise."
    )
    assert answer["arms"]["ddpm+100"]["reason"] == "inconclusive"
    assert answer["arms"]["gan+100"]["reason"] == "equivalent"
    assert answer["arms"]["lora+100"]["reason"] == "inconclusive"
    assert answer["controls"]["oversampling"]["verdict"] == "helps"


@pytest.mark.parametrize(
    ("known", "blind"),
    [({}, False), ({"p_guess": 0.2}, True)]
    + [({"p_guess": np.nan, "baseline_score": score}, score == 0.25) for score in (0.25, 0.4)],
)
def test_a_baseline_that_is_no_better_than_a_guess_is_told(known, blind):
    answer = verdict(pd.DataFrame([comparison("gan+100", 0.02, 0.01, 0.1, "no evidence") | known]))["answer"]
    told = f"guess without a look at the images ({100 * known.get('baseline_score', 0.6):.1f} % against 25.0 %)"
    assert (told in answer) == blind


def test_one_helping_arm_suffices_and_harm_needs_that_none_helps():
    harms = comparison("gan+1000", -0.06, -0.09, -0.03, "harms")
    unclear = comparison("ddpm+100", 0.08, -0.02, 0.18, "no evidence")
    helps = comparison("lora+100", 0.05, 0.02, 0.08, "helps")
    control = comparison("oversampling", 0.05, 0.02, 0.08, "helps", dose=0)
    helpful = verdict(pd.DataFrame([harms, unclear, helps, control]))
    assert (helpful["verdict"], helpful["best_arm"]) == ("helps", "lora+100")
    assert "1 of 3 synthetic arms help and 1 harms" in helpful["answer"]
    assert " So does oversampling, without synthetic images. The answer speaks of " in helpful["answer"]
    harmful = verdict(pd.DataFrame([harms, unclear]))
    assert (harmful["verdict"], harmful["best_arm"]) == ("harms", "ddpm+100")
    only = "harms in 1 of 2 arms that only add images to all real ones, and is shown to help in none: best arm ddpm"
    assert only in harmful["answer"]
    assert "Worse" not in helpful["answer"] + harmful["answer"]
    assert "Not counted" not in helpful["answer"] + harmful["answer"]
    with pytest.raises(StudyError, match="No arm with synthetic images"):
        verdict(pd.DataFrame([control]))


def test_an_arm_of_another_regime_makes_a_study_help_but_not_harm():
    replace = comparison("replace", -0.2, -0.3, -0.1, "harms")
    unclear = comparison("ddpm+100", -0.01, -0.05, 0.03, "no evidence")
    harms = comparison("gan+1000", -0.06, -0.09, -0.03, "harms")
    worse = " Worse, but with synthetic images in the place of real ones, always or at first: replace. The answer "
    alone = verdict(pd.DataFrame([replace, unclear]), other_regimes=["replace", "pretrain"])
    assert (alone["other_regimes"], alone["confounded"]) == (["replace"], [])
    assert (alone["verdict"], alone["arms"]["replace"]["verdict"]) == ("no evidence", "harms")
    assert alone["answer"].startswith("No evidence that synthetic data helps or harms: best arm ddpm+100")
    assert worse in alone["answer"]
    both = verdict(pd.DataFrame([replace, unclear, harms]), other_regimes=["replace"])
    assert both["verdict"] == "harms"
    assert both["answer"].startswith("Synthetic data harms in 1 of 2 arms that only add images to all real ones, and ")
    assert worse in both["answer"]
    single = verdict(pd.DataFrame([replace, harms]), other_regimes=["replace"])
    assert single["answer"].startswith("Synthetic data harms in 1 of 1 arm that only adds images to all real ones, and")
    pretrain = comparison("pretrain", -0.1, -0.2, -0.05, "harms")
    two = verdict(pd.DataFrame([replace, pretrain, unclear]), other_regimes=["replace", "pretrain"])
    assert (two["verdict"], two["best_arm"]) == ("no evidence", "ddpm+100")
    assert " always or at first: replace and pretrain. The answer " in two["answer"]
    helps = comparison("replace", 0.2, 0.1, 0.3, "helps")
    helpful = verdict(pd.DataFrame([helps, unclear, harms]), other_regimes=["replace"])
    assert (helpful["verdict"], helpful["best_arm"]) == ("helps", "replace")


def test_an_arm_that_differs_in_more_than_its_images_carries_no_verdict():
    better = comparison("lora_focal+100", 0.2, 0.1, 0.3, "helps")
    worse = comparison("lora_mixup+100", -0.2, -0.3, -0.1, "harms")
    alike = comparison("lora_cutmix+100", 0.3, -0.2, 0.8, "no evidence")
    confounded = ["lora_focal+100", "lora_mixup+100", "lora_cutmix+100"]
    helps = comparison("lora+100", 0.05, 0.02, 0.08, "helps")
    unclear = comparison("ddpm+100", 0.01, -0.03, 0.05, "no evidence")
    harms = comparison("gan+100", -0.06, -0.09, -0.03, "harms")

    def reached(*rows):
        return verdict(pd.DataFrame(rows), other_regimes=["gan+100", *confounded], confounded=confounded)

    none = reached(better, worse, alike, unclear)
    assert (none["verdict"], none["best_arm"], none["arms"]["lora_focal+100"]["verdict"]) == (
        "no evidence",
        "ddpm+100",
        "helps",
    )
    assert (none["family"], none["confounded"], none["other_regimes"]) == (4, confounded, [])
    assert headline(none) == "No evidence that synthetic images help."
    assert (
        " Not counted: lora_focal+100 (better), lora_mixup+100 (worse) and lora_cutmix+100, which differ from the "
        "baseline in more than their synthetic images. The answer speaks of "
    ) in none["answer"]
    assert "Worse, " not in none["answer"]
    yes = reached(better, helps, unclear)
    assert (yes["verdict"], yes["best_arm"]) == ("helps", "lora+100")
    assert "; 1 of 2 synthetic arms help, judged by " in yes["answer"]
    one = " Not counted: lora_focal+100 (better), which differs from the baseline in more than its synthetic images."
    assert one in yes["answer"]
    # No arm harms but one that may, and it is counted among those that may.
    no = verdict(pd.DataFrame([better, worse, unclear, harms]), confounded=confounded)
    assert (no["verdict"], no["best_arm"]) == ("harms", "ddpm+100")
    assert no["answer"].startswith("Synthetic data harms in 1 of 2 arms that only add images to all real ones, and ")
    quiet = reached(alike, unclear)
    assert " Not counted: lora_cutmix+100, which differs from the baseline in more than its synth" in quiet["answer"]
    many = [comparison(f"focal+{dose}", 0.1, -0.1, 0.3, "no evidence") for dose in range(4)]
    answer = verdict(pd.DataFrame([*many, unclear]), confounded=[row["arm"] for row in many])["answer"]
    assert " Not counted: 4 arms, which differ from the baseline" in answer


def test_a_study_of_arms_that_differ_in_more_than_their_images_says_so():
    rows = [comparison("lora_focal+100", 0.2, 0.1, 0.3, "helps"), comparison("focal", 0, -0.1, 0.1, "helps", dose=0)]
    answer = verdict(pd.DataFrame(rows), confounded=["lora_focal+100"])
    assert (answer["verdict"], answer["best_arm"], answer["scope"]) == ("no evidence", None, None)
    assert headline(answer) == "No evidence that synthetic images help."
    assert answer["answer"] == (
        "No evidence that synthetic data helps or harms: no arm differs from the baseline in its synthetic images "
        "alone. Not counted: lora_focal+100 (better), "
        "which differs from the baseline in more than its synthetic images."
    )
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize(
    ("repeated", "outside", "scope", "others", "yes"),
    [
        ({}, [], f"these trained generators and images, {FIXED}", f"generators trained anew or {PATIENTS}", "these "),
        ({"n_draws": 3}, [], f"these trained generators, {FIXED}", f"generators trained anew or {PATIENTS}", "these "),
        ({"n_generator_seeds": 2, "n_draws": 3}, [], f"generators trained anew, {FIXED}", PATIENTS, ""),
        ({"n_repeats": 2}, [], "generators trained anew, on other splits of these patients", "other patients", ""),
        (
            {"n_generator_seeds": 2},
            ["gan+9"],
            f"these images, {FIXED}",
            f"other synthetic images or {PATIENTS}",
            "these ",
        ),
    ],
)
def test_the_verdict_says_what_it_speaks_of(repeated, outside, scope, others, yes):
    rows = [comparison("gan+9", 0.05, 0.02, 0.08, "helps", **repeated), comparison("x+9", 0, -0.1, 0.1, "no evidence")]
    answer = verdict(pd.DataFrame([*rows, comparison("oversampling", 0, 0, 0, "no evidence", dose=0)]), outside)
    assert answer["scope"] == answer["arms"]["gan+9"]["scope"] == scope
    assert answer["arms"]["x+9"]["scope"] == "these trained generators and images, on these training images"
    assert "scope" not in answer["controls"]["oversampling"]
    assert answer["answer"].endswith(f" The answer speaks of {scope}: {others} may do otherwise.")
    # One training of a generator may be a lucky one: a "yes" speaks of it alone.
    assert headline(answer) == f"Yes: {yes}synthetic images help."
    assert headline(answer | {"verdict": "harms"}) == (
        "Some ways of using synthetic images harm; none is shown to help."
    )
    assert headline(answer | {"verdict": "no evidence"}) == "No evidence that synthetic images help."
