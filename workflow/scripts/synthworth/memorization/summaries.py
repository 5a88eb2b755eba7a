"""The audits of several classes and generators together, as tables and figures tell of them."""

import pandas as pd

# The scores of an audit, in their order.
SCORES = {
    "flagged": "Flagged as copies (share)",
    "auth_pct": "AuthPct (%)",
    "c_t": "C_T",
    "gap": "Generalisation gap",
    "duplicates": "Duplicates (share)",
}
# At which a score says copying: its false-alarm rate where there are no copies.
LEVEL = 0.05
# Of a power: how often there is an alarm without copies, its 95 % interval, and the patients or trials behind it.
FALSE_ALARMS = ["false_alarms", "false_alarms_low", "false_alarms_high", "false_alarms_n"]


def over_classes(power: pd.DataFrame) -> pd.DataFrame:
    """Measured power over all classes and generators: means, and the widest of the intervals.

    `power` are rows of the audits' power tables. Of `copies` and `images` the fewest and the most stay (`copies_most`,
    `images_most`); of false alarms the highest rate, the widest interval, and the fewest that vouch for it.
    """
    keys = ["score", "perturbation", "strength", "share"]
    told = {"power": ("power", "mean"), "low": ("low", "min"), "high": ("high", "max"), "n": ("n", "sum")}
    for name in ("copies", "images"):
        told |= {name: (name, "min"), f"{name}_most": (name, "max")}
    told |= {name: (name, how) for name, how in zip(FALSE_ALARMS, ("max", "min", "max", "min"), strict=True)}
    return power.fillna({"perturbation": ""}).groupby(keys, sort=False, dropna=False).agg(**told).reset_index()


def false_alarms(rows: pd.DataFrame) -> str:
    """The false-alarm rate of some scores in words: the highest, the widest interval, the fewest that vouch for it."""
    rate, low, high, n = (
        rows[name].agg(how) for name, how in zip(FALSE_ALARMS, ("max", "min", "max", "min"), strict=True)
    )
    return f"{100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] ({n:.0f} patients)"
