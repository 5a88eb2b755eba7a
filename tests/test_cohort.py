import numpy as np
import pandas as pd
import pytest

from synthworth.cohort import class_counts, demographics, describe_data, duplicates, parse_ages

INDEX = pd.DataFrame(
    [
        ("1.png", "p1", "healthy", "train", "30", "F", "PA", "x"),
        ("2.png", "p1", "viral", "train", "32", "F", "AP", "x"),
        ("3.png", "p2", "healthy", "train", "019Y", "M", "PA", "y"),
        ("4.png", "p3", "viral", "train", "", "", "", "z"),
        ("5.png", "p4", "healthy", "test", "90", "F", "PA", "w"),
        ("6.png", "p4", "healthy", "test", "90", "M", "PA", "v"),
    ],
    columns=["image", "patient", "class", "split", "age", "sex", "view", "sha256"],
)


def cells(table, variable, split):
    """{group: row} of a variable in a split."""
    rows = table[(table["variable"] == variable) & (table["split"] == split)]
    return rows.set_index("group").to_dict("index")


def test_ages_count_each_patient_once():
    train = cells(demographics(INDEX), "age", "train")
    # p1 was imaged at 30 and 32, p2 at 19; nobody knows of p3.
    assert train["all"]["count"] == 2
    assert train["all"]["mean"] == 25
    assert train["all"]["sd"] == pytest.approx(np.std([31, 19], ddof=1))
    counts = {group: row["count"] for group, row in train.items() if group != "all"}
    assert counts == {"<20": 1, "30–39": 1, "≥90": 0, "unknown": 1}
    assert train["unknown"]["percent"] == pytest.approx(100 / 3)
    assert cells(demographics(INDEX), "age", "test")["≥90"]["percent"] == 100


def test_sex_counts_patients_and_view_counts_images():
    table = demographics(INDEX)
    assert {group: row["count"] for group, row in cells(table, "sex", "train").items() if row["count"]} == {
        "F": 1,
        "M": 1,
        "unknown": 1,
    }
    assert cells(table, "sex", "test")["contradictory"]["percent"] == 100
    assert cells(table, "view", "train")["PA"]["count"] == 2
    assert cells(table, "view", "train")["PA"]["percent"] == 50
    assert table.groupby(["variable", "split"])["percent"].sum().eq(100).all()


def test_only_the_columns_that_are_there():
    assert set(demographics(INDEX.drop(columns=["age", "sex"]))["variable"]) == {"view"}
    nothing = demographics(INDEX.drop(columns=["age", "sex", "view"]))
    assert list(nothing) == ["variable", "group", "split", "count", "percent", "mean", "sd"]
    assert nothing.empty


def test_ages_as_data_sets_write_them():
    ages = parse_ages(pd.Series(["58", "058Y", "006M", "71.5", "", "old", "-3"]))
    assert ages.tolist()[:4] == [58, 58, 0.5, 71.5]
    assert ages[4:].isna().all()


def test_class_counts():
    table = class_counts(INDEX).set_index(["class", "split"])
    assert table.index.tolist() == [
        (name, split) for name in ("healthy", "viral", "all") for split in ("train", "test")
    ]
    assert table.loc[("healthy", "train")].tolist() == [2, 50, 2]
    assert table.loc[("viral", "test")].tolist() == [0, 0, 0]
    assert table.loc[("all", "train")].tolist() == [4, 100, 3]
    assert table.loc[("all", "test")].tolist() == [2, 100, 1]


def test_duplicates_say_which_are_exact():
    pairs = pd.DataFrame(
        [("5.png", "6.png", "p4", "p4", 0), ("1.png", "2.png", "p1", "p1", 4)],
        columns=["image_a", "image_b", "patient_a", "patient_b", "distance"],
    )
    table = duplicates(INDEX, pairs)
    assert table["kind"].tolist() == ["exact", "near"]
    assert table["image_a"].tolist() == ["1.png", "5.png"]
    assert table.loc[0, ["class_a", "class_b", "split_a", "split_b"]].tolist() == ["healthy", "viral", "train", "train"]
    assert list(duplicates(INDEX, pairs.head(0))) == list(table)


def test_tables_as_files(tmp_path):
    index = INDEX.assign(width=8, height=8)
    for split, rows in index.groupby("split"):
        rows.to_csv(tmp_path / f"{split}.csv", index=False)
    (tmp_path / "near.csv").write_text("image_a,image_b,patient_a,patient_b,distance\n5.png,6.png,p4,p4,3\n")
    paths = {name: tmp_path / f"out/{name}.csv" for name in ("demographics", "classes", "duplicates")}
    describe_data([tmp_path / "train.csv", tmp_path / "test.csv"], tmp_path / "near.csv", **paths)
    tables = {name: pd.read_csv(path) for name, path in paths.items()}
    assert list(tables["demographics"]["variable"].unique()) == ["age", "sex", "view"]
    assert list(tables["classes"]["class"].unique()) == ["healthy", "viral", "all"]
    assert tables["duplicates"]["distance"].tolist() == [3]
