"""The cohort in numbers: who is in which split and class, and which pictures are there twice."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from synthworth.files import replacing
from synthworth.findings import ABSENT, MASKED, PRESENT
from synthworth.manifest import SPLITS, read_index

ALL = "all"
UNKNOWN = "unknown"
CONTRADICTORY = "contradictory"
# Units of DICOM's age strings (058Y, 011M), which data sets hand on.
UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
# What the images of a split say of a finding.
STATUS = {"present": PRESENT, "absent": ABSENT, "uncertain": MASKED}
AGE_GROUPS = ["<20", *(f"{decade}–{decade + 9}" for decade in range(20, 90, 10)), "≥90"]


def demographics(index: pd.DataFrame) -> pd.DataFrame:
    """Table 1 of Schaudt et al. 2023, of the columns `age`, `sex` and `view` that the index has.

    `index` has a row per image, with `patient` and `split`. The result has the columns `variable` (age, sex, view),
    `group`, `split`, `count` and `percent` (of the split's patients for age and sex, of its images for view, where
    nobody says it in group `unknown`), and `mean` and `sd`: years, of the group `all` of age alone, whose `count` is
    the number of patients with a known age. A patient counts once: with the mean of the ages at their images, and
    with their sex, or as `contradictory` where the images have two. sd is the sample's (n - 1).
    """
    tables = []
    patients = index.groupby("patient", sort=False)
    if "age" in index:
        ages = parse_ages(index["age"]).groupby(index["patient"], sort=False).mean()
        people = pd.DataFrame({"age": ages, "split": patients["split"].first()})
        by_split = people.groupby("split")["age"]
        summary = pd.DataFrame({"count": by_split.count(), "mean": by_split.mean(), "sd": by_split.std()})
        summary = summary.loc[_present(people["split"])].rename_axis("split")
        tables.append(summary.reset_index().assign(variable="age", group=ALL))
        tables.append(_shares("age", _age_groups(ages), people["split"], AGE_GROUPS))
    if "sex" in index:
        sexes = patients["sex"].agg(_sex)
        tables.append(_shares("sex", sexes, patients["split"].first(), []))
    if "view" in index:
        tables.append(_shares("view", index["view"].replace("", UNKNOWN), index["split"], []))
    columns = ["variable", "group", "split", "count", "percent", "mean", "sd"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns) if tables else pd.DataFrame(columns=columns)


def class_counts(index: pd.DataFrame, findings: Sequence[str] = ()) -> pd.DataFrame:
    """Table 2 of Schaudt et al. 2023: `class`, `split`, `images`, `percent` (of the split's images) and `patients`.

    Classes in the order of the index, those of the group `all` last; splits in the order train, select, test. A
    patient with images of two classes counts in each, but once in `all`. Of a study of `findings` the same of each of
    them, as rows of class `all` with a `finding` and its `status`: present, absent or uncertain (masked).
    """
    if findings:
        said = {value: status for status, value in STATUS.items()}
        rows = [
            _counts(index.assign(status=index[name].map(said)), "status", list(STATUS)).assign(
                finding=name, **{"class": ALL}
            )
            for name in findings
        ]
        return pd.concat([class_counts(index), *rows], ignore_index=True)
    counts = _counts(index, "class", dict.fromkeys(index["class"]))
    return pd.concat([counts, _counts(index.assign(**{"class": ALL}), "class", [ALL])], ignore_index=True)


def _counts(index: pd.DataFrame, column: str, names: Iterable[str]) -> pd.DataFrame:
    """`column`, a value of `names` each, with `split`, `images`, `percent` (of the split's images) and `patients`."""
    splits = _present(index["split"])
    grid = pd.MultiIndex.from_product([list(names), splits], names=[column, "split"])
    groups = index.groupby([column, "split"])["patient"]
    counts = pd.DataFrame({"images": groups.size(), "patients": groups.nunique()}).reindex(grid, fill_value=0)
    counts = counts.reset_index()
    counts.insert(3, "percent", 100 * counts["images"] / counts["split"].map(index["split"].value_counts()))
    return counts


def duplicates(index: pd.DataFrame, near_duplicates: pd.DataFrame) -> pd.DataFrame:
    """The pairs of `duplicates.near_duplicates` with what the index says of both images, exact copies first.

    Columns `kind` (`exact`: the same file content; `near`), `image_a`, `image_b`, and for both `patient_`, `class_`
    and `split_`, then `distance` in bits of 256.
    """
    facts = index.set_index("image")
    a, b = facts.loc[near_duplicates["image_a"]], facts.loc[near_duplicates["image_b"]]
    frame = pd.DataFrame({"image_a": near_duplicates["image_a"], "image_b": near_duplicates["image_b"]})
    for column in ("patient", "class", "split"):
        frame[f"{column}_a"], frame[f"{column}_b"] = a[column].to_numpy(), b[column].to_numpy()
    frame["distance"] = near_duplicates["distance"]
    exact = a["sha256"].to_numpy() == b["sha256"].to_numpy()
    frame.insert(0, "kind", pd.Series(exact, frame.index).map({True: "exact", False: "near"}))
    return frame.sort_values(["kind", "distance", "image_a", "image_b"], ignore_index=True)


def describe_data(
    indices: Sequence[str | Path], near_duplicates: str | Path, *, findings: Sequence[str] = (), **outputs: str | Path
) -> None:
    """Writes the tables `demographics`, `classes` and `duplicates` as CSV, each to its path in `outputs`.

    `indices` and `near_duplicates` are the CSVs of `splits.write_splits`; or an index of images that are in one split
    now and in another then: they count as one split, `all`. `findings` are columns of the indices.
    """
    index = pd.concat([read_index(path) for path in indices], ignore_index=True)
    if "split" not in index:
        index = index.assign(split=ALL)
    pairs = pd.read_csv(near_duplicates, dtype=str, keep_default_na=False).astype({"distance": int})
    tables = {
        "demographics": demographics(index),
        "classes": class_counts(index, findings),
        "duplicates": duplicates(index, pairs),
    }
    for name, output in outputs.items():
        with replacing(output) as temporary:
            tables[name].to_csv(temporary, index=False)


def parse_ages(ages: pd.Series) -> pd.Series:
    """Ages in years from text: plain numbers, or DICOM age strings (058Y, 011M, 003W, 020D); NaN for anything else."""
    parts = ages.astype(str).str.extract(r"^\s*(\d+(?:\.\d+)?)\s*([YMWD]?)\s*$")
    return parts[0].astype(float) / parts[1].replace("", "Y").map(UNITS_PER_YEAR).astype(float)


def _age_groups(ages: pd.Series) -> pd.Series:
    """The decades of Table 1."""
    edges = [float("-inf"), *range(20, 100, 10), float("inf")]
    groups = pd.cut(ages, edges, right=False, labels=AGE_GROUPS)
    return groups.astype(object).fillna(UNKNOWN)


def _sex(values: pd.Series) -> str:
    known = sorted({value for value in values if value})
    return UNKNOWN if not known else known[0] if len(known) == 1 else CONTRADICTORY


def _shares(variable: str, groups: pd.Series, splits: pd.Series, order: list[str]) -> pd.DataFrame:
    """Counts and percent of each group in each split: groups in `order`, then by name, `unknown` last."""
    present = set(groups)
    others = sorted(present - set(order) - {UNKNOWN})
    names = [name for name in (*order, *others, UNKNOWN) if name in present]
    cases = pd.DataFrame({"group": groups.to_numpy(), "split": splits.to_numpy()})
    grid = pd.MultiIndex.from_product([names, _present(splits)], names=["group", "split"])
    count = cases.value_counts().reindex(grid, fill_value=0)
    percent = 100 * count / count.groupby("split").transform("sum")
    return pd.DataFrame({"count": count, "percent": percent}).reset_index().assign(variable=variable)


def _present(splits: pd.Series) -> list[str]:
    return [split for split in (*SPLITS, ALL) if (splits == split).any()]
