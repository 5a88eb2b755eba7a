"""The files of scores that ratings become, each written at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from synthworth.cells import read_scores
from synthworth.files import replacing
from synthworth.ratings.agreement import rating_agreement
from synthworth.ratings.comparisons import rating_tests
from synthworth.ratings.correlations import rating_correlations
from synthworth.ratings.discrimination import rating_discrimination
from synthworth.ratings.preferences import preferences
from synthworth.ratings.summaries import summarise_ratings


def write_summary(
    rows: str | Path, summary: str | Path, *, generators: Sequence[str], classes: Sequence[str], ddof: int
) -> None:
    """Reads rating_rows.csv and writes the frame of `summarise_ratings` as a CSV."""
    _write_csv(summarise_ratings(read_scores(rows), generators, classes, ddof), summary)


def write_preferences(
    rows: str | Path,
    output: str | Path,
    *,
    generators: Sequence[str],
    classes: Sequence[str],
    confidence: float,
) -> None:
    """Reads rating_rows.csv and writes the frame of `preferences` as a CSV."""
    _write_csv(preferences(read_scores(rows), generators, classes, confidence), output)


def write_comparisons(
    rows: str | Path,
    tests: str | Path,
    agreement: str | Path,
    discrimination: str | Path,
    *,
    generators: Sequence[str],
    confidence: float,
) -> None:
    """Reads rating_rows.csv and writes three CSVs: `rating_tests`, `rating_agreement` and `rating_discrimination`."""
    read = read_scores(rows)
    _write_csv(rating_tests(read), tests)
    _write_csv(rating_agreement(read, confidence), agreement)
    _write_csv(rating_discrimination(read, generators, confidence), discrimination)


def write_correlations(
    rows: str | Path,
    fidelity: str | Path,
    comparisons: str | Path,
    output: str | Path,
    *,
    arms: Mapping[str, str],
    seed: int,
) -> None:
    """Reads rating_rows.csv, fidelity.csv and comparisons.csv and writes `rating_correlations` as a CSV."""
    frames = [read_scores(path) for path in (rows, fidelity, comparisons)]
    _write_csv(rating_correlations(*frames, arms, seed), output)


def _write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)
