"""What must be said beside floors: of how many images they are, where the scores beside them are of more."""

import pandas as pd

COUNTS = ["n_synthetic", "n_reference", "floor_n_synthetic", "floor_n_reference"]


def smaller_floors(scores: pd.DataFrame) -> str:
    """A sentence on the classes whose floors are of other numbers of images than their scores; empty where none is.

    `scores` are rows of `scores/fidelity.csv`. Most metrics change with the number of images, and so do their floors.
    """
    if not {"class", "floor", *COUNTS}.issubset(scores):
        return ""
    known = scores.dropna(subset=["floor", *COUNTS]).astype(dict.fromkeys(COUNTS, int))
    listed: dict[str, list[str]] = {}
    for row in known.to_dict("records"):
        wanted, used = (_sides(row[f"{of}n_synthetic"], row[f"{of}n_reference"]) for of in ("", "floor_"))
        if wanted != used and f"{used} instead of {wanted}" not in listed.setdefault(row["class"], []):
            listed[row["class"]].append(f"{used} instead of {wanted}")
    classes = "; ".join(f"{name}: {', '.join(numbers)}" for name, numbers in listed.items() if numbers)
    if not classes:
        return ""
    return (
        f"Too few real images for floors at the scores' numbers (synthetic and reference): {classes}. Of fewer images "
        "FID is higher, and other scores differ too: such a floor is no level to be reached."
    )


def _sides(synthetic: int, reference: int) -> str:
    return f"{synthetic} and {reference}" if reference else f"{synthetic}"
