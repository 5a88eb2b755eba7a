"""Real training images held back by patients: what stays of a split where only a share of it may be used."""

import numpy as np
import pandas as pd

from synthworth.seeds import seed


def held_back(patients: pd.Series, targets: np.ndarray, share: float, seed_: int) -> np.ndarray:
    """The rows of images that stay where only a `share` of the patients of each class (rounded, at least one) does.

    Patients come in one order, by `seed_` alone: the patients of a smaller share are among those of a larger.
    """
    place = {patient: seed(seed_, patient) for patient in patients.unique()}
    places = patients.map(place).to_numpy()
    kept = np.ones(len(targets), bool)
    for target in np.unique(targets):
        own = np.unique(places[targets == target])
        last = own[max(round(share * len(own)), 1) - 1]
        kept[targets == target] = places[targets == target] <= last
    return np.flatnonzero(kept)
