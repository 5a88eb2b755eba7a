"""Tables 1 and 2 of Schaudt et al. 2023, of a study's own images."""

import pandas as pd

from synthworth.tables.layout import Table


def table1_demographics(demographics: pd.DataFrame) -> Table:
    """Age, sex and view by split, from the frame of `cohort.demographics`: n (percent), or mean ± sd in years."""
    text = demographics.assign(text=[_share(row) for _, row in demographics.iterrows()])
    groups = {"all": "mean ± sd"}
    text["group"] = [groups.get(group, group) if name == "age" else group for name, group in _names(text)]
    frame = _by_split(text, ["variable", "group"]).rename(columns={"variable": "Variable", "group": "Group"})
    remarks = ["Age and sex count each patient once, views each image."]
    return Table(frame, "Patients and views by split", remarks, "Variable")


def table2_classes(classes: pd.DataFrame) -> Table:
    """Images of each class (and finding) and split, and their patients, from the frame of `cohort.class_counts`."""
    text = classes.assign(
        text=[f"{row.images} ({row.percent:.2f}%), {row.patients} patients" for row in classes.itertuples()]
    )
    remarks = ["Percent of the images of a split."]
    if "finding" not in classes:
        frame = _by_split(text, ["class"]).rename(columns={"class": "Class"})
        return Table(frame, "Images of each class and split", remarks)
    of_finding = text["finding"] != ""
    text["variable"] = text["finding"].where(of_finding, "class")
    text["group"] = text["status"].where(of_finding, text["class"])
    frame = _by_split(text, ["variable", "group"]).rename(columns={"variable": "Class or finding", "group": "Images"})
    remarks.append("Findings that are uncertain in an image are masked there, in training and in scores.")
    return Table(frame, "Images of each class, finding and split", remarks, "Class or finding")


def _names(frame: pd.DataFrame) -> zip:
    return zip(frame["variable"], frame["group"], strict=True)


def _share(row: pd.Series) -> str:
    if row["variable"] == "age" and row["group"] == "all":
        return f"{row['mean']:.2f} ± {row['sd']:.2f}"
    return f"{int(row['count'])} ({row['percent']:.2f}%)"


def _by_split(text: pd.DataFrame, rows: list[str]) -> pd.DataFrame:
    splits = list(text["split"].unique())
    if text.empty:
        return pd.DataFrame(columns=rows)
    table = text.pivot_table(index=rows, columns="split", values="text", aggfunc="first", sort=False)
    return table[splits].fillna("").rename(columns=str.capitalize).reset_index().rename_axis(columns=None)
