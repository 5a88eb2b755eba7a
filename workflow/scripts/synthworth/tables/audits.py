"""Tables of what scores can hide: images of the wrong class, images that give away their origin, blind metrics."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from synthworth.detector import ALL, is_null
from synthworth.label_fidelity import HELD_OUT
from synthworth.memorization.summaries import BEYOND, LEVEL, SCORES, false_alarms
from synthworth.tables.layout import Table, grid, number, span


def recognition(scores: pd.DataFrame, baseline: str) -> Table:
    """The recall of each class among each generator's images, and among held-out real ones."""
    findings = "auroc" in scores
    word = "finding" if findings else "class"
    text = [_share(row.recall, row.low, row.high) for row in scores.itertuples()]
    if findings:
        areas = ["" if pd.isna(area) else f"; {area:.2f}" for area in scores["auroc"]]
        text = [f"{share}{area}" for share, area in zip(text, areas, strict=True)]
    frame = grid(scores, ["source"], "class", text).rename(columns={"source": "Images"})
    off = scores[scores["reading"].isin(["below real", "above real"])]
    named = "; ".join(f"{row.source}, {row['class']}: {row.reading}" for _, row in off.iterrows())
    taken = "are meant to show a finding in which it is seen" if findings else "of a class that are taken for it"
    remarks = [
        f"Per cent of the images {'that ' * findings}{taken}, with intervals, by the first classifier of the arm "
        f"{baseline}, which has real images alone, the mean of its runs; {span(scores['n'])} images of a {word}.",
        *["Then the AUROC of telling these from images that are meant not to show it."] * findings,
        f"Beyond their intervals off the real ones: {named}."
        if named
        else "No generator is off the real ones beyond its interval.",
        *["The classifier hardly tells held-out real images apart: what it says of synthetic ones means nothing."]
        * (not findings and _is_blind(scores)),
        "The held-out images also chose the classifier's epoch: their row is a little high.",
    ]
    caption = f"Images recognised as their {word} (%{' and AUROC' if findings else ''})"
    return Table(frame, caption, remarks if len(frame) else [])


def _is_blind(scores: pd.DataFrame) -> bool:
    """Whether held-out real images are recognised no better than by guess: their mean recall, by its 95 % interval."""
    real = scores[scores["source"] == HELD_OUT]
    # Of a recall of 0 or 1 the plain variance would be none.
    shares = (real["recognised"] + 1) / (real["n"] + 2)
    error = (shares * (1 - shares) / (real["n"] + 2)).sum() ** 0.5 / len(real)
    return bool(real["recall"].mean() - 1.96 * error <= 1 / len(real))


def detection(scores: pd.DataFrame, baseline: str) -> Table:
    """The AUROC of telling each generator's images from held-out real ones."""
    text = [_auroc(row.auroc, row.low, row.high) for row in scores.itertuples()]
    frame = grid(scores, ["generator"], "class", text).rename(columns={"generator": "Images", "all": "All classes"})
    of_class, null = scores["class"] != ALL, is_null(scores["generator"])
    own, halves = scores[of_class & ~null], scores[of_class & null]
    remarks = [
        "AUROC, with intervals, of a linear detector of synthetic images on images that it was not fitted to; 0.5: "
        "they cannot be told apart. First rows: one half of the real images against the other, at each size of "
        "generators' images.",
        f"Of a class n = {span(own['n_real'])} held-out real and {span(own['n_synthetic'])} synthetic images; in a "
        f"half {span(pd.concat([halves['n_real'], halves['n_synthetic']]))} real ones. Empty where too few.",
    ]
    return Table(frame, "Can synthetic images be told from real ones?", remarks if len(frame) else [])


def memorization(scores: pd.DataFrame, baseline: str) -> Table:
    """The audit's scores of the chosen checkpoints, each beside what real images have, and its power."""
    chosen = scores[scores["selected"].eq(True)]
    text = [
        f"{_number(row.value)} [{_number(row.low)}, {_number(row.high)}]{_beyond(row)}; "
        f"real {_number(row.reference_low)} to {_number(row.reference_high)}; power {100 * row.power:.0f} %"
        for row in chosen.itertuples()
    ]
    frame = grid(chosen, ["class", "generator"], "score", text)
    frame = frame.rename(columns={"class": "Class", "generator": "Generator"} | SCORES)
    powers = "; ".join(f"{SCORES[score]}: {_planted(own)}" for score, own in chosen.groupby("score", sort=False))
    flagged = chosen[chosen["score"] == "flagged"].groupby("class", sort=False)
    alarms = "; ".join(f"{name}: {false_alarms(own)}" for name, own in flagged)
    remarks = [
        "Each score with its interval; what 95 % of equally many real images that were not trained on have; and its "
        f"power, the share that it finds of planted ones ({powers}).",
        f"So many of those are flagged where real images of new patients are in at most, with the interval: {alarms}. "
        "Few patients vouch for no low rate.",
        f"{_words(chosen['score'].unique())}: beyond what real images have, at 5 % over all {len(chosen)} scores "
        f"together (after Holm). With “?”: at 5 % by itself, as {LEVEL * len(chosen):.1f} of so many would be by "
        "chance, and as power is told. For AuthPct and the gap the 5 % may be 9: in simulations so many sets of real "
        "points were beyond. A score of little power says nothing when it finds nothing. "
        "The words go by how far a score is from that of the held-out images at hand, which takes their luck off both: "
        "it may lie outside the range of real images without a word, and inside with one.",
        "Nearer to the training images than real ones lie copies, but also images that are less varied than real ones. "
        "Those of a generator that overfits are nearer to its own training images than to others of their kind: it "
        "remembers the set, which is no evidence that any one image is a copy. Of copies speak the flags alone.",
    ]
    caption = "Does a generator copy its training images?"
    return Table(frame, caption, remarks if len(frame) else [], "Class")


def _planted(scores: pd.DataFrame) -> str:
    told = scores["power_of"].iloc[0]
    if scores["power_images"].max() == 1:
        return told
    return f"{told} ({span(scores['power_copies'])} of {span(scores['power_images'])} images)"


def _words(scores: Iterable[str]) -> str:
    """What is said of scores that are beyond real ones, each time with the scores of which it is said."""
    told: dict[str, list[str]] = {}
    for score in scores:
        told.setdefault(BEYOND[score], []).append(SCORES[score])
    return "; ".join(f"“{word}” ({', '.join(names)})" for word, names in told.items())


def _beyond(row: Any) -> str:
    if row.p_adjusted <= LEVEL:
        return f"; {BEYOND[row.score]}"
    return f"; {BEYOND[row.score]}?" if row.p <= LEVEL else ""


def _number(value: float) -> str:
    return number(value, 0 if abs(value) >= 10 else 2)


def _share(recall: float, low: float, high: float) -> str:
    if pd.isna(recall):
        return ""
    return f"{100 * recall:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _auroc(auroc: float, low: float, high: float) -> str:
    return "" if pd.isna(auroc) else f"{number(auroc)} [{number(low)}, {number(high)}]"
