"""What the comparisons mean: helps, no evidence or harms, for each arm and for the study, and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError


def verdict(comparisons: pd.DataFrame, outside: Sequence[str] = (), changed: Sequence[str] = ()) -> dict[str, Any]:
    """The answer of a study, ready for JSON, from the rows of `compare_arms` pooled over classifiers.

    `outside`: the generators whose images someone else made. `changed`: the arms with synthetic images that do not
    add them to all that the baseline is trained on, or are trained otherwise too (`Arm.augments`).

    An arm `helps` or `harms` where its p adjusted over all arms says that it differs from the baseline; else there
    is `no evidence`, with a reason: `equivalent` where it surely lies within the margin (`p_equivalence_adjusted` below
    half of 1 - confidence, so that over all arms a wrong `equivalent` is as rare as a wrong `helps`, and the interval
    lies within the margin too), `inconclusive` where it may not, or no margin is given, `unknown` where chance could
    not be estimated (see `compare_arms`).

    The study's verdict speaks of the arms with synthetic images (dose above 0) alone; the others are controls, listed
    with their own verdicts and in the same family of tests. The study

    - `helps` if at least one synthetic arm helps: one may then use that arm, whatever worse ones did;
    - `harms` if none helps and at least one harms that is not `changed`: synthetic images alone may well be worse than
      real ones, and a loss of its own may harm, but neither says that images harm when they are added. An arm that
      harms says nothing of the arms without evidence, so the sentence counts the arms that harm;
    - else there is `no evidence`, which is no evidence of absence: see the minimum detectable effect.

    As the tests are two-sided and adjusted over the family, equal arms make a study say `helps` in at most half of
    1 - confidence of all cases.

    `best_arm` is the synthetic arm of the largest effect among those of the study's verdict: among the helping ones
    where it helps, among all with a known standard error otherwise; where none is known, among all. As it is the best
    of many, the sentence gives the interval that holds for all arms at once. Effects are fractions.

    Each synthetic arm's `scope` is what its interval speaks of: `generators trained anew` where the arm's generator was
    trained several times, alone or in repeats of the cross-validation, `these trained generators` where images were
    drawn from one training several times, else `these trained generators and images`; `these images` where no
    generator was trained. It ends `on these training images`: all runs share the patients that they are trained on, so
    that nothing tells what others would change; in repeats of the cross-validation `on other splits of these patients`.
    The study's is that of its best arm, of which the sentence speaks.

    Returns the keys `verdict`, `best_arm`, `scope`, `answer` (the sentence), `metric`, `margin`, `family` (how many
    arms the p values are adjusted over), `arms` and `controls` (a mapping each from arm to `verdict`, `reason`, the
    NUMBERS and COUNTS, and of an arm its `scope`); what is unknown is None.
    Raises StudyError where no pooled row has synthetic images.
    """
    pooled = comparisons[comparisons["classifier"] == "all"].set_index("arm")
    synthetic = pooled[pooled["dose"] > 0]
    if synthetic.empty:
        raise StudyError("No arm with synthetic images was compared.", ["add one with a generator to arms"])
    helping, harming, _ = _found(synthetic, changed)
    overall = "helps" if len(helping) else "harms" if len(harming) else "no evidence"
    candidates = synthetic[synthetic["verdict"] == "helps"] if overall == "helps" else synthetic
    known = candidates[candidates["standard_error"].notna()]
    best = (candidates if known.empty else known)["effect"].idxmax()
    scopes = {arm: _scope(row, outside) for arm, row in synthetic.iterrows()}
    return {
        "verdict": overall,
        "best_arm": best,
        "scope": ", ".join(scopes[best]),
        "answer": f"{sentence(overall, pooled, best, changed)} {_limits(*scopes[best])}",
        "metric": str(pooled["metric"].iloc[0]),
        "margin": _number(pooled["margin"].iloc[0]),
        "family": int(pooled["p"].notna().sum()),
        "arms": {arm: _describe(row) | {"scope": ", ".join(scopes[arm])} for arm, row in synthetic.iterrows()},
        "controls": {arm: _describe(row) for arm, row in pooled[pooled["dose"] == 0].iterrows()},
    }


def headline(answer: Mapping[str, Any]) -> str:
    """The answer (of `verdict`) in half a line: "Yes" of synthetic images as such only where the generators of the best
    arm were trained anew, as one training may be a lucky one."""
    if answer["verdict"] == "helps" and not answer.get("scope", "").startswith(ANEW):
        return "Yes: these synthetic images help."
    return HEADLINES[answer["verdict"]]


def sentence(overall: str, pooled: pd.DataFrame, best: str, changed: Sequence[str] = ()) -> str:
    """The study's verdict `overall` in plain English; `best`: an arm; `pooled` (indexed by arm) and `changed` as in
    `verdict`."""
    row, synthetic = pooled.loc[best], pooled[pooled["dose"] > 0]
    helping, harming, otherwise = _found(synthetic, changed)
    worse = ""
    if len(otherwise):
        worse = f" Worse, but by other ways than adding images to all real ones: {' and '.join(otherwise)}."
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
            f"No evidence that synthetic data helps or harms: {best} has {effect}, but with {size} the part of chance "
            "cannot be known."
        )
    together = f"{_points(row['low_simultaneous'])} to {_points(row['high_simultaneous'])}"
    effect += f" ({100 * row['confidence']:g} % interval {together}, for all arms at once"
    effect += f"; adjusted p {_p(row['p_adjusted'])})"
    seen = (
        f"an effect below {100 * row['minimum_detectable_effect']:.1f} points could easily have been missed with {size}"
    )
    if overall == "helps":
        text = (
            f"Synthetic data helps: best arm {best}, {effect}; {len(helping)} of {len(synthetic)} synthetic arms help"
        )
        if len(harming):
            text += f" and {len(harming)} {'harms' if len(harming) == 1 else 'harm'}"
        text += f", judged by {size}."
        controls = pooled.index[(pooled["dose"] == 0) & (pooled["verdict"] == "helps")]
        if len(controls):
            text += f" So does {' and '.join(controls)}, without synthetic images."
        return text + worse
    if overall == "harms":
        adding = _count(len(synthetic.index.difference(changed)), "arm")
        return (
            f"Synthetic data harms in {len(harming)} of {adding} with all real images, and no arm helps: "
            f"best arm {best}, {effect}; {seen}.{worse}"
        )
    return f"No evidence that synthetic data helps or harms: best arm {best}, {effect}; {seen}.{worse}"


def _found(synthetic: pd.DataFrame, changed: Sequence[str]) -> tuple[pd.Index, pd.Index, pd.Index]:
    """The arms that help, those that harm by what they add, and those that are worse but `changed`."""
    worse, other = synthetic["verdict"] == "harms", synthetic.index.isin(changed)
    return tuple(synthetic.index[which] for which in (synthetic["verdict"] == "helps", worse & ~other, worse & other))


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


NUMBERS = ["effect", "standard_error", "low", "high", "low_simultaneous", "high_simultaneous", "p", "p_adjusted"]
NUMBERS += ["p_equivalence", "p_equivalence_adjusted", "minimum_detectable_effect"]
COUNTS = ["n_images", "n_patients", "n_classifiers", "n_repeats", "n_seeds", "n_generator_seeds", "n_draws"]
HEADLINES = {
    "helps": "Yes: synthetic images help.",
    "harms": "Some ways of using synthetic images harm; none helps.",
    "no evidence": "No evidence that synthetic images help.",
}
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


def _points(fraction: float) -> str:
    return f"{100 * fraction:+z.1f}"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
