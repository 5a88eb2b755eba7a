"""Readers' files and the keys of the kits, joined: a row per reader, item and score."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.ratings.exports import Export, read_export
from synthworth.ratings.keys import items_of, read_keys
from synthworth.ratings.scales import SCALES
from synthworth.ratings.validation import item_name, rating_problems, score_value

COLUMNS = ["kit", "mode", "reader", "item", "score", "value", "source", "class", "identity", "against", "repeats"]
COLUMNS += ["file", "seconds"]


def join_ratings(exports: Sequence[Export], keys: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each score that a reader was asked for, columns COLUMNS; `value` is NaN where none was given.

    By reader and kit in the order of the files, then by score, then in the order of the kit. `source` is `real` or a
    generator, `class` and `identity` say which of its images; in a pair they are those of the synthetic image, and
    `against` is the identity of the real one. `repeats` is the item that this one shows again, or empty. A preference
    is turned so that it is positive where the real image was preferred, whichever side it was on. `file` is the image
    (in a pair, the synthetic one) within the kit, `seconds` what the reader took for the item. `keys` as of
    `keys.read_keys`. Raises one StudyError that lists every problem of `validation.rating_problems`.
    """
    problems = list(rating_problems(exports, keys))
    if problems:
        raise StudyError(f"The ratings cannot be used as they are (problems: {len(problems)}).", problems)
    given = pd.concat([export.rows for export in exports], ignore_index=True)
    frames = []
    for (reader, kit), rows in given.groupby(["reader", "kit"], sort=False):
        rows = rows.set_index(rows["item"].map(lambda item, key=keys[kit]: item_name(item, key)))
        items = items_of(keys[kit]).assign(reader=reader)
        items["seconds"] = pd.to_numeric(items["item"].map(rows["seconds"]), errors="coerce")
        for score in SCALES[items["mode"].iloc[0]]:
            values = items["item"].map(rows[score].map(score_value)).astype(float)
            # Plus 0: no minus before a zero.
            frames.append(items.assign(score=score, value=values * items["sign"] + 0.0))
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def write_rows(
    ratings: Sequence[str | Path],
    open_keys: Sequence[str | Path],
    sealed_keys: Sequence[str | Path],
    rows: str | Path,
    *,
    passphrase: str,
) -> None:
    """Reads the readers' files `ratings` and the keys (`keys.read_keys`) and writes `join_ratings` of them as a CSV."""
    joined = join_ratings([read_export(path) for path in ratings], read_keys(open_keys, sealed_keys, passphrase))
    with replacing(rows) as temporary:
        joined.to_csv(temporary, index=False)
