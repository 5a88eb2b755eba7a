"""The audits of several classes and generators together, as tables and figures tell of them."""

import pandas as pd

from synthworth.memorization.innocent import POOLED_ALARMS, innocent_flags

# The scores of an audit, in their order.
SCORES = {
    "flagged": "Flagged as copies (share)",
    "auth_pct": "AuthPct (%)",
    "c_t": "C_T",
    "gap": "Generalisation gap",
    "duplicates": "Duplicates (share)",
}
# What is said of a set whose score is beyond that of real images. C_T and AuthPct ask whether images lie nearer to the
# training images than held-out ones do: so do copies, and so do images that are less varied than real ones. The gap
# asks whether they lie nearer to the training images than to others of their kind: so do copies, and so do draws of a
# Gaussian with the mean and the covariance of the training images, of which none is a copy.
BEYOND = {
    "flagged": "copies",
    "auth_pct": "nearer than real",
    "c_t": "nearer than real",
    "gap": "overfits",
    "duplicates": "repeats itself",
}
# At which a score is beyond: its false-alarm rate on sets of real images.
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


def chosen_flags(summary: pd.DataFrame) -> pd.DataFrame:
    """The audits' rows on the flags of the chosen checkpoints."""
    return summary[(summary["score"] == "flagged") & summary["selected"].eq(True)]


def flag_counts(flags: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """How many of all images of a generator are flagged, beside what there is to expect: a row per generator, by name.

    `flags` is a row per image (`flagging.flag_shard`), and `summary` the audits' (`collecting.collect_audits`):
    KeyError where it lacks a class of a generator. Columns: `flagged` of `n` images; `innocent`, how many flags as many
    real images of new patients give on average, at most, and `innocent_high`, what their count keeps to in 95 % of
    studies (`innocent.innocent_flags`); `recall`, the share of planted copies that is flagged, in [0, 1], the mean over
    images, with the widest of the classes' intervals, `recall_low` and `recall_high`.
    """
    names = ["generator", "class"]
    audited = chosen_flags(summary).set_index(names)
    counts = flags.groupby(names, sort=False)["flagged"].agg(flagged="sum", n="count")
    told = [*FALSE_ALARMS, *POOLED_ALARMS, "power", "power_low", "power_high"]
    counts = counts.join(audited.loc[counts.index, told])
    rows = {}
    for generator, own in counts.groupby("generator"):
        innocent, high = innocent_flags(own)
        rows[generator] = {
            "flagged": own["flagged"].sum(),
            "n": own["n"].sum(),
            "innocent": innocent,
            "innocent_high": high,
            "recall": (own["power"] * own["n"]).sum() / own["n"].sum(),
            "recall_low": own["power_low"].min(),
            "recall_high": own["power_high"].max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"flagged": int, "n": int, "innocent_high": int})
