"""The tables beside the verdict: where chance comes from, and what synthetic images are worth in real ones."""

import pandas as pd

from synthworth.statistics.components import ALL
from synthworth.tables.layout import Table, number, span

SOURCES = {
    "repeat": "dealing the patients to folds anew",
    "generator_seed": "training the generator anew",
    "draw": "drawing other images of it",
    "seed": "training the classifier anew",
    "patients": "other test patients",
    "patients_x_training": "of the trainings' part: which patients they disagree on",
}


def components(variances: pd.DataFrame) -> Table:
    """The standard deviation of a run's score by source, the mean over all classifiers and arms."""
    pooled = variances[variances["classifier"] == ALL]
    metric = " ".join(pooled["metric"].unique()).replace("_", " ")
    frame = pd.DataFrame(
        {
            "Source": pooled["component"].map(SOURCES),
            "Standard deviation (points)": pooled["standard_deviation"].map(number),
            "Degrees of freedom": [str(int(degrees)) for degrees in pooled["degrees"]],
            "Remark": pooled["remark"].map(lambda remark: "" if pd.isna(remark) else remark.replace("_", " ")),
        }
    )
    remarks = [
        "Of the score of a single run, the mean over all classifiers and arms; each one's: scores/components.csv."
    ]
    return Table(frame.reset_index(drop=True), f"Where the chance in {metric} comes from", remarks)


def worth(rows: pd.DataFrame) -> Table:
    """How many real training images bring as much as each synthetic arm does."""
    frame = pd.DataFrame(
        {
            "Arm": rows["arm"],
            "Effect": [number(100 * effect, signed=True) for effect in rows["effect"]],
            "Worth in real images": rows["images"].map(_images),
            "Interval": [
                "" if pd.isna(row.low) and pd.isna(row.high) else f"{_images(row.low)} to {_images(row.high)}"
                for row in rows.itertuples()
            ],
            "Why there is no number": rows["reason"].fillna(""),
        }
    )
    remarks = [
        f"By what the metric loses where up to {span(rows['n_held_back'])} of {span(rows['n_real'])} real training "
        "images are held back; more than these is not guessed. Negative: as if so many real images were missing.",
    ]
    return Table(frame.reset_index(drop=True), "What synthetic images are worth, in real ones", remarks)


def _images(count: float) -> str:
    return "?" if pd.isna(count) else number(count, 0)
