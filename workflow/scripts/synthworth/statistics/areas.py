"""The area under the ROC curve (AUROC), also of several strata together, with its interval."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

EDGE = 1e-9


def area_under_curve(lower: np.ndarray, higher: np.ndarray) -> float:
    """The share of pairs in which the value of `higher` [n] is above that of `lower` [m]; ties count half."""
    ranks = rankdata(np.concatenate([lower, higher]))[len(lower) :]
    return (ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(lower) * len(higher))


def pooled_area(
    strata: Sequence[tuple[float, float, int, int]], confidence: float, factor: float = 1.0
) -> dict[str, float]:
    """`auroc`, `low` and `high` from (weight, AUROC, m, n) of strata; weights add up to 1.

    The interval is Newcombe's (2006, Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, method 5): all theta with |AUROC - theta| <= z sqrt(V(theta)), V after Hanley and McNeil (1982),
    summed over strata. It keeps a width where the AUROC is 1, and is too wide rather than too narrow where values tie.
    `factor` widens it.
    """
    weights, aurocs, m, n = np.array(strata, float).T
    value = float(np.clip(weights @ aurocs, 0, 1))
    z = factor * norm.ppf(0.5 + confidence / 2)

    def excess(theta: float) -> float:
        """How far theta is from the AUROC beyond what chance allows; negative inside the interval."""
        middle = (m + n) / 2 - 1
        spread = theta * (1 - theta) * (1 + middle * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)
        return abs(value - theta) - z * np.sqrt(weights**2 @ spread)

    # V is 0 at 0 and at 1: there `excess` is positive, or 0 where the AUROC itself is, which is not the limit sought.
    low = brentq(excess, 0, min(value, 1 - EDGE)) if value > 0 else 0.0
    high = brentq(excess, max(value, EDGE), 1) if value < 1 else 1.0
    return {"auroc": value, "low": float(low), "high": float(high)}
