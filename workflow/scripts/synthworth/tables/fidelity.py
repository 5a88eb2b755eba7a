"""The table of all scores of the selected checkpoints: how sure each is, and what real images have among themselves."""

from math import floor, log10

import pandas as pd

from synthworth.figure_style import MEASURE, metric_label
from synthworth.floors import smaller_floors
from synthworth.tables.layout import Table, grid, number, span
from synthworth.tables.remarks import best_of_many, blanks, floor_meanings

FLOOR_ROW = "real against real"
# What scores may have beside their values.
COLUMNS = ("low", "high", "floor", "standard_error")


def fidelity(scores: pd.DataFrame) -> Table:
    """Each score with its interval, generators x classes for each metric, the floor below.

    A score without interval stands alone; without floors their rows are left out.
    """
    chosen = scores[scores["selected"].eq(True) & (scores["class"] != "all")]
    chosen = chosen.reindex(columns=[*chosen.columns, *{*COLUMNS}.difference(chosen.columns)])
    chosen = chosen.fillna({"extractor": "", "reference": ""})
    floors = chosen.drop_duplicates([*MEASURE, "class"]).dropna(subset=["floor"])
    floors = floors.assign(generator=FLOOR_ROW, value=floors["floor"], low=None, high=None, standard_error=None)
    # The floor of a metric after its generators, whatever the order of the scores.
    rows = pd.concat([chosen, floors])
    place = {measure: place for place, measure in enumerate(dict.fromkeys(_measures(chosen)))}
    rows = rows.assign(place=[place[measure] for measure in _measures(rows)]).sort_values("place", kind="stable")
    rows = rows.assign(score=[metric_label(*measure) for measure in _measures(rows)])
    text = [_with_interval(row.value, row.low, row.high, row.standard_error) for row in rows.itertuples()]
    frame = grid(rows, ["score", "generator"], "class", text, chosen["class"].unique())
    frame = frame.rename(columns={"score": "Score", "generator": "Generator"})
    apart = smaller_floors(chosen)
    remarks = [
        f"{span(chosen['n_synthetic'])} synthetic images of a class, in brackets the interval.{_errors(chosen)}",
        f"{FLOOR_ROW.capitalize()}: the median of the same score {_floors(chosen)}, in the same numbers as far as "
        "there are that many (scores/fidelity.csv).",
        *([apart] if apart else []),
        *blanks(chosen),
        *best_of_many(scores),
    ]
    return Table(frame, "All scores of the selected checkpoints", remarks if len(frame) else [], "Score")


def _measures(scores: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(scores[MEASURE].itertuples(index=False, name=None))


def _with_interval(value: float, low: float | None, high: float | None, error: float | None) -> str:
    decimals = _decimals(value)
    shown = number(value, decimals)
    if not pd.isna(error):
        shown += f" ± {number(error, max(decimals, _decimals(error)))}"
    return shown if pd.isna(low) or pd.isna(high) else f"{shown} [{number(low, decimals)}, {number(high, decimals)}]"


def _floors(chosen: pd.DataFrame) -> str:
    """What the floors are the median of, for each reference where there are several."""
    meanings = floor_meanings(chosen["reference"])
    if len(meanings) == 1:
        return next(iter(meanings.values()))
    return "; ".join(f"{text} ({reference or 'no reference'})" for reference, text in meanings.items())


def _errors(chosen: pd.DataFrame) -> str:
    """What stands after ±, and why it does not where it does not."""
    kid = chosen[chosen["metric"] == "kid"]
    if kid.empty:
        return ""
    lacking = ", which fewer than 4 images on a side do not tell" if kid["standard_error"].isna().any() else ""
    return (
        f" ± is KID's standard error{lacking}. It takes each real image as independent of the others, while the "
        "interval leaves out whole patients: where patients have several images, go by the interval."
    )


def _decimals(value: float) -> int:
    """As many as tell scores apart: FID is of the order of 100, KID of 0.01; of a smaller KID two digits."""
    size = abs(value)
    if size >= 1:
        return 1 if size >= 100 else 2
    # What is below a millionth is rounding.
    return max(3, 1 - floor(log10(size))) if size > 1e-6 else 3
