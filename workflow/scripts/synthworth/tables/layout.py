"""What the tables share: a table with what must stand beside it, and numbers as text."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class Table:
    """A display frame (text as it is to be read) with what must stand beside it.

    `remarks` are sentences for the note below; `group`, where set, names the first column, which groups the rows.
    """

    frame: pd.DataFrame
    caption: str
    remarks: list[str] = field(default_factory=list)
    group: str | None = None


def grid(
    scores: pd.DataFrame, rows: list[str], column: str, text: list[str], order: Iterable[str] | None = None
) -> pd.DataFrame:
    """Text laid out as `rows` x the values of `column`, in order of appearance or in `order`; blanks for what lacks."""
    order = list(scores[column].unique() if order is None else order)
    if scores.empty:
        return pd.DataFrame(columns=[*rows, *order])
    grid = scores.assign(text=text).pivot_table(index=rows, columns=column, values="text", aggfunc="first", sort=False)
    present = [name for name in order if name in grid.columns]
    return grid.reindex(columns=present).fillna("").reset_index().rename_axis(columns=None)


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number as text, a blank where it is missing; what rounds to zero has no minus, for it is not below zero."""
    return "" if pd.isna(value) else f"{value:{'+' if signed else ''}z.{decimals}f}"


def mean_and_sd(cell: pd.Series, factor: float = 1, decimals: int = 2) -> str:
    """`mean ± sd`; the mean alone where there is no spread to speak of (one run), and a blank where there is none."""
    mean = number(factor * cell["mean"], decimals)
    if pd.isna(cell["mean"]) or pd.isna(cell["sd"]) or cell["n"] < 2:
        return mean
    return f"{mean} ± {number(factor * cell['sd'], decimals)}"


def span(numbers: pd.Series) -> str:
    """`50`, or `19 to 130` where the numbers differ; `?` where none is known."""
    known = numbers.dropna()
    if known.empty:
        return "?"
    low, high = int(known.min()), int(known.max())
    return f"{low}" if low == high else f"{low} to {high}"


def p_value(p: float) -> str:
    """`0.034`, or `< 0.001`; a blank where there is none."""
    if pd.isna(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
