"""The table behind the verdict: each arm's effect, how sure it is, and what could have been seen."""

import pandas as pd

from synthworth.tables.layout import Table, span


def effects(comparisons: pd.DataFrame, baseline: str) -> Table:
    """Effect of each arm over all classifiers in percentage points, from the frame of `statistics.compare_arms`."""
    pooled = comparisons[comparisons["classifier"] == "all"]
    frame = pd.DataFrame(
        {
            "Arm": pooled["arm"],
            "Effect": pooled["effect"].map(_points),
            "Interval": [_interval(row.low, row.high) for row in pooled.itertuples()],
            "p (Holm)": pooled["p_adjusted"].map(_p),
            "Smallest effect that could be seen": pooled["minimum_detectable_effect"].map(_size),
            "Verdict": pooled["verdict"],
        }
    )
    metric = " ".join(pooled["metric"].unique()).replace("_", " ")
    remarks = [
        f"Percentage points of {metric} from the arm {baseline}, over n = {span(pooled['n_seeds'])} seeds and "
        f"{span(pooled['n_images'])} test images of {span(pooled['n_patients'])} patients.",
        "Intervals are of each arm alone; p and verdicts are adjusted for all arms.",
    ]
    return Table(frame.reset_index(drop=True), f"Effect of each arm on {metric}", remarks)


def _points(value: float) -> str:
    return "" if pd.isna(value) else f"{100 * value:+.2f}"


def _size(value: float) -> str:
    return "" if pd.isna(value) else f"{100 * value:.2f}"


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"{_points(low)} to {_points(high)}"


def _p(value: float) -> str:
    if pd.isna(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
