"""The files that readers exported from a kit, as they are: text, and what is wrong with the file as a whole.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from synthworth.csv_files import other_delimiter, read_records
from synthworth.errors import StudyError
from synthworth.ratings.scales import SCALES

NAMES = ["kit", "mode", "reader", "item"]
SCORES = [score for scores in SCALES.values() for score in scores]
COLUMNS = [*NAMES, *SCORES, "seconds"]
AGAIN = "give the file as the kit's page exported it"


@dataclass(frozen=True)
class Export:
    """A reader's file: its `path`, the `columns` that it has, its `rows` (frame of `row`, the line in the file, int,
    and the text columns COLUMNS, empty where the file has none) and the `problems` of the file as a whole.
    """

    path: str
    columns: list[str]
    rows: pd.DataFrame
    problems: list[str]


def read_export(path: str | Path) -> Export:
    """A reader's file; where it has not the structure of one: problems and no rows. Further columns are let be."""
    try:
        records = read_records(path, "")
    except StudyError as error:
        return Export(str(path), [], _frame([], []), [f"{path}: {problem}" for problem in error.problems])
    header, *records = records or [(1, [])]
    columns = header[1]
    problems = list(_problems(columns, records))
    rows = _frame([] if problems else columns, records)
    return Export(str(path), columns, rows, [f"{path}{problem}" for problem in problems])


def rated_modes(paths: Iterable[str | Path]) -> list[str]:
    """The modes that are rated in files, in the order of SCALES."""
    found = {mode for path in paths for mode in read_export(path).rows["mode"]}
    return [mode for mode in SCALES if mode in found]


def _frame(columns: list[str], records: list[tuple[int, list[str]]]) -> pd.DataFrame:
    known = [name for name in COLUMNS if name in columns]
    rows = [[line, *(fields[columns.index(name)] for name in known)] for line, fields in records if known]
    frame = pd.DataFrame(rows, columns=["row", *known])
    return frame.reindex(columns=["row", *COLUMNS], fill_value="").astype(dict.fromkeys(COLUMNS, str))


def _problems(columns: list[str], records: list[tuple[int, list[str]]]) -> Iterator[str]:
    missing = [name for name in NAMES if name not in columns]
    delimiter = other_delimiter(columns)
    if not columns:
        yield f": the file is empty; {AGAIN}"
    elif missing and delimiter:
        yield (
            f": its columns are separated by {delimiter}, not by commas: a spreadsheet program has saved it anew; "
            f"{AGAIN}, or save it as a CSV with commas"
        )
    elif missing:
        yield f": missing columns: {', '.join(missing)} (found: {', '.join(columns)}); {AGAIN}"
    elif not records:
        yield ": it holds no rating; export it again, or take it out of assessment.ratings"
    if missing:
        return
    for name in sorted({name for name in columns if name and columns.count(name) > 1}):
        yield f": column `{name}` stands there twice; {AGAIN}"
    for line, fields in records:
        if len(fields) < len(columns) or any(fields[len(columns) :]):
            yield (
                f", row {line}: {len(fields)} fields, but the header has {len(columns)}; put a name that holds a comma "
                'into double quotes ("..."), and write scores without one'
            )
