"""Scores in cells: runs aggregated over seeds, and changes from the baseline."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

# The end of an arm's name whose synthetic images are without those that were flagged as copies.
WITHOUT_COPIES = "-without_copies"
# The study's own test images, beside external sets; no name of such a set can hold a space.
OWN_TEST_SET = "test split"
CELL_KEYS = ["classifier", "arm", "generator", "dose", "metric", "class"]
TEXT_COLUMNS = [
    *("classifier", "arm", "generator", "metric", "class", "scope", "extractor", "reference", "score", "verdict"),
    *("source", "test_set", "predicted", "finding", "status", "degradation", "reading", "perturbation", "power_of"),
    *("kit", "mode", "reader", "item", "identity", "against", "repeats", "file", "reader_1", "reader_2"),
    *("factor", "stratified_by", "group_1", "group_2", "reason", "floor_reason"),
]


def read_scores(path: str | Path) -> pd.DataFrame:
    """Tidy scores from a CSV; names stay text whatever they look like ("0", "None"), and missing ones are ""."""
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(TEXT_COLUMNS, str))
    present = [name for name in TEXT_COLUMNS if name in frame]
    return frame.assign(**{name: frame[name].fillna("") for name in present})


def aggregate_runs(runs: pd.DataFrame, ddof: int) -> pd.DataFrame:
    """Runs (`classifier, arm, generator, dose, seed, metric, class, value`) as cells: mean, sd and n over seeds.

    `ddof` 0 gives the population standard deviation, as the paper has it; 1 the sample one (missing for one run).
    Undefined values (an AUROC of an absent class) count neither in the mean nor in n.
    """
    values = runs.assign(value=runs["value"].astype(float)).groupby(CELL_KEYS, sort=False, dropna=False)["value"]
    cells = pd.DataFrame({"mean": values.mean(), "sd": values.std(ddof=ddof), "n": values.count()})
    return cells.reset_index()


def accuracy_changes(cells: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Change of accuracy, in percentage points, of each arm with synthetic images from its classifier's baseline.

    Columns: `classifier, arm, generator, training_data, dose, change, sd, sd_baseline, n, n_baseline`; the standard
    deviations (over seeds, of the arm and of the baseline) are in percentage points too. `training_data` is as of the
    function.
    """
    accuracy = accuracy_cells(cells)
    start = accuracy.loc[accuracy["arm"] == baseline, ["classifier", "mean", "sd", "n"]]
    changes = accuracy[accuracy["dose"] > 0].merge(start, on="classifier", suffixes=("", "_baseline"))
    return pd.DataFrame(
        {
            "classifier": changes["classifier"],
            "arm": changes["arm"],
            "generator": changes["generator"],
            "training_data": training_data(changes),
            "dose": changes["dose"].astype(int),
            "change": 100 * (changes["mean"] - changes["mean_baseline"]),
            "sd": 100 * changes["sd"],
            "sd_baseline": 100 * changes["sd_baseline"],
            "n": changes["n"],
            "n_baseline": changes["n_baseline"],
        }
    )


def mean_accuracy_changes(cells: pd.DataFrame, baseline: str, special: Collection[str] = ()) -> pd.DataFrame:
    """Mean change of accuracy over doses, in percentage points: training data x classifiers (Table 8 of the paper).

    `Overall` averages a row over classifiers and doses. `mean` averages a column over all (generator, dose) cells,
    each with equal weight, so that a generator with more doses counts more, as in the paper; it has no Overall. Arms
    that are `special` (`replace`, say), as they do other than add images of every class to the baseline, do not count
    in it; it is missing without others.
    """
    changes = accuracy_changes(cells, baseline)
    if changes.empty:
        return pd.DataFrame()
    plain = changes[~changes["arm"].isin(special)]
    means = changes.pivot_table(index="training_data", columns="classifier", values="change", sort=False)
    means["Overall"] = changes.groupby("training_data")["change"].mean()
    if len(plain):
        means.loc["mean"] = plain.groupby("classifier")["change"].mean()
    return means


def accuracy_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of overall accuracy."""
    return cells[(cells["metric"] == "accuracy") & (cells["class"] == "all")]


def are_findings(scores: pd.DataFrame) -> bool:
    """Whether the classes of runs or cells are findings of a multi-label study: these alone have an AUROC each."""
    return bool((scores["metric"] == "auroc").any())


def training_data(cells: pd.DataFrame) -> pd.Series:
    """What a row is called beside its dose: the arm's name without it, which in the paper's arms is the generator.

    Arms without a dose (controls with several numbers of copies, say) keep their names.
    """
    names = cells["arm"].astype(str)
    ends = names.str.endswith(WITHOUT_COPIES).map({True: WITHOUT_COPIES, False: ""})
    stems = names.str.removesuffix(WITHOUT_COPIES).str.replace(r"\+\w+$", "", regex=True) + ends
    return names.where(cells["dose"] == 0, stems)
