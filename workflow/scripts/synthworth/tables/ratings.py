"""Tables of readers' ratings: Table 6 of Schaudt et al. 2023, and what the paper's reader could not tell alone."""

import pandas as pd

from synthworth.figure_style import metric_label
from synthworth.ratings.scales import ALL, FOR_REAL, REAL
from synthworth.tables.layout import Table, grid, mean_and_sd, p_value, span

REAL_ROW, ALL_ROW, READERS_ROW = "real images", "all generators", "all readers"
MEANINGS = {
    "quality": "Quality: from 1, the lowest, to 5",
    "plausibility": "Plausibility: from 1, inappropriate, to 3, characteristic",
    "preference": "Preference: from -2, the synthetic image is far more realistic, to 2, the real one is; 0: neither",
    "agreement": "Agreement of images with their prompts: from -2, none, to 2, full",
}
EXACT = "exact_agreement"
MEASURES = {
    "kappa_quadratic": "Kappa (quadratic)",
    "kappa_linear": "Kappa (linear)",
    EXACT: "Same score (%)",
}
TESTS = {
    ("kruskal_wallis", ""): "Kruskal–Wallis",
    ("dunn_bonferroni", ""): "Dunn–Bonferroni",
    ("van_elteren", "class"): "van Elteren, within classes",
    ("van_elteren_bonferroni", "class"): "van Elteren–Bonferroni, within classes",
    ("van_elteren", "generator"): "van Elteren, within generators",
    ("van_elteren_bonferroni", "generator"): "van Elteren–Bonferroni, within generators",
}
LEVEL = 0.05


def table6_ratings(ratings: pd.DataFrame) -> Table:
    """Readers' ratings over all classes: generators x scores, mean ± sd (Table 6 of the paper), real images first."""
    overall = ratings[ratings["class"] == ALL]
    frame = grid(overall, ["generator"], "score", [mean_and_sd(row) for _, row in overall.iterrows()])
    frame = _named(frame, "generator", "Generator").rename(
        columns={name: name.capitalize() for name in overall["score"]}
    )
    remarks = [f"Mean ± sd of n = {span(overall['n'])} ratings. {_scales(overall['score'])}"]
    return Table(frame, "Readers' ratings over all classes", remarks)


def ratings_by_class(ratings: pd.DataFrame) -> Table:
    """The same of each class."""
    own = ratings[ratings["class"] != ALL].sort_values("score", kind="stable", key=_in_order)
    text = [mean_and_sd(row) for _, row in own.iterrows()]
    frame = grid(own, ["score", "generator"], "class", text, ratings.loc[ratings["class"] != ALL, "class"].unique())
    frame["score"] = frame["score"].astype(str).str.capitalize()
    frame = _named(frame, "generator", "Generator").rename(columns={"score": "Score"})
    remarks = [f"Mean ± sd of n = {span(own['n'])} ratings of a generator and class. {_scales(own['score'])}"]
    return Table(frame, "Readers' ratings of each class", remarks, "Score")


def rating_readers(rows: pd.DataFrame) -> Table:
    """How much each reader rated of what was asked, and how fast, from the rows of `ratings.joining`."""
    found = []
    for (mode, kit, reader), own in rows.groupby(["mode", "kit", "reader"], sort=False):
        line = {"Kit": f"{mode} {kit}", "Reader": reader}
        for score, asked in own.groupby("score", sort=False):
            line[score.capitalize()] = _of(asked["value"].notna().sum(), len(asked))
        # An item counts with any of its scores.
        again = own[own["repeats"] != ""].groupby("item")["value"].count()
        line["Shown again"] = _of((again > 0).sum(), len(again))
        seconds = own.drop_duplicates("item")["seconds"]
        line["Seconds per item (median)"] = "" if seconds.isna().all() else f"{seconds.median():.0f}"
        found.append(line)
    last = ["Shown again", "Seconds per item (median)"]
    first = [name for name in dict.fromkeys(name for line in found for name in line) if name not in last]
    frame = pd.DataFrame(found, columns=[*(first or ["Kit", "Reader"]), *last]).fillna("")
    remarks = [
        "Rated of asked. What a reader left out counts nowhere; incomplete kits are used as far as they go. Items that "
        "were shown again count for agreement alone."
    ]
    return Table(frame, "What readers rated", remarks, "Kit")


def rating_tests(tests: pd.DataFrame) -> Table:
    """The rank tests over generators and over classes."""
    omnibus = tests["test"].isin(["kruskal_wallis", "van_elteren"])
    own = tests[omnibus]
    pairs = tests[~omnibus]
    frame = pd.DataFrame(
        {
            "Score": own["score"].str.capitalize(),
            "Over": own["factor"].map({"generator": "generators", "class": "classes"}),
            "Test": [TESTS[row.test, row.stratified_by] for row in own.itertuples()],
            "Statistic": ["" if pd.isna(value) else f"{value:.1f}" for value in own["statistic"]],
            "p": own["p"].map(p_value),
            "Images": own["n_1"].map("{:.0f}".format),
            "Pairs that differ": [_pairs_that_differ(pairs, row) for row in own.itertuples()],
        }
    )
    remarks = [
        "Of synthetic images; of several readers an image has the mean, so that n counts images. Kruskal–Wallis and "
        "Dunn–Bonferroni are the paper's. Van Elteren's test ranks images within each class (or generator) alone: a "
        "generator that was rated on more images of a class that all draw well gains nothing by it.",
        f"Pairs that differ: p < {LEVEL} after Bonferroni, the one with the higher ranks first: within classes, of the "
        "ranks there, whatever the means over all classes say. Preference is turned round, so that the first one is "
        "again the better. All p: scores/rating_tests.csv.",
    ]
    return Table(frame.reset_index(drop=True), "Do ratings differ?", remarks, "Score")


def rating_agreement(agreement: pd.DataFrame) -> Table:
    """Agreement within and between readers."""
    kinds = {"within": "with themselves", "between": "with each other"}
    named = agreement.assign(
        score=agreement["score"].str.capitalize(),
        kind=agreement["kind"].map(kinds).astype(object),
        reader=agreement["reader_1"].combine(agreement["reader_2"], _who).astype(object),
        images=agreement["n"].map("{:.0f}".format),
    )
    names = ["score", "kind", "reader"]
    percent = agreement["measure"].map(lambda measure: 100 if measure == EXACT else 1)
    numbers = agreement[["value", "low", "high"]].mul(percent, axis=0).to_numpy(float)
    text = [_interval(*row, 0 if factor == 100 else 2) for row, factor in zip(numbers, percent, strict=True)]
    frame = grid(named, names, "measure", text, list(MEASURES)).rename(columns=MEASURES)
    frame = frame.merge(named[[*names, "images"]].drop_duplicates(names), on=names)
    unknown = named[(named["measure"] != EXACT) & (named["reason"] != "")].drop_duplicates(names)
    reasons = "; ".join(f"{row.score}, {row.reader}, {row.kind}: {row.reason}" for row in unknown.itertuples())
    frame = frame.rename(columns={"score": "Score", "kind": "Agreement", "reader": "Reader", "images": "Images"})
    remarks = [
        "Weighted kappa: 1 is full agreement, 0 that of chance; in brackets intervals over images. With themselves: on "
        f"images that were shown again. With each other: on images that both rated. {READERS_ROW.capitalize()}: the "
        "mean of theirs, or of their pairs. Kappa falls where nearly all images have one score, however well readers "
        "agree: read it beside the share.",
        *([f"Without number or interval: {reasons}."] if reasons else []),
    ]
    return Table(frame, "Do readers agree?", remarks if len(frame) else [], "Score")


def rating_discrimination(discrimination: pd.DataFrame) -> Table:
    """How well readers tell real images from synthetic ones."""
    text = [_interval(*row, 2) for row in discrimination[["auroc", "low", "high"]].to_numpy(float)]
    named = discrimination.assign(
        score=discrimination["score"].str.capitalize(), reader=discrimination["reader"].replace(ALL, READERS_ROW)
    )
    frame = grid(named, ["score", "reader"], "generator", text)
    frame = frame.rename(columns={"score": "Score", "reader": "Reader", ALL: ALL_ROW.capitalize()})
    reasons = "; ".join(named.loc[named["reason"] != "", "reason"].unique())
    remarks = [
        "AUROC, with intervals over images: the share of pairs of a real and a synthetic image of one class in which "
        "the real one has the better score, ties half. 0.5: readers cannot tell them apart; above, real images look "
        f"better. {span(discrimination['n_real'])} real and {span(discrimination['n_synthetic'])} synthetic images.",
        f"Preference: of the pairs that were shown. {READERS_ROW.capitalize()}: each image with the mean of its "
        "readers, which tells more than one of them alone.",
        *([f"Empty: {reasons}."] if reasons else []),
    ]
    return Table(frame, "Do readers tell real images from synthetic ones?", remarks if len(frame) else [], "Score")


def rating_preferences(preferences: pd.DataFrame) -> Table:
    """Mean preference and agreement of each generator: of all readers, then by class and by reader."""
    names = ["score", "generator"]
    together, over_classes = preferences["reader"] == ALL, preferences["class"] == ALL
    overall = preferences[together & over_classes]
    by_class = preferences[together & ~over_classes]
    readers = preferences[~together & over_classes]
    tests = overall["p_adjusted"].fillna(overall["p_wilcoxon"])
    frame = overall[names].assign(
        **{READERS_ROW.capitalize(): _means(overall), "p": tests.map(p_value), "n": overall["n"].map("{:.0f}".format)}
    )
    frame = frame.merge(grid(by_class, names, "class", _means(by_class.assign(low=None))), on=names, how="left")
    if len(set(readers["reader"])) > 1:
        frame = frame.merge(grid(readers, names, "reader", _means(readers)), on=names, how="left", suffixes=("", " "))
    frame = frame.fillna("").assign(score=frame["score"].str.capitalize())
    frame["generator"] = frame["generator"].replace(ALL, ALL_ROW)
    meanings = ". ".join(MEANINGS[score] for score in preferences["score"].unique())
    remarks = [
        f"{meanings}. Means, over all classes with intervals; of several readers each image has their mean.",
        f"n: pairs or images. p: Wilcoxon's signed ranks of {READERS_ROW} against 0, after Holm over the generators; "
        "the sign test, and what each reader says of each class: scores/rating_preferences.csv.",
    ]
    frame = frame.rename(columns={"score": "Score", "generator": "Generator"})
    return Table(frame, "Preference and agreement with prompts", remarks if len(frame) else [], "Score")


def rating_correlations(correlations: pd.DataFrame) -> Table:
    """Rank correlations of mean ratings with other scores."""
    own = correlations[correlations["coefficient"] == "spearman"].reset_index(drop=True)
    tau = correlations[correlations["coefficient"] == "kendall"].reset_index(drop=True)
    frame = pd.DataFrame(
        {
            "Score": own["score"].str.capitalize(),
            "Against": [metric_label(row.against, row.extractor, row.reference) for row in own.itertuples()],
            "Over": own["over"].map({"cells": "generators × classes", "generators": "generators"}),
            "n": own["n"].map("{:.0f}".format),
            "Spearman": own["value"].map(_signed),
            "p": own["p"].map(p_value),
            "Kendall": tau["value"].map(_signed),
            "p (Kendall)": tau["p"].map(p_value),
            "Why there is no number": own["reason"].fillna(""),
        }
    )
    if (frame["Why there is no number"] == "").all():
        frame = frame.drop(columns="Why there is no number")
    remarks = [
        "Rank correlations of mean ratings, which are the higher, the better readers find a generator; preference is "
        "turned round for that, to be positive where the synthetic image won. For FID and KID lower is nearer to real "
        "images, so that of them one which sees what readers see is negative. Utility: the mean effect of the "
        "generator's arms on classifiers; if it follows what readers see, positive.",
        "p: two-sided, from arrangements of whole generators, for the classes of one do not count as independent. Of "
        "few generators no small p can come: of three none below 0.33, of five none below 0.017.",
    ]
    return Table(frame, "Do scores tell what readers see?", remarks if len(frame) else [], "Score")


def _named(frame: pd.DataFrame, column: str, heading: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].replace(REAL, REAL_ROW)}).rename(columns={column: heading})


def _in_order(column: pd.Series) -> pd.Series:
    return column.map({name: place for place, name in enumerate(column.unique())})


def _scales(scores: pd.Series) -> str:
    return " ".join(f"{MEANINGS[name]}." for name in scores.unique())


def _means(preferences: pd.DataFrame) -> list[str]:
    return [_interval(mean, low, high, 2) for mean, low, high in preferences[["mean", "low", "high"]].to_numpy(float)]


def _of(rated: int, asked: int) -> str:
    return f"{rated} of {asked}" if asked else ""


def _pairs_that_differ(pairs: pd.DataFrame, omnibus: tuple) -> str:
    """`none`, or the names of those that do, the better one first."""
    own = pairs[
        (pairs["score"] == omnibus.score)
        & (pairs["factor"] == omnibus.factor)
        & (pairs["stratified_by"] == omnibus.stratified_by)
    ]
    if omnibus.reason:
        return omnibus.reason
    worse: dict[str, list[str]] = {}
    for row in own[own["p"] < LEVEL].itertuples():
        first_is_better = (row.surplus > 0) != (row.score in FOR_REAL)
        better, other = (row.group_1, row.group_2) if first_is_better else (row.group_2, row.group_1)
        worse.setdefault(better, []).append(other)
    # Those that are better than most come first.
    order = sorted({*own["group_1"], *own["group_2"]}, key=lambda name: (-len(worse.get(name, [])), name))
    lines = [f"{name} > {', '.join(sorted(worse[name], key=order.index))}" for name in order if name in worse]
    return "; ".join(lines) or "none"


def _who(one: str, other: str) -> str:
    if one == ALL:
        return READERS_ROW
    return one if one == other else f"{one} and {other}"


def _interval(value: float, low: float, high: float, decimals: int) -> str:
    if pd.isna(value):
        return ""
    shown = f"{round(value, decimals) + 0.0:.{decimals}f}"
    return shown if pd.isna(low) else f"{shown} [{round(low, decimals) + 0.0:.{decimals}f}, {high:.{decimals}f}]"


def _signed(value: float) -> str:
    return "" if pd.isna(value) else f"{round(value, 2) + 0.0:+.2f}"
