"""Held-back patients: nested shares, by class and patient."""

import numpy as np
import pandas as pd

from synthworth.hold_back import held_back


def test_a_share_of_the_patients_of_each_class_stays_and_shares_are_nested():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [40, 15, 2])
    # Two images of a patient, in any order.
    patients = pd.Series([f"{target}-{i // 2}" for target in range(3) for i in range([40, 15, 2][target])])
    order = rng.permutation(len(targets))
    targets, patients = targets[order], patients.iloc[order].reset_index(drop=True)
    kept = {share: set(held_back(patients, targets, share, 7).tolist()) for share in (0.1, 0.5, 0.75, 1)}
    assert kept[0.1] < kept[0.5] < kept[0.75] < kept[1] == set(range(len(targets)))
    for share, rows in kept.items():
        stay = patients[sorted(rows)]
        # Patients stay whole; of 20, 8 and 1 patients so many do.
        assert not set(stay) & set(patients.drop(sorted(rows)))
        counts = pd.Series(stay.unique()).str[0].value_counts()
        assert [counts[name] for name in "012"] == [max(round(share * n), 1) for n in (20, 8, 1)]
    assert kept[0.5] != set(held_back(patients, targets, 0.5, 8).tolist())
