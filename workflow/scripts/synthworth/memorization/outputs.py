"""The audit's files, CSV each."""

from pathlib import Path

import pandas as pd

from synthworth.files import replacing
from synthworth.memorization.audit import Reference

# A patient "007" is not number 7, and one named "NA" is there.
_TEXT = dict.fromkeys(
    [
        *("image", "patient", "nearest_image", "nearest_patient", "similar_image", "similar_patient", "other_image"),
        *("kind", "perturbation", "source", "score", "power_of"),
    ],
    str,
)


def read_reference(comparisons: str | Path, twins: str | Path) -> Reference:
    """The reference of a class from its two files."""
    return Reference(read_table(comparisons), read_table(twins))


def read_table(path: str | Path) -> pd.DataFrame:
    """Any of the audit's tables, with names as text and numbers to the last digit."""
    return pd.read_csv(path, dtype=_TEXT, keep_default_na=False)


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Writes any of the audit's tables."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
