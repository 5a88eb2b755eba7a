"""What the comparisons mean: helps, no evidence or harms, for each arm and for the study, and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError

NUMBERS = ["effect", "standard_error", "low", "high", "low_simultaneous", "high_simultaneous", "p", "p_adjusted"]
NUMBERS += ["p_equivalence", "p_equivalence_adjusted", "minimum_detectable_effect"]
COUNTS = ["n_images", "n_patients", "n_classifiers", "n_repeats", "n_seeds", "n_generator_seeds", "n_draws"]
HEADLINES = {
    "helps": "Yes: synthetic images help.",
    "harms": "Some ways of using synthetic images harm; none is shown to help.",
    "no evidence": "No evidence that synthetic images help.",
}
# So many arms without a finding are named where they are not counted.
NAMED = 3
# What an arm's interval and verdict speak of (`scope`), on which training images, and what neither can speak of.
IMAGES, MODELS, DRAWS, ANEW = (
    "these images",
    "these trained generators and images",
    "these trained generators",
    "generators trained anew",
)
FIXED, SPLITS = "on these training images", "on other splits of these patients"
OTHERS = {
    IMAGES: ["other synthetic images"],
    MODELS: ["generators trained anew"],
    DRAWS: ["generators trained anew"],
    ANEW: [],
    FIXED: ["other training patients"],
    SPLITS: ["other patients"],
}


@dataclass(frozen=True)
class SyntheticArms:
    """The rows of the arms with synthetic images, indexed by arm, by what they can say of a study.

    `counted`: those that differ from the baseline in their synthetic images alone. `adding`: those of them whose images
    are added to the baseline's training, not used in another regime. `confounded`: those that are not counted.
    """

    counted: pd.DataFrame
    adding: pd.DataFrame
    confounded: pd.DataFrame

    @property
    def helping(self) -> list[str]:
        """The arms by which the study helps."""
        return _of(self.counted, "helps")

    @property
    def harming(self) -> list[str]:
        """The arms by which the study harms, if none helps."""
        return _of(self.adding, "harms")

    @property
    def displacing(self) -> list[str]:
        """The arms of another regime that are worse."""
        return [arm for arm in _of(self.counted, "harms") if arm not in self.adding.index]

    @property
    def verdict(self) -> str:
        """The study's."""
        return "helps" if self.helping else "harms" if self.harming else "no evidence"

    @property
    def best(self) -> str | None:
        """The counted arm of the largest effect, among those that help, if any does; None where none is counted."""
        candidates = self.counted.loc[self.helping] if self.helping else self.counted
        if candidates.empty:
            return None
        known = candidates[candidates["standard_error"].notna()]
        return str((candidates if known.empty else known)["effect"].idxmax())


def verdict(
    comparisons: pd.DataFrame,
    outside: Sequence[str] = (),
    other_regimes: Sequence[str] = (),
    confounded: Sequence[str] = (),
) -> dict[str, Any]:
    """The answer of a study, ready for JSON, from the rows of `compare_arms` pooled over classifiers.

    `outside`: the generators whose images someone else made. `other_regimes`: the arms that differ from the baseline in
    their synthetic images alone, which take the place of real ones, always or at first. `confounded`: the arms with
    synthetic images that differ from the baseline in something else too, such as the loss
    (`Arm.differs_in_images_alone`).

    An arm `helps` or `harms` where its p adjusted over all arms says that it differs from the baseline; else there
    is `no evidence`, with a reason: `equivalent` where it surely lies within the margin (`p_equivalence_adjusted` below
    half of 1 - confidence, so that over all arms a wrong `equivalent` is as rare as a wrong `helps`, and the interval
    lies within the margin too), `inconclusive` where it may not, or no margin is given, `unknown` where chance could
    not be estimated (see `compare_arms`).

    The study's verdict speaks of the arms with synthetic images (dose above 0) that are not `confounded` alone: of
    those nobody knows which of the differences did it. They and the controls are listed with their own verdicts and in
    the same family of tests. The study

    - `helps` if at least one counted arm helps: one may then use that arm, whatever worse ones did;
    - `harms` if none helps and at least one harms that is of no other regime: synthetic images in the place of real
      ones may well be worse than these, which does not say that they harm when they are added. An arm that harms says
      nothing of the arms without evidence, so the sentence counts the arms that harm;
    - else there is `no evidence`, which is no evidence of absence: see the minimum detectable effect.

    As the tests are two-sided and adjusted over the family, equal arms make a study say `helps` in at most half of
    1 - confidence of all cases.

    `best_arm` is the counted arm of the largest effect among those of the study's verdict: among the helping ones
    where it helps, among all with a known standard error otherwise; where none is known, among all. As it is the best
    of many, the sentence gives the interval that holds for all arms at once. Effects are fractions.

    Each synthetic arm's `scope` is what its interval speaks of: `generators trained anew` where the arm's generator was
    trained several times, alone or in repeats of the cross-validation, `these trained generators` where images were
    drawn from one training several times, else `these trained generators and images`; `these images` where no
    generator was trained. It ends `on these training images`: all runs share the patients that they are trained on, so
    that nothing tells what others would change; in repeats of the cross-validation `on other splits of these patients`.
    The study's is that of its best arm, of which the sentence speaks. Where all arms are confounded both are None.

    Returns the keys `verdict`, `best_arm`, `scope`, `answer` (the sentence), `metric`, `margin`, `family` (how many
    arms the p values are adjusted over), `other_regimes` and `confounded` (those compared), `arms` and `controls` (a
    mapping each from arm to `verdict`, `reason`, the NUMBERS and COUNTS, and of an arm its `scope`); what is unknown is
    None. Raises StudyError where no pooled row has synthetic images.
    """
    pooled = comparisons[comparisons["classifier"] == "all"].set_index("arm")
    synthetic = pooled[pooled["dose"] > 0]
    if synthetic.empty:
        raise StudyError("No arm with synthetic images was compared.", ["add one with a generator to arms"])
    aside, otherwise = synthetic.index.isin(confounded), synthetic.index.isin(other_regimes)
    arms = SyntheticArms(synthetic[~aside], synthetic[~aside & ~otherwise], synthetic[aside])
    scopes = {arm: _scope(row, outside) for arm, row in synthetic.iterrows()}
    scope = scopes.get(arms.best)
    controls = pooled[pooled["dose"] == 0]
    answer = sentence(arms, _of(controls, "helps")) + _blind(pooled.iloc[0])
    return {
        "verdict": arms.verdict,
        "best_arm": arms.best,
        "scope": ", ".join(scope) if scope else None,
        "answer": f"{answer} {_limits(*scope)}" if scope else answer,
        "metric": str(pooled["metric"].iloc[0]),
        "margin": _number(pooled["margin"].iloc[0]),
        "family": int(pooled["p"].notna().sum()),
        "other_regimes": list(synthetic.index[~aside & otherwise]),
        "confounded": list(synthetic.index[aside]),
        "arms": {arm: _describe(row) | {"scope": ", ".join(scopes[arm])} for arm, row in synthetic.iterrows()},
        "controls": {arm: _describe(row) for arm, row in controls.iterrows()},
    }


def headline(answer: Mapping[str, Any]) -> str:
    """The answer (of `verdict`) in half a line: "Yes" of synthetic images as such only where the generators of the best
    arm were trained anew, as one training may be a lucky one."""
    if answer["verdict"] == "helps" and not answer["scope"].startswith(ANEW):
        return "Yes: these synthetic images help."
    return HEADLINES[answer["verdict"]]


def sentence(arms: SyntheticArms, helping_controls: Sequence[str] = ()) -> str:
    """The study's verdict in plain English."""
    if arms.best is None:
        text = (
            "No evidence that synthetic data helps or harms: no arm differs from the baseline in its "
            "synthetic images alone."
        )
        return text + _not_counted(arms.confounded)
    row = arms.counted.loc[arms.best]
    size = (
        f"{_count(row['n_images'], 'test image')} of {_count(row['n_patients'], 'patient')} "
        f"and {_count(row['n_seeds'], 'seed')}"
    )
    if row["n_generator_seeds"] > 1:
        size += f" of each of {row['n_generator_seeds']} trained generators"
    metric = str(row["metric"]).replace("_", " ").replace("f1", "F1").replace("auroc", "AUROC")
    effect = f"{_points(row['effect'])} points of {metric}"
    if pd.isna(row["standard_error"]):
        return (
            f"No evidence that synthetic data helps or harms: {arms.best} has {effect}, but with {size} the part of "
            f"chance cannot be known.{_not_counted(arms.confounded)}"
        )
    together = f"{_points(row['low_simultaneous'])} to {_points(row['high_simultaneous'])}"
    effect += f" ({100 * row['confidence']:g} % interval {together}, for all arms at once"
    effect += f"; adjusted p {_p(row['p_adjusted'])})"
    best = f"best arm {arms.best}, {effect}"
    seen = (
        f"an effect below {100 * row['minimum_detectable_effect']:.1f} points could easily have been missed with {size}"
    )
    if arms.verdict == "helps":
        text = f"Synthetic data helps: {best}; {len(arms.helping)} of {len(arms.counted)} synthetic arms help"
        if arms.harming:
            text += f" and {len(arms.harming)} {'harms' if len(arms.harming) == 1 else 'harm'}"
        text += f", judged by {size}."
        if helping_controls:
            does = "does" if len(helping_controls) == 1 else "do"
            text += f" So {does} {_listed(helping_controls)}, without synthetic images."
    elif arms.verdict == "harms":
        text = (
            f"Synthetic data harms in {len(arms.harming)} of {_count(len(arms.adding), 'arm')} that only "
            f"{'adds' if len(arms.adding) == 1 else 'add'} images to all real ones, and is shown to help in none: "
            f"{best}; {seen}."
        )
    else:
        text = f"No evidence that synthetic data helps or harms: {best}; {seen}."
    if arms.displacing:
        text += " Worse, but with synthetic images in the place of real ones, always or at first: "
        text += f"{_listed(arms.displacing)}."
    return text + _not_counted(arms.confounded)


def _blind(row: pd.Series) -> str:
    """What a study is worth whose classifiers have not learnt to tell the classes apart; `row`: any pooled one."""
    unknown = pd.isna(row["p_guess"]) and row["baseline_score"] > row["guess_score"]
    if unknown or row["p_guess"] < 1 - row["confidence"]:
        return ""
    scores = f"{100 * row['baseline_score']:.1f} % against {100 * row['guess_score']:.1f} %"
    return (
        f" The baseline is not shown to do better than a guess without a look at the images ({scores}): classifiers "
        "that have learnt nothing tell nothing of synthetic images."
    )


def _not_counted(confounded: pd.DataFrame) -> str:
    """The arms that the verdict leaves out, by name where they were found better or worse."""
    if confounded.empty:
        return ""
    words = {"helps": "better", "harms": "worse"}
    named = [f"{arm} ({words[found]})" for arm, found in confounded["verdict"].items() if found in words]
    others = [str(arm) for arm in confounded.index[~confounded["verdict"].isin(words)]]
    named += others if len(others) <= NAMED else [_count(len(others), "other arm" if named else "arm")]
    differ = (
        "differs from the baseline in more than its"
        if len(confounded) == 1
        else "differ from the baseline in more than their"
    )
    return f" Not counted: {_listed(named)}, which {differ} synthetic images."


def _of(rows: pd.DataFrame, found: str) -> list[str]:
    """The arms, by which `rows` are indexed, of a verdict."""
    return [str(arm) for arm in rows.index[rows["verdict"] == found]]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _scope(row: pd.Series, outside: Sequence[str]) -> tuple[str, str]:
    """What the arm's interval speaks of, and on which training images."""
    training = SPLITS if row["n_repeats"] > 1 else FIXED
    if row["generator"] in outside:
        return IMAGES, training
    if max(row["n_generator_seeds"], row["n_repeats"]) > 1:
        return ANEW, training
    return (DRAWS if row["n_draws"] > 1 else MODELS), training


def _limits(subject: str, training: str) -> str:
    others = [*OTHERS[subject], *OTHERS[training]]
    return f"The answer speaks of {subject}, {training}: {' or '.join(others)} may do otherwise."


def _describe(row: pd.Series) -> dict[str, Any]:
    reason = None
    if pd.isna(row["standard_error"]):
        reason = "unknown"
    elif row["verdict"] == "no evidence":
        equivalent = row["p_equivalence_adjusted"] < (1 - row["confidence"]) / 2
        reason = "equivalent" if equivalent else "inconclusive"
    described: dict[str, Any] = {"verdict": row["verdict"], "reason": reason}
    described |= {name: _number(row[name]) for name in NUMBERS}
    return described | {name: int(row[name]) for name in COUNTS}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _points(fraction: float) -> str:
    return f"{100 * fraction:+z.1f}"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
