"""The tables behind the verdict: each arm's effect, how sure it is, and what could have been seen."""

import pandas as pd

from synthworth.tables.layout import Table, number, p_value, span


def effects(comparisons: pd.DataFrame, baseline: str) -> Table:
    """Effect of each arm over all classifiers in percentage points, from the frame of `statistics.compare_arms`."""
    pooled = comparisons[comparisons["classifier"] == "all"]
    metric = _metric(pooled)
    # Scores cached by an earlier version do not tell how often generators were trained.
    generators = pooled.get("n_generator_seeds", pd.Series(dtype=int))
    seeds = f"{span(pooled['n_seeds'])} seeds"
    if (generators > 1).any():
        seeds += f" with each of {span(generators)} trainings of a generator"
    remarks = [
        f"Percentage points of {metric} from the arm {baseline}, over n = {seeds} and "
        f"{span(pooled['n_images'])} test images of {span(pooled['n_patients'])} patients.",
        "Intervals hold for all arms at once (comparisons.csv has those of each arm alone); p and verdicts are "
        "adjusted for all arms.",
    ]
    remarks += [*_levels(pooled, baseline, metric), *_unseen(pooled)]
    return Table(_rows(pooled).reset_index(drop=True), f"Effect of each arm on {metric}", remarks)


def external_effects(comparisons: pd.DataFrame, baseline: str) -> Table:
    """The same of each test set, from the frame of `external.collect_external`: arm by arm, the study's own first."""
    pooled = comparisons[comparisons["classifier"] == "all"]
    frame = _rows(pooled)
    frame.insert(1, "Test images", pooled["test_set"])
    # In the order of the arms, and of each in that of the test sets.
    place = pooled["arm"].map({arm: place for place, arm in enumerate(pooled["arm"].unique())})
    frame = frame.loc[place.sort_values(kind="stable").index]
    metric = _metric(pooled)
    remarks = [f"Percentage points of {metric} from the arm {baseline}, whose own {metric} is given in percent."]
    for name, rows in pooled.groupby("test_set", sort=False):
        near = int(rows["near_duplicates"].max())
        warning = f", {near} of them nearly the same as images that were trained on or chosen by" if near else ""
        score = f"{baseline} {number(100 * rows['baseline_score'].iloc[0], 1)}"
        size = f"{span(rows['n_images'])} images of {span(rows['n_patients'])} patients"
        remarks.append(f"{name}: {score}, {size}{warning}.")
    remarks.append(
        "Intervals, p and verdicts are adjusted for all arms on one test set, not over test sets: the study's verdict "
        "is that of its own test split, and the others say whether it holds elsewhere."
    )
    remarks += _unseen(pooled)
    return Table(frame.reset_index(drop=True), f"Effect of each arm on {metric}, on other test images", remarks, "Arm")


def _rows(pooled: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Arm": pooled["arm"],
            "Effect": pooled["effect"].map(_points),
            "Interval, all arms at once": [
                _interval(row.low_simultaneous, row.high_simultaneous) for row in pooled.itertuples()
            ],
            "p (Holm)": pooled["p_adjusted"].map(p_value),
            "Smallest effect that could be seen": (100 * pooled["minimum_detectable_effect"]).map(number),
            "Verdict": pooled["verdict"],
        }
    )


def _levels(pooled: pd.DataFrame, baseline: str, metric: str) -> list[str]:
    if pooled.empty:
        return []
    scores, guess = (100 * pooled[name] for name in ("baseline_score", "guess_score"))
    return [
        f"{baseline} itself has {number(scores.iloc[0], 1)} % {metric}; a guess without a look at the images has "
        f"{number(guess.iloc[0], 1)} %."
    ]


def _unseen(pooled: pd.DataFrame) -> list[str]:
    if not (pooled["minimum_detectable_effect"] >= 1).any():
        return []
    return ["Smallest effect of 100: not even the largest could be seen, as chance is known too badly."]


def _metric(pooled: pd.DataFrame) -> str:
    return " ".join(pooled["metric"].unique()).replace("_", " ")


def _points(value: float) -> str:
    return number(100 * value, signed=True)


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"{_points(low)} to {_points(high)}"
