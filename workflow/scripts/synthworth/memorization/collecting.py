"""The audits of all generators together, from their files."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from synthworth.memorization.outputs import read_table, write_csv


def collect_audits(paths: Sequence[str], output: str) -> None:
    """The same table of the audits of all generators as one CSV: their summaries, or their power.

    After the p values of summaries follows a column `p_adjusted`: after Holm, over all scores of all chosen checkpoints
    of the study. It is empty for other checkpoints, of which nothing is made: they show how memorisation grew.
    """
    frame = pd.concat([read_table(path) for path in paths], ignore_index=True)
    if "p" in frame:
        chosen = frame["selected"].eq(True).to_numpy()
        frame.insert(frame.columns.get_loc("p") + 1, "p_adjusted", np.nan)
        if chosen.any():
            frame.loc[chosen, "p_adjusted"] = multipletests(frame.loc[chosen, "p"], method="holm")[1]
    write_csv(frame, output)
