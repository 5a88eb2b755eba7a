"""The scores that Schaudt et al. 2023 print, as the tidy frames that a study makes.

So the code that sets a study's tables sets the paper's too, without torch, images or a GPU. Table 8 of the paper is
not read: it follows from Table 7, and a test holds the one computed here against the printed one.
"""

from pathlib import Path

import pandas as pd

from synthworth.errors import StudyError
from synthworth.files import replacing

BASELINE = "Baseline"
TABLES = {
    "fid": "table5_fid.csv",
    "ratings": "table6_ratings.csv",
    "accuracy": "table7_accuracy.csv",
    "per_class": "table9_per_class.csv",
}
# The paper's n: images on either side of each FID, images rated per generator (25 of each of 5 classes), training runs.
FIDELITY_IMAGES = 50
RATINGS = 125
RUNS = 5
# Of the five generators these two are one model over all classes; the others are one model per class (released code).
JOINT_GENERATORS = ["Fine-tuning", "LoRA"]
# Table 9 is about one classifier (Section 3.3), and does not say which dose of each generator it shows.
PER_CLASS_CLASSIFIER = "ConvNeXt-S"
WITHOUT_SYNTHETIC = [BASELINE, "Oversampling"]


def read_published(folder: str | Path) -> dict[str, pd.DataFrame]:
    """The published scores as frames `fidelity`, `ratings` and `cells`, from the folder that holds the tables' CSVs.

    Accuracies are fractions in [0, 1]. `step` is missing, for the paper does not print it; so is the dose of Table 9's
    arms with synthetic images, called `<generator>+best`. Standard deviations are population ones (ddof 0). Raises
    StudyError where a table is missing.
    """
    paths = {name: Path(folder) / file for name, file in TABLES.items()}
    missing = [f"{path}: not found" for path in paths.values() if not path.is_file()]
    if missing:
        raise StudyError("The published scores are incomplete:", missing)
    tables = {name: pd.read_csv(path) for name, path in paths.items()}
    return {
        "fidelity": _fidelity(tables["fid"]),
        "ratings": _ratings(tables["ratings"]),
        "cells": pd.concat([_accuracies(tables["accuracy"]), _per_class(tables["per_class"])], ignore_index=True),
    }


def write_published(folder: str | Path, fidelity: str | Path, ratings: str | Path, cells: str | Path) -> None:
    """Writes the three frames of `read_published` as CSV."""
    frames = read_published(folder)
    for name, path in {"fidelity": fidelity, "ratings": ratings, "cells": cells}.items():
        with replacing(path) as temporary:
            frames[name].to_csv(temporary, index=False)


def _fidelity(table: pd.DataFrame) -> pd.DataFrame:
    """Table 5: FID and MS-SSIM of the checkpoint with the least FID, per generator and class.

    As printed. The authors' released notebook looks the MS-SSIM up by a row number of another frame, so most of these
    values belong to other checkpoints (the GAN's, for one, lie below the least value of its own curve).
    """
    scores = table.melt(["generator", "class"], ["fid", "ms_ssim"], var_name="metric")
    is_fid = scores["metric"] == "fid"
    return pd.DataFrame(
        {
            "generator": scores["generator"],
            "scope": scores["class"].mask(scores["generator"].isin(JOINT_GENERATORS), "all"),
            "class": scores["class"],
            "step": pd.array([pd.NA] * len(scores), dtype="Int64"),
            "selected": True,
            "metric": scores["metric"],
            "extractor": is_fid.map({True: "inception", False: ""}),
            "reference": is_fid.map({True: "train", False: ""}),
            "n_synthetic": FIDELITY_IMAGES,
            "n_reference": is_fid.map({True: FIDELITY_IMAGES, False: 0}),
            "value": scores["value"],
        }
    )


def _ratings(table: pd.DataFrame) -> pd.DataFrame:
    """Table 6: quality (1 to 5) and plausibility (1 to 3) over all classes."""
    scores = [
        table[["generator"]].assign(
            score=score, **{"class": "all"}, mean=table[f"{score}_mean"], sd=table[f"{score}_std"], n=RATINGS
        )
        for score in ("quality", "plausibility")
    ]
    return pd.concat(scores, ignore_index=True)


def _accuracies(table: pd.DataFrame) -> pd.DataFrame:
    """Table 7: accuracy per classifier, generator and dose, printed in percent."""
    dose = table["added_per_class"]
    return pd.DataFrame(
        {
            "classifier": table["classifier"],
            "arm": table["generator"].where(dose == 0, table["generator"] + "+" + dose.astype(str)),
            "generator": table["generator"],
            "dose": dose.astype("Int64"),
            "metric": "accuracy",
            "class": "all",
            "mean": (table["accuracy_mean"] / 100).round(4),
            "sd": (table["accuracy_std"] / 100).round(4),
            "n": RUNS,
        }
    )


def _per_class(table: pd.DataFrame) -> pd.DataFrame:
    """Table 9: precision, recall and F1 per class, printed as fractions."""
    data = table["training_data"]
    real_only = data.isin(WITHOUT_SYNTHETIC)
    return pd.DataFrame(
        {
            "classifier": PER_CLASS_CLASSIFIER,
            "arm": data.where(real_only, data + "+best"),
            "generator": data,
            "dose": pd.Series(0, index=table.index, dtype="Int64").where(real_only),
            "metric": table["metric"],
            "class": table["class"],
            "mean": table["mean"],
            "sd": table["std"],
            "n": RUNS,
        }
    )
