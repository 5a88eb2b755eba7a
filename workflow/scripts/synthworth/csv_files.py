"""CSV files that users write or save anew: their records, or what is wrong with the file. Imports stay light."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from synthworth.errors import StudyError

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_records(path: str | Path, title: str) -> list[tuple[int, list[str]]]:
    """The records of a CSV file (UTF-8, with or without a mark of its byte order), the header first.

    Each with the line that it begins in; fields are stripped, and records without any text left out. Raises StudyError
    `title` where the file is no text, or its quotes are not closed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = "the file is no UTF-8 text; in a spreadsheet program save it as `CSV UTF-8 (comma delimited)`"
        raise StudyError(title, [problem]) from None
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    records, line = [], 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if any(stripped):
                records.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        raise StudyError(title, [f"row {line}: {error}; check the double quotes from that row on"]) from None
    return records


def other_delimiter(columns: Sequence[str]) -> str | None:
    """What separates the columns in place of commas, in words, where the names that were read hold such a mark."""
    mark = max(DELIMITERS, key=lambda mark: sum(column.count(mark) for column in columns))
    return DELIMITERS[mark] if any(mark in column for column in columns) else None
