"""What must be said beside scores of fidelity, in Table 5 and in the table of all of them."""

from collections.abc import Iterable

import pandas as pd

from synthworth.figure_style import MEASURE, metric_label

# What a floor is the median of, by the reference of its score.
FLOORS = {
    "train": "between disjoint sets of real training images",
    "select": "between sets of real training images and the held-out images",
    "": "of sets of real training images",
}


def floor_meanings(references: Iterable[str]) -> dict[str, str]:
    """What the floors of scores with these references are the median of, by reference, in one order."""
    present = set(references)
    return {reference: text for reference, text in FLOORS.items() if reference in present}


def best_of_many(scores: pd.DataFrame) -> list[str]:
    """That the scores by which checkpoints were chosen flatter the chosen ones; nothing of a single checkpoint.

    `scores` are all rows of `scores/fidelity.csv`, of which `selected_by` names those that were chosen by.
    """
    if "selected_by" not in scores:
        return []
    chosen_by = scores[scores["selected_by"].eq(True)]
    counts = chosen_by.groupby("generator", sort=False)["step"].nunique()
    if not counts.gt(1).any():
        return []
    listed = ", ".join(f"{count} ({name})" for name, count in counts.items())
    names = " and ".join(_labels(chosen_by))
    return [
        f"Chosen by {names}, of these same images, among so many checkpoints: {listed}. The best of many is lucky: "
        "with new images the chosen ones would be expected to score worse."
    ]


def blanks(chosen: pd.DataFrame) -> list[str]:
    """Why scores, or parts of them, and floors are missing from the rows of the selected checkpoints."""
    remarks = []
    for column, what in (("reason", "Missing"), ("floor_reason", "No floor")):
        # The published scores have no such column.
        lacking = chosen[chosen[column] != ""] if column in chosen else pd.DataFrame(columns=["class", column])
        for (name, reason), rows in lacking.groupby(["class", column], sort=False):
            # A floor is that of all generators.
            whose = f"{name} ({', '.join(rows['generator'].unique())})" if column == "reason" else name
            remarks.append(f"{what} for {whose}, {', '.join(_labels(rows))}: {reason}.")
    return remarks


def _labels(scores: pd.DataFrame) -> list[str]:
    """The names of the scores, those that were measured with the same things together."""
    together: dict[tuple[str, str], list[str]] = {}
    for metric, *made_with in scores[MEASURE].fillna("").drop_duplicates().itertuples(index=False, name=None):
        together.setdefault(tuple(made_with), []).append(metric)
    return [
        ", ".join([*(metric_label(metric, "", "") for metric in metrics[:-1]), metric_label(metrics[-1], *made_with)])
        for made_with, metrics in together.items()
    ]
