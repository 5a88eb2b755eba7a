"""The study's tables, from tidy scores alone: the same code sets the published numbers and a study's own.

Tables 5 to 9 keep the layout of Schaudt et al. 2023 ("A Critical Assessment of Generative Models for Synthetic Data
Augmentation on Limited Pneumonia X-ray Data"), so that a study can be laid beside the paper.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from synthworth.typesetting import write_table

CELL_KEYS = ["classifier", "arm", "generator", "dose", "metric", "class"]
TEXT_COLUMNS = [
    *("classifier", "arm", "generator", "metric", "class", "scope", "extractor", "reference", "score", "verdict"),
]
PER_CLASS_METRICS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
PROTOCOLS = {
    "published": "published (numbers as printed in the paper)",
    "paper": "paper (the published protocol with its quirks)",
    "honest": "honest (the published protocol, corrected)",
}


@dataclass(frozen=True)
class Table:
    """A display frame (text as it is to be read) with what must stand beside it.

    `remarks` are sentences for the note below; `group`, where set, names the first column, which groups the rows.
    """

    frame: pd.DataFrame
    caption: str
    remarks: list[str] = field(default_factory=list)
    group: str | None = None


@dataclass(frozen=True)
class Recipe:
    """How a table is made: which scores it reads (a CSV's stem), and the function of them and the baseline's name."""

    scores: str
    build: Callable[[pd.DataFrame, str], Table]


def render_table(
    name: str,
    scores: str | Path,
    csv: str | Path,
    markdown: str | Path,
    latex: str | Path,
    study: str,
    protocol: str,
    baseline: str = "baseline",
) -> None:
    """Writes the table `name` (a key of TABLES) from the CSV of scores that its recipe names.

    `protocol` is a key of PROTOCOLS and stands, with `study`, below the table; `baseline` is the arm that changes are
    measured from. Where scores are missing the table is empty but valid.
    """
    table = TABLES[name].build(read_scores(scores), baseline)
    remarks = table.remarks if len(table.frame) else ["No scores."]
    note = " ".join([*remarks, provenance(study, protocol)])
    write_table(table.frame, csv, markdown, latex, table.caption, note, table.group)


def provenance(study: str, protocol: str) -> str:
    """The sentence that every table and figure carries; `protocol` is a key of PROTOCOLS."""
    return f"Study: {study}. Protocol: {PROTOCOLS[protocol]}."


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

    Columns: `classifier, training_data, dose, change, sd, sd_baseline, n, n_baseline`; the standard deviations (over
    seeds, of the arm and of the baseline) are in percentage points too. `training_data` is the generator, or, where
    a generator has several arms of one dose (mix and replace, say), the arm's name without its dose.
    """
    accuracy = _accuracy(cells)
    start = accuracy.loc[accuracy["arm"] == baseline, ["classifier", "mean", "sd", "n"]]
    changes = accuracy[accuracy["dose"] > 0].merge(start, on="classifier", suffixes=("", "_baseline"))
    return pd.DataFrame(
        {
            "classifier": changes["classifier"],
            "training_data": _training_data(changes),
            "dose": changes["dose"].astype(int),
            "change": 100 * (changes["mean"] - changes["mean_baseline"]),
            "sd": 100 * changes["sd"],
            "sd_baseline": 100 * changes["sd_baseline"],
            "n": changes["n"],
            "n_baseline": changes["n_baseline"],
        }
    )


def mean_accuracy_changes(cells: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Mean change of accuracy over doses, in percentage points: training data x classifiers (Table 8 of the paper).

    `Overall` averages a row over classifiers and doses. `mean` averages a column over all (generator, dose) cells,
    each with equal weight, so that a generator with more doses counts more, as in the paper; it has no Overall.
    """
    changes = accuracy_changes(cells, baseline)
    if changes.empty:
        return pd.DataFrame()
    means = changes.pivot_table(index="training_data", columns="classifier", values="change", sort=False)
    means["Overall"] = changes.groupby("training_data")["change"].mean()
    means.loc["mean"] = changes.groupby("classifier")["change"].mean()
    return means


def table5_fid(fidelity: pd.DataFrame) -> Table:
    """FID and, in brackets, MS-SSIM of the selected checkpoints: generators x classes (Table 5 of the paper).

    Means of the FID over classes (column) and over generators (row). Several extractors, or references, give a block
    of rows each.
    """
    chosen = fidelity[fidelity["selected"].eq(True) & (fidelity["class"] != "all")]
    fid = chosen[chosen["metric"] == "fid"]
    similarity = chosen[chosen["metric"] == "ms_ssim"].drop_duplicates(["generator", "class"])
    similarity = similarity.set_index(["generator", "class"])["value"]
    classes = list(fid["class"].unique())
    blocks, remarks = [], []
    for (extractor, reference), scores in fid.groupby(["extractor", "reference"], sort=False):
        grid = scores.pivot_table(index="generator", columns="class", values="value", aggfunc="first", sort=False)
        grid = grid.reindex(columns=classes)
        text = pd.DataFrame(
            {
                name: [_fid_and_similarity(grid.loc[row, name], similarity.get((row, name))) for row in grid.index]
                for name in classes
            },
            index=grid.index,
        )
        text["Mean"] = grid.mean(axis=1).map(_two_decimals)
        text.loc["mean"] = [*grid.mean().map(_two_decimals), ""]
        text.insert(0, "Generator", text.index)
        text.insert(0, "Features", f"{extractor}, {reference}")
        blocks.append(text)
        remarks.append(
            f"FID with {extractor} features between {_span(scores['n_synthetic'])} synthetic and "
            f"{_span(scores['n_reference'])} real images of a class ({reference})."
        )
    columns = ["Features", "Generator", *classes, "Mean"]
    frame = pd.concat(blocks, ignore_index=True)[columns] if blocks else pd.DataFrame(columns=columns)
    if len(blocks) < 2:
        frame = frame.drop(columns="Features")
    caption = "FID (↓) at the selected checkpoints, with MS-SSIM in brackets"
    remarks.append("FID depends on the number of images: compare it at equal numbers only.")
    return Table(frame, caption, remarks, "Features" if len(blocks) > 1 else None)


def table6_ratings(ratings: pd.DataFrame) -> Table:
    """Readers' ratings over all classes: generators x scores, mean ± sd (Table 6 of the paper)."""
    overall = ratings[ratings["class"] == "all"]
    frame = _grid(overall, ["generator"], "score", [_mean_and_sd(row) for _, row in overall.iterrows()])
    frame = frame.rename(columns={"generator": "Generator", **{name: name.capitalize() for name in overall["score"]}})
    remarks = [f"Mean ± sd of n = {_span(overall['n'])} ratings."]
    return Table(frame, "Readers' ratings over all classes", remarks)


def table7_accuracy(cells: pd.DataFrame, baseline: str) -> Table:
    """Accuracy in percent, mean ± sd: the baseline, then by dose the generators, x classifiers (Table 7 of the paper).

    Arms without synthetic images other than the baseline (oversampling, say) follow it.
    """
    accuracy = _accuracy(cells)
    accuracy = accuracy[accuracy["dose"].notna()].assign(first=lambda rows: rows["arm"] != baseline)
    accuracy = accuracy.sort_values(["dose", "first"], kind="stable")
    accuracy = accuracy.assign(
        added=[f"+{int(dose)}" if dose else "0" for dose in accuracy["dose"]], row=_training_data(accuracy)
    )
    text = [_mean_and_sd(row, factor=100) for _, row in accuracy.iterrows()]
    frame = _grid(accuracy, ["added", "row"], "classifier", text, cells["classifier"].unique())
    frame = frame.rename(columns={"added": "Added per class", "row": "Training data"})
    remarks = [f"Mean ± sd over n = {_span(accuracy['n'])} training runs."]
    return Table(frame, "Accuracy (%) of classifiers on the test images", remarks, "Added per class")


def table8_accuracy_change(cells: pd.DataFrame, baseline: str) -> Table:
    """Mean change of accuracy from the baseline in percentage points, computed from Table 7's cells (Table 8)."""
    means = mean_accuracy_changes(cells, baseline)
    frame = means.map(lambda value: "" if pd.isna(value) else f"{round(value, 2) + 0.0:+.2f}")
    frame.insert(0, "Training data", means.index)
    remarks = [
        f"Change from the same classifier's {baseline}, averaged over doses.",
        "In the row of means each generator and dose has equal weight.",
    ]
    return Table(frame.reset_index(drop=True), "Mean change of accuracy in percentage points", remarks)


def table9_per_class(cells: pd.DataFrame, baseline: str) -> Table:
    """Precision, recall and F1 of each class, mean ± sd, for the classifier of the highest accuracy (Table 9).

    Rows: the baseline, the other arms without synthetic images, and of each generator the arm with the highest
    accuracy among those that have scores per class (the only one, where there is one).
    """
    scores = cells[cells["metric"].isin(list(PER_CLASS_METRICS))]
    accuracy = _accuracy(cells)
    accuracy = accuracy[accuracy["classifier"].isin(scores["classifier"])].sort_values(
        "mean", ascending=False, kind="stable"
    )
    classifier = next(iter([*accuracy["classifier"], *scores["classifier"]]), "")
    scores = scores[scores["classifier"] == classifier]
    by_arm = accuracy[accuracy["classifier"] == classifier].drop_duplicates("arm").set_index("arm")["mean"]
    arms = scores.drop_duplicates("arm")[["arm", "generator"]]
    arms = arms.assign(accuracy=arms["arm"].map(by_arm).astype(float), appearance=range(len(arms)))
    best = arms.sort_values("accuracy", ascending=False, kind="stable").drop_duplicates("generator")
    best = best.assign(synthetic=best["arm"] != best["generator"], other=best["arm"] != baseline)
    order = list(best.sort_values(["synthetic", "other", "appearance"])["arm"])
    chosen = scores[scores["arm"].isin(order)]
    chosen = chosen.assign(
        heading=chosen["metric"].map(PER_CLASS_METRICS),
        metric_place=chosen["metric"].map(list(PER_CLASS_METRICS).index),
        arm_place=chosen["arm"].map(order.index),
    ).sort_values(["metric_place", "arm_place"], kind="stable")
    text = [_mean_and_sd(row, decimals=4) for _, row in chosen.iterrows()]
    frame = _grid(chosen, ["heading", "arm"], "class", text, scores["class"].unique())
    frame = frame.rename(columns={"heading": "Metric", "arm": "Training data"})
    remarks = [
        f"Mean ± sd over n = {_span(chosen['n'])} training runs of {classifier}, the most accurate classifier.",
        "Classifier and, of each generator, the arm were chosen by accuracy on the same images that are reported here.",
    ]
    caption = f"Precision, recall and F1 of each class ({classifier})" if classifier else "Scores of each class"
    return Table(frame, caption, remarks, "Metric")


TABLES = {
    "table5_fid": Recipe("fidelity", lambda fidelity, _baseline: table5_fid(fidelity)),
    "table6_ratings": Recipe("ratings", lambda ratings, _baseline: table6_ratings(ratings)),
    "table7_accuracy": Recipe("cells", table7_accuracy),
    "table8_accuracy_change": Recipe("cells", table8_accuracy_change),
    "table9_per_class": Recipe("cells", table9_per_class),
}


def _accuracy(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[(cells["metric"] == "accuracy") & (cells["class"] == "all")]


def _training_data(cells: pd.DataFrame) -> pd.Series:
    """What a row is called beside its dose: the generator, or its arm's stem where a dose has several arms of it."""
    arms = cells[["generator", "dose", "arm"]].drop_duplicates()
    crowded = arms.loc[arms.duplicated(["generator", "dose"]), "generator"]
    stems = cells["arm"].astype(str).str.replace(r"\+\d+$", "", regex=True)
    return cells["generator"].where(~cells["generator"].isin(crowded), stems)


def _grid(
    scores: pd.DataFrame, rows: list[str], column: str, text: list[str], order: Iterable[str] | None = None
) -> pd.DataFrame:
    """Text laid out as `rows` x the values of `column`, in order of appearance or in `order`; blanks for what lacks."""
    order = list(scores[column].unique() if order is None else order)
    if scores.empty:
        return pd.DataFrame(columns=[*rows, *order])
    grid = scores.assign(text=text).pivot_table(index=rows, columns=column, values="text", aggfunc="first", sort=False)
    present = [name for name in order if name in grid.columns]
    return grid.reindex(columns=present).fillna("").reset_index().rename_axis(columns=None)


def _mean_and_sd(cell: pd.Series, factor: float = 1, decimals: int = 2) -> str:
    """`mean ± sd`; the mean alone where there is no spread to speak of (one run), and a blank where there is none."""
    if pd.isna(cell["mean"]):
        return ""
    mean = f"{factor * cell['mean']:.{decimals}f}"
    return mean if pd.isna(cell["sd"]) or cell["n"] < 2 else f"{mean} ± {factor * cell['sd']:.{decimals}f}"


def _fid_and_similarity(fid: float, similarity: float | None) -> str:
    if pd.isna(fid):
        return ""
    return f"{fid:.2f}" if similarity is None or pd.isna(similarity) else f"{fid:.2f} ({similarity:.2f})"


def _two_decimals(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def _span(numbers: pd.Series) -> str:
    """`50`, or `19 to 130` where the numbers differ; `?` where none is known."""
    known = numbers.dropna()
    if known.empty:
        return "?"
    low, high = int(known.min()), int(known.max())
    return f"{low}" if low == high else f"{low} to {high}"
