"""What is wrong with readers' ratings, held against the keys of the kits: a line each, with its place and remedy."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import pandas as pd

from synthworth.ratings.exports import AGAIN, SCORES, Export
from synthworth.ratings.scales import ALL, SCALES

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+(\.0*)?")
SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
# (reader, kit, item)
Item = tuple[str, str, str]


def rating_problems(exports: Sequence[Export], keys: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """All problems of the files and of their rows; `keys` as of `keys.read_keys`."""
    modes = {kit: key["mode"].iloc[0] for kit, key in keys.items()}
    for export in exports:
        yield from export.problems
        yield from _unknown_kits(export, modes)
        yield from _other_modes(export, modes)
        yield from _missing_scores(export, modes)
        for row in export.rows[export.rows["mode"] == export.rows["kit"].map(modes)].to_dict("records"):
            yield from _row_problems(export.path, row, keys[row["kit"]])
    yield from _spellings(exports)
    rated: list[dict[Item, tuple[str, ...]]] = []
    for export in exports:
        rated.append({})
        yield from _repetitions(export, keys, rated[-1])
    for (first, one), (second, other) in combinations(zip(exports, rated, strict=True), 2):
        yield from _rated_in_both(first.path, second.path, one, other)


def item_name(item: str, key: pd.DataFrame) -> str:
    """An item as the key has it: spreadsheet programs take the zeros off its front."""
    return item.zfill(len(key["item"].iloc[0]))


def score_value(text: str) -> float:
    """A valid score as a number; NaN for an empty one. `3.0` is 3."""
    return float(text) if text else float("nan")


def _unknown_kits(export: Export, modes: Mapping[str, str]) -> Iterator[str]:
    known = ", ".join(f"{kit} ({mode})" for kit, mode in modes.items()) or "none"
    for kit, rows in export.rows[~export.rows["kit"].isin(modes)].groupby("kit", sort=False):
        yield (
            f"{export.path}, {_lines(rows)}: of kit {kit!r} ({rows['mode'].iloc[0]}) the study has no key, only of "
            f"{known}; if it was made before the study changed, or of a mode that assessment.modes does not have, name "
            f"its folder as it was handed out: {{file: {export.path}, kit: path/to/kit}}; else take the file out of "
            "assessment.ratings"
        )


def _other_modes(export: Export, modes: Mapping[str, str]) -> Iterator[str]:
    known = export.rows[export.rows["kit"].isin(modes)]
    for (kit, mode), rows in known.groupby(["kit", "mode"], sort=False):
        if mode != modes[kit]:
            yield f"{export.path}, {_lines(rows)}: mode {mode!r}, but kit {kit} is of mode {modes[kit]!r}; {AGAIN}"


def _missing_scores(export: Export, modes: Mapping[str, str]) -> Iterator[str]:
    for mode in dict.fromkeys(modes[kit] for kit in export.rows["kit"].unique() if kit in modes):
        missing = [score for score in SCALES[mode] if score not in export.columns]
        if missing:
            yield f"{export.path}: missing columns: {', '.join(missing)}, which a kit of mode {mode} asks for; {AGAIN}"


def _row_problems(path: str, row: Mapping[str, str], key: pd.DataFrame) -> Iterator[str]:
    where = f"{path}, row {row['row']}, item {row['item']}"
    if not row["reader"]:
        yield f"{where}: no reader; write the reader's name, or a pseudonym, into `reader`"
    if row["reader"].casefold() == ALL:
        yield f"{where}: tables call all readers together {ALL!r}; write another name into `reader`"
    if item_name(row["item"], key) not in set(key["item"]):
        there = f"{key['item'].iloc[0]} to {key['item'].iloc[-1]}"
        yield f"{where}: kit {row['kit']} has no such item (it has {there}); correct it, or delete the row"
    for score, (low, high) in SCALES[row["mode"]].items():
        value = row[score]
        if value and not (WHOLE_NUMBER.fullmatch(value) and low <= float(value) <= high):
            yield (
                f"{where}: {score} {value!r} is no whole number from {low} to {high}; correct it with the reader, or "
                "leave the field empty"
            )
    if row["seconds"] and not SECONDS.fullmatch(row["seconds"]):
        yield f"{where}: seconds {row['seconds']!r} is no number; correct it, or leave the field empty"


def _spellings(exports: Sequence[Export]) -> Iterator[str]:
    spelt: dict[str, str] = {}
    for export in exports:
        for reader in export.rows["reader"].unique():
            first = spelt.setdefault(" ".join(reader.casefold().split()), reader)
            if first != reader:
                yield (
                    f"{export.path}: readers {first!r} and {reader!r}: one or two? Spell the name alike in all files, "
                    "or make two names of it"
                )


def _repetitions(export: Export, keys: Mapping[str, pd.DataFrame], rated: dict[Item, tuple[str, ...]]) -> Iterator[str]:
    """Items that stand in several rows of a file; fills `rated` with the scores of each item's first row."""
    lines: dict[Item, int] = {}
    for row in export.rows[export.rows["kit"].isin(keys)].to_dict("records"):
        item = (row["reader"], row["kit"], item_name(row["item"], keys[row["kit"]]))
        scores = tuple(row[score] for score in SCORES)
        if item in rated:
            same = "the same scores" if scores == rated[item] else "other scores"
            yield (
                f"{export.path}, row {row['row']}, item {row['item']}: reader {row['reader']!r} rated it in row "
                f"{lines[item]} too, with {same}; delete one of the rows"
            )
        else:
            rated[item], lines[item] = scores, row["row"]


def _rated_in_both(
    first: str, second: str, one: Mapping[Item, tuple[str, ...]], other: Mapping[Item, tuple[str, ...]]
) -> Iterator[str]:
    """Readers of a kit who rated the same items in two files: a file given twice, or an earlier and a later export."""
    shared: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for item in one:
        if item in other:
            shared[item[:2]].append(one[item] == other[item])
    for (reader, kit), same in shared.items():
        sizes = [sum(item[:2] == (reader, kit) for item in own) for own in (one, other)]
        both = f"{first} and {second}: reader {reader!r} rated {len(same)} items of kit {kit} in both"
        if all(same) and sizes == [len(same)] * 2:
            yield f"{both}, with the same scores; take one of the files out of assessment.ratings"
            continue
        more = "" if sizes[0] == sizes[1] else f" ({first if sizes[0] > sizes[1] else second} has more)"
        yield (
            f"{both}, {same.count(False)} of them with other scores ({sizes[0]} and {sizes[1]} items in all): an "
            f"earlier and a later export? Keep the later one{more}, and take the other out of assessment.ratings"
        )


def _lines(rows: pd.DataFrame) -> str:
    first, last = rows["row"].iloc[0], rows["row"].iloc[-1]
    return f"row {first}" if first == last else f"rows {first} to {last}"
