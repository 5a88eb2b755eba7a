"""How many images of a generator would be flagged if none were a copy: what a count of flags is held against."""

import math

import numpy as np
import pandas as pd
from scipy.signal import convolve
from scipy.stats import betabinom

# How often a count of innocent flags keeps to its bound, at least.
CONFIDENCE = 0.95
POOLED_ALARMS = ["pooled_alarms", "pooled_alarms_n"]


def innocent_flags(classes: pd.DataFrame) -> tuple[float, int]:
    """How many flags real images of new patients, as many as a generator's, give: on average at most, and the bound
    that their count keeps to in 95 % of studies at least.

    `classes` is a row per class of the generator: `n` images; `false_alarms`, the rate r / (n + 1) that its
    `false_alarms_n` held-out patients vouch for; and `POOLED_ALARMS`, that of all classes together. How many of N new
    scores exceed the r-th largest of n others of their kind is beta-binomial, whatever their distribution: it holds the
    chance of the threshold and that of the count. An image must exceed both thresholds, the class's own and the common
    one, so two bounds hold, and the lower is taken.

    By the own thresholds: classes are independent, their counts add. By the common one classes may differ in their
    scores: whichever has the highest ones has most of the flags. Were all classes to have as many images for each
    held-out patient, that would not change how many new scores come before the r-th of the held-out ones: so each class
    is taken to have as many for each of its patients as the one that has most.
    """
    own_mean, count = 0.0, np.ones(1)
    for row in classes.itertuples():
        chance = _exceeding(row.n, row.false_alarms, row.false_alarms_n)
        own_mean += chance.mean()
        count = convolve(count, chance.pmf(np.arange(row.n + 1)))
    own_high = int(np.searchsorted(np.cumsum(count), CONFIDENCE))
    rate, patients = classes[POOLED_ALARMS].iloc[0]
    density = (classes["n"] / classes["false_alarms_n"]).max()
    # A patient with images in two classes is two of theirs, and one of all.
    images = math.ceil(density * max(patients, classes["false_alarms_n"].sum()) - 1e-9)
    chance = _exceeding(images, rate, patients)
    high = min(own_high, int(chance.ppf(CONFIDENCE)), int(classes["n"].sum()))
    return float(min(own_mean, chance.mean())), high


def _exceeding(n: int, rate: float, patients: float) -> betabinom:
    rank = rate * (patients + 1)
    return betabinom(n, rank, patients + 1 - rank)
