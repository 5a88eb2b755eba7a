"""The audits of several classes and generators together, for figures."""

import pandas as pd


def over_classes(power: pd.DataFrame) -> pd.DataFrame:
    """Measured power over all classes and generators: means, and the widest of the intervals.

    `power` are rows of the audits' power tables.
    """
    keys = ["score", "perturbation", "strength", "share"]
    told = {"power": ("power", "mean"), "low": ("low", "min"), "high": ("high", "max"), "n": ("n", "sum")}
    return power.fillna({"perturbation": ""}).groupby(keys, sort=False, dropna=False).agg(**told).reset_index()
