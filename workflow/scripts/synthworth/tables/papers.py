"""Tables 5 and 7 to 9 in the layout of Schaudt et al. 2023, so that a study can be laid beside the paper.

"A Critical Assessment of Generative Models for Synthetic Data Augmentation on Limited Pneumonia X-ray Data".
"""

from collections.abc import Collection

import pandas as pd

from synthworth.cells import WITHOUT_COPIES, accuracy_cells, are_findings, mean_accuracy_changes, training_data
from synthworth.tables.layout import Table, grid, mean_and_sd, number, span
from synthworth.tables.remarks import best_of_many, blanks, floor_meanings

PER_CLASS_METRICS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
PER_FINDING_METRICS = {"auroc": "AUROC", "average_precision": "Average precision"} | PER_CLASS_METRICS
OVER_FINDINGS = "Accuracy is the mean over findings of the share of right decisions."
# Columns of Table 5 that the paper has not.
IMAGES = "Images (synthetic / real)"
REFERENCE = "Reference split"


def table5_fid(fidelity: pd.DataFrame) -> Table:
    """FID and, in brackets, MS-SSIM of the selected checkpoints: generators x classes (Table 5 of the paper).

    Means of the FID over classes (column) and over generators (row). Several extractors, or references, give a block
    of rows each. Scores that have intervals or floors, which the paper's have not, show them right of the paper's
    columns, for each class, with the numbers of images and the split that the real ones are of.
    """
    chosen = fidelity[fidelity["selected"].eq(True) & (fidelity["class"] != "all")]
    fid = chosen[chosen["metric"] == "fid"]
    similarity = chosen[chosen["metric"] == "ms_ssim"].drop_duplicates(["generator", "class"])
    similarity = similarity.set_index(["generator", "class"])["value"]
    classes = list(fid["class"].unique())
    blocks, remarks = [], []
    for (extractor, reference), scores in fid.groupby(["extractor", "reference"], sort=False):
        table = scores.pivot_table(index="generator", columns="class", values="value", aggfunc="first", sort=False)
        # A generator without any FID keeps its row: the remarks say why it is empty.
        table = table.reindex(index=scores["generator"].unique(), columns=classes)
        text = pd.DataFrame(
            {
                name: [_fid_and_similarity(table.loc[row, name], similarity.get((row, name))) for row in table.index]
                for name in classes
            },
            index=table.index,
        )
        text["Mean"] = table.mean(axis=1).map(number)
        text = text.join(_certainty(scores, classes))
        text.loc["mean"] = pd.Series(table.mean().map(number)).reindex(text.columns, fill_value="")
        text.insert(0, "Generator", text.index)
        text.insert(0, "Features", f"{extractor}, {reference}")
        blocks.append(text)
        remarks.append(
            f"FID with {extractor} features between {span(scores['n_synthetic'])} synthetic and "
            f"{span(scores['n_reference'])} real images of a class ({reference})."
        )
    columns = ["Features", "Generator", *classes, "Mean"]
    frame = pd.concat(blocks, ignore_index=True).fillna("") if blocks else pd.DataFrame(columns=columns)
    if len(blocks) < 2:
        frame = frame.drop(columns="Features")
    caption = "FID (↓) at the selected checkpoints, with MS-SSIM in brackets"
    remarks += _certainty_remarks(fid, frame.columns)
    remarks.append("FID depends on the number of images: compare it at equal numbers only.")
    remarks += [*blanks(chosen[chosen["metric"].isin(["fid", "ms_ssim"])]), *best_of_many(fidelity)]
    return Table(frame, caption, remarks, "Features" if len(blocks) > 1 else None)


def table7_accuracy(cells: pd.DataFrame, baseline: str) -> Table:
    """Accuracy in percent, mean ± sd: the baseline, then by dose the generators, x classifiers (Table 7 of the paper).

    Arms without synthetic images other than the baseline (oversampling, say) follow it.
    """
    accuracy = accuracy_cells(cells)
    accuracy = accuracy[accuracy["dose"].notna()].assign(first=lambda rows: rows["arm"] != baseline)
    accuracy = accuracy.sort_values(["dose", "first"], kind="stable")
    accuracy = accuracy.assign(
        added=[f"+{int(dose)}" if dose else "0" for dose in accuracy["dose"]], row=training_data(accuracy)
    )
    text = [mean_and_sd(row, factor=100) for _, row in accuracy.iterrows()]
    frame = grid(accuracy, ["added", "row"], "classifier", text, cells["classifier"].unique())
    frame = frame.rename(columns={"added": "Added per class", "row": "Training data"})
    remarks = [f"Mean ± sd over n = {span(accuracy['n'])} training runs.", *_copies_remarks(accuracy)]
    if ((accuracy["dose"] == 0) & (accuracy["arm"] != baseline)).any():
        remarks.append("With 0 stand the controls, too: what they add is no synthetic image under its own label.")
    remarks += [OVER_FINDINGS] * are_findings(cells)
    return Table(frame, "Accuracy (%) of classifiers on the test images", remarks, "Added per class")


def table8_accuracy_change(cells: pd.DataFrame, baseline: str, special: Collection[str] = ()) -> Table:
    """Mean change of accuracy from the baseline in percentage points, computed from Table 7's cells (Table 8).

    Arms that are `special`, which do other than add images of every class to the baseline, have rows, but do not count
    in the row of means.
    """
    means = mean_accuracy_changes(cells, baseline, special)
    frame = means.map(lambda value: number(value, signed=True))
    frame.insert(0, "Training data", means.index)
    remarks = [
        f"Change from the same classifier's {baseline}, averaged over doses.",
        *_means_remarks(means, baseline, [arm for arm in cells["arm"].unique() if arm in special]),
        *_copies_remarks(cells),
        *[OVER_FINDINGS] * are_findings(cells),
    ]
    return Table(frame.reset_index(drop=True), "Mean change of accuracy in percentage points", remarks)


def table9_per_class(cells: pd.DataFrame, baseline: str) -> Table:
    """Precision, recall and F1 of each class, mean ± sd, for the classifier of the highest accuracy (Table 9).

    Rows: the baseline, the other arms without synthetic images, and of arms that differ in their dose the one with the
    highest accuracy among those that have scores per class (the only one, where there is one). Of a multi-label study
    the same of each finding, with its AUROC and average precision first.
    """
    metrics = PER_FINDING_METRICS if are_findings(cells) else PER_CLASS_METRICS
    scores = cells[cells["metric"].isin(list(metrics))]
    accuracy = accuracy_cells(cells)
    accuracy = accuracy[accuracy["classifier"].isin(scores["classifier"])].sort_values(
        "mean", ascending=False, kind="stable"
    )
    classifier = next(iter([*accuracy["classifier"], *scores["classifier"]]), "")
    scores = scores[scores["classifier"] == classifier]
    by_arm = accuracy[accuracy["classifier"] == classifier].drop_duplicates("arm").set_index("arm")["mean"]
    arms = scores.drop_duplicates("arm")[["arm", "dose"]]
    arms = arms.assign(
        data=training_data(arms), accuracy=arms["arm"].map(by_arm).astype(float), appearance=range(len(arms))
    )
    best = arms.sort_values("accuracy", ascending=False, kind="stable").drop_duplicates("data")
    best = best.assign(synthetic=best["dose"] != 0, other=best["arm"] != baseline)
    order = list(best.sort_values(["synthetic", "other", "appearance"])["arm"])
    chosen = scores[scores["arm"].isin(order)]
    chosen = chosen.assign(
        heading=chosen["metric"].map(metrics),
        metric_place=chosen["metric"].map(list(metrics).index),
        arm_place=chosen["arm"].map(order.index),
    ).sort_values(["metric_place", "arm_place"], kind="stable")
    text = [mean_and_sd(row, decimals=4) for _, row in chosen.iterrows()]
    frame = grid(chosen, ["heading", "arm"], "class", text, scores["class"].unique())
    frame = frame.rename(columns={"heading": "Metric", "arm": "Training data"})
    remarks = [
        f"Mean ± sd over n = {span(chosen['n'])} training runs of {classifier}, the most accurate classifier.",
        "Classifier and, of arms with several doses, the dose were chosen by accuracy on the images reported here.",
        *_copies_remarks(chosen),
    ]
    caption = "Scores of each finding" if are_findings(cells) else "Precision, recall and F1 of each class"
    caption = f"{caption} ({classifier})" if classifier else "Scores of each class"
    return Table(frame, caption, remarks, "Metric")


def _means_remarks(means: pd.DataFrame, baseline: str, special: list[str]) -> list[str]:
    other = f"do other than add images of every class to {baseline}"
    if len(means) and "mean" not in means.index:
        return [f"There is no row of means: all arms {other}."]
    weights = "In the row of means each generator and dose has equal weight."
    return [weights, *[f"Arms that {other} do not count in it: {', '.join(special)}."] * bool(special)]


def _copies_remarks(cells: pd.DataFrame) -> list[str]:
    if not cells["arm"].str.endswith(WITHOUT_COPIES).any():
        return []
    return [
        f"…{WITHOUT_COPIES}: synthetic images that were flagged as copies are left out, and nothing takes their place."
    ]


def _certainty(scores: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """What the paper does not print beside an FID, a row per generator; no columns where there is none of it."""
    intervals, floors = (name in scores and scores[name].notna().any() for name in ("low", "floor"))
    rows = {}
    for generator, own in scores.groupby("generator", sort=False):
        by_class = own.drop_duplicates("class").set_index("class").reindex(classes)
        row = {}
        for name, score in by_class.iterrows():
            row |= {f"{name}: interval": _interval(score["low"], score["high"])} if intervals else {}
            row |= {f"{name}: floor": number(score["floor"])} if floors else {}
        rows[generator] = row | ({IMAGES: _numbers(by_class), REFERENCE: own["reference"].iloc[0]} if row else {})
    return pd.DataFrame.from_dict(rows, orient="index")


def _certainty_remarks(fid: pd.DataFrame, columns: pd.Index) -> list[str]:
    if IMAGES not in columns:
        return []
    remark = "Numbers of images that differ between classes stand in the order of the classes."
    if "floor" not in fid or fid["floor"].isna().all():
        return [remark]
    sets = []
    for reference, meaning in floor_meanings(fid["reference"]).items():
        own = fid[fid["reference"] == reference]
        numbers = f"{span(own['floor_n_synthetic'])} and {span(own['floor_n_reference'])}"
        sets.append(f"{meaning}, {numbers} of a class ({reference})")
    return [
        remark,
        f"Floor: the median FID {'; '.join(sets)}.",
        "Intervals and floors are those of FID; those of MS-SSIM stand with all scores.",
    ]


def _numbers(by_class: pd.DataFrame) -> str:
    """Synthetic / real images: of each class, or once where the numbers are the same."""
    sides = []
    for column in ("n_synthetic", "n_reference"):
        counts = ["none" if pd.isna(count) else f"{int(count)}" for count in by_class[column]]
        sides.append(", ".join(counts if len(set(counts)) > 1 else counts[:1]))
    return " / ".join(sides)


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low)}, {number(high)}]"


def _fid_and_similarity(fid: float, similarity: float | None) -> str:
    if pd.isna(fid):
        return ""
    return number(fid) if similarity is None or pd.isna(similarity) else f"{number(fid)} ({number(similarity)})"
