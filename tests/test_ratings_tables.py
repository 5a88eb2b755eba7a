"""Tables and figures of ratings, from simulated readers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from readers import joined, make_key, read

from synthworth.figure_style import GREY
from synthworth.inputs.report import TABLE_SCORES
from synthworth.ratings.comparisons import rating_tests
from synthworth.ratings.examples import choose_examples, draw_examples
from synthworth.ratings.figure import MEDIAN_COLOUR, WIDEST, figure6_ratings
from synthworth.ratings.outputs import write_comparisons, write_correlations, write_preferences, write_summary
from synthworth.tables import TABLES, render_table

GENERATORS = ["gan", "ddpm", "lora"]
CLASSES = ["viral", "healthy"]
KEYS = {
    "single": make_key("single", GENERATORS, CLASSES, images=8, real=6, repeats=6),
    "pair": make_key("pair", GENERATORS, CLASSES, images=8, repeats=4),
    "prompt": make_key("prompt", ["lora"], CLASSES, images=8),
}
NAMES = [name for name, scores in TABLE_SCORES.items() if scores.startswith("rating")]


@pytest.fixture(scope="module")
def rows():
    frames = [read(key, "A", {"real": 1, "lora": -2}, seed=1) for key in KEYS.values()]
    # So many that no generator has fewer than 14 pairs, for which scipy would go through all signs, slowly.
    several = {"single": 40, "pair": 48}
    frames += [read(KEYS[mode], "B", {"lora": -2}, noise=1, seed=2)[:count] for mode, count in several.items()]
    return joined(*frames, keys=KEYS.values())


@pytest.fixture(scope="module")
def scores(rows, tmp_path_factory):
    """The folder of all scores that ratings become."""
    folder = tmp_path_factory.mktemp("scores")
    path = folder / "rating_rows.csv"
    rows.to_csv(path, index=False)
    write_summary(path, folder / "ratings.csv", generators=GENERATORS, classes=CLASSES, ddof=1)
    order = {"generators": GENERATORS, "classes": CLASSES}
    write_preferences(path, folder / "rating_preferences.csv", **order, confidence=0.95)
    outputs = [folder / f"rating_{name}.csv" for name in ("tests", "agreement", "discrimination")]
    write_comparisons(path, *outputs, generators=GENERATORS, confidence=0.95)
    fidelity = pd.DataFrame(
        [(name, label, 10.0 * place) for place, name in enumerate(GENERATORS) for label in CLASSES],
        columns=["generator", "class", "value"],
    )
    fidelity = fidelity.assign(selected=True, metric="fid", extractor="inception", reference="train")
    fidelity.to_csv(folder / "fidelity.csv", index=False)
    comparisons = pd.DataFrame({"classifier": "all", "arm": ["gan+1", "ddpm+1"], "effect": [0.1, 0.2]})
    comparisons.to_csv(folder / "comparisons.csv", index=False)
    others = [folder / f"{name}.csv" for name in ("fidelity", "comparisons", "rating_correlations")]
    write_correlations(path, *others, arms={"gan+1": "gan", "ddpm+1": "ddpm"}, seed=1)
    return folder


def render(name, scores, folder):
    """A table's frame, and its Markdown."""
    outputs = [folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    render_table(name, scores, *outputs, study="s", protocol="honest")
    return pd.read_csv(outputs[0], keep_default_na=False, dtype=str), outputs[1].read_text()


def test_every_table_of_ratings_is_rendered(scores, tmp_path):
    assert len(NAMES) == 8
    for name in NAMES:
        frame, text = render(name, scores / TABLE_SCORES[name], tmp_path)
        assert len(frame) > 1
        assert "Study: s. Protocol: honest" in text
        assert not frame.isin(["nan", "None"]).any(axis=None)


def test_tables_without_ratings_say_so(scores, tmp_path):
    for name in NAMES:
        pd.read_csv(scores / TABLE_SCORES[name]).iloc[:0].to_csv(tmp_path / "scores.csv", index=False)
        frame, text = render(name, tmp_path / "scores.csv", tmp_path)
        assert len(frame) == 0
        assert "No scores." in text


def test_table6_has_real_images_first(scores, tmp_path):
    frame, text = render("table6_ratings", scores / "ratings.csv", tmp_path)
    assert list(frame["Generator"]) == ["real images", *GENERATORS]
    assert list(frame.columns) == ["Generator", "Quality", "Plausibility"]
    means = pd.read_csv(scores / "ratings.csv").set_index(["generator", "score", "class"])
    row = means.loc[("lora", "quality", "all")]
    assert frame.set_index("Generator").loc["lora", "Quality"] == f"{row['mean']:.2f} ± {row['sd']:.2f}"
    assert "Quality: from 1, the lowest, to 5." in text


def test_readers_are_counted_by_what_they_were_asked(scores, tmp_path):
    frame, _ = render("rating_readers", scores / "rating_rows.csv", tmp_path)
    frame = frame.set_index(["Kit", "Reader"])
    single, pair = (f"{mode} {KEYS[mode]['kit'].iloc[0]}" for mode in ("single", "pair"))
    assert list(frame.loc[(single, "B"), ["Quality", "Plausibility", "Shown again"]]) == ["40 of 66"] * 2 + ["0 of 6"]
    assert list(frame.loc[(single, "A"), ["Quality", "Preference", "Shown again"]]) == ["66 of 66", "", "6 of 6"]
    assert frame.loc[(pair, "B"), "Preference"] == "48 of 52"


def test_an_item_that_was_shown_again_counts_with_any_of_its_scores(rows, tmp_path):
    again, last = rows["repeats"] != "", rows["item"] == rows.loc[rows["mode"] == "single", "item"].max()
    # Of the six one has quality alone, and one neither.
    plausible, first = rows["score"] == "plausibility", rows["item"] == "061"
    gone = again & (rows["mode"] == "single") & ((plausible & first) | last)
    rows.assign(value=rows["value"].mask(gone)).to_csv(tmp_path / "rows.csv", index=False)
    frame, _ = render("rating_readers", tmp_path / "rows.csv", tmp_path)
    row = frame[(frame["Reader"] == "A") & (frame["Kit"].str.startswith("single"))].iloc[0]
    assert list(row[["Quality", "Plausibility", "Shown again"]]) == ["65 of 66", "64 of 66", "5 of 6"]


def test_differing_pairs_have_the_better_one_first(scores, tmp_path):
    frame, _ = render("rating_tests", scores / "rating_tests.csv", tmp_path)
    row = frame[(frame["Score"] == "Quality") & (frame["Test"] == "van Elteren, within classes")].iloc[0]
    assert row["Over"] == "generators"
    tests = pd.read_csv(scores / "rating_tests.csv")
    found = tests[
        (tests["score"] == "quality") & (tests["stratified_by"] == "class") & tests["test"].str.endswith("bonferroni")
    ]
    differing = {tuple(pair) for pair in found.loc[found["p"] < 0.05, ["group_1", "group_2"]].to_numpy()}
    assert differing == {("ddpm", "lora"), ("gan", "lora")}
    assert sorted(row["Pairs that differ"].split("; ")) == ["ddpm > lora", "gan > lora"]


def of_incomplete_kits(score="quality", better=1.0):
    """Rows of one reader, to whom ddpm is better by `better` in both classes, and who rated it mostly on the class that
    looks worse in all hands."""
    key = make_key("pair" if score == "preference" else "single", ["gan", "ddpm"], CLASSES, images=30)
    rows = joined(read(key), keys=[key])
    rows = rows[rows["score"] == score]
    place = rows["identity"].str.split("/").str[1].astype(int)
    base = rows["class"].map({"viral": 3.7, "healthy": 1.3}) + better * (rows["source"] == "ddpm")
    low = np.floor(base)
    mostly = {("ddpm", "healthy"), ("gan", "viral")}
    asked = [30 if pair in mostly else 8 for pair in zip(rows["source"], rows["class"], strict=True)]
    values = (low + (place % 10 < 10 * (base - low).round(1))).where(place < asked)
    return rows.assign(value=values)


def stratified_row(rows, folder):
    rating_tests(rows).to_csv(folder / "scores.csv", index=False)
    frame, text = render("rating_tests", folder / "scores.csv", folder)
    return frame[frame["Test"] == "van Elteren, within classes"].iloc[0], text


def test_within_classes_the_winner_is_that_of_the_classes_whatever_the_means_say(tmp_path):
    rows = of_incomplete_kits()
    means = rows.pivot_table(index="class", columns="source", values="value")
    assert (means["ddpm"] > means["gan"] + 0.7).all()
    assert rows.groupby("source")["value"].mean().idxmax() == "gan"
    row, _ = stratified_row(rows, tmp_path)
    assert (row["p"], row["Pairs that differ"]) == ("< 0.001", "ddpm > gan")
    tests = pd.read_csv(tmp_path / "scores.csv")
    within = tests["stratified_by"].notna()
    assert set(tests.loc[within, "test"]) == {"van_elteren", "van_elteren_bonferroni"}
    assert tests.loc[within, ["mean_1", "mean_2"]].isna().all(axis=None)
    assert tests.loc[~within, "mean_1"].notna().all()


def test_of_preferences_the_generator_that_wins_less_for_the_real_image_is_the_better(tmp_path):
    row, text = stratified_row(of_incomplete_kits("preference", better=-1.0), tmp_path)
    assert row["Pairs that differ"] == "ddpm > gan"
    assert "Preference is turned round" in text


def test_agreement_says_where_there_is_none(scores, tmp_path):
    frame, text = render("rating_agreement", scores / "rating_agreement.csv", tmp_path)
    quality = frame[frame["Score"] == "Quality"].set_index(["Agreement", "Reader"])
    assert quality.loc[("with themselves", "A"), "Images"] == "6"
    assert quality.loc[("with themselves", "B"), "Kappa (quadratic)"] == ""
    assert quality.loc[("with each other", "A and B"), "Images"] == "40"
    assert "Quality, B, with themselves: fewer than two images rated twice" in text


def test_preferences_have_classes_and_readers_beside_each_other(scores, tmp_path):
    frame, _ = render("rating_preferences", scores / "rating_preferences.csv", tmp_path)
    assert list(frame.columns) == ["Score", "Generator", "All readers", "p", "n", *CLASSES, "A", "B"]
    assert list(frame["Generator"]) == ["all generators", *GENERATORS, "all generators", "lora"]
    assert frame.loc[frame["Score"] == "Agreement", "B"].tolist() == ["", ""]


def test_correlations_say_why_there_is_none(scores, tmp_path):
    frame, _ = render("rating_correlations", scores / "rating_correlations.csv", tmp_path)
    utility = frame[frame["Against"] == "utility"]
    assert set(utility["Why there is no number"]) == {"fewer than 3 points"}
    assert set(utility["Spearman"]) == {""}
    assert set(frame["Against"]) == {"FID (inception, train)", "utility"}


def test_figure6_bars_are_as_wide_as_the_shares(rows):
    figure = figure6_ratings(rows, GENERATORS, CLASSES)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["all classes", *CLASSES] * 2
    axes = figure.axes[1]
    own = rows[(rows["score"] == "quality") & (rows["class"] == "viral") & rows["value"].notna()]
    own = own[own["source"] == "gan"].drop_duplicates(["reader", "identity"])["value"]
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in axes.containers[1]}
    for score in range(1, 6):
        assert bars[score].get_width() == pytest.approx(WIDEST * (own == score).mean())
        assert bars[score].get_x() + bars[score].get_width() / 2 == pytest.approx(1)
    medians = [line.get_ydata()[0] for line in axes.lines if line.get_color() == MEDIAN_COLOUR]
    assert medians[1] == own.median()
    assert len(medians) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real images", *GENERATORS, "median"]
    assert figure.legends[0].legend_handles[0].get_facecolor()[:3] == pytest.approx(
        tuple([int(GREY[1:3], 16) / 255] * 3)
    )


def test_figure6_of_one_class_has_no_panel_for_all(rows):
    assert [axes.get_title() for axes in figure6_ratings(rows[rows["class"] == "viral"]).axes] == ["viral", "viral"]


def test_figure6_of_no_single_images_is_valid(rows):
    figure = figure6_ratings(rows[rows["mode"] == "pair"])
    assert figure.axes[0].texts[0].get_text() == "No scores."


def rated(**scores):
    """Rows of one kit whose synthetic images have these (quality, plausibility); all else is in the middle."""
    key = make_key("single", ["gan"], ["viral"], images=8, real=2)
    frame = read(key).assign(quality=3, plausibility=2).set_index("item")
    for item, values in scores.items():
        frame.loc[item.removeprefix("i"), ["quality", "plausibility"]] = values
    return key, joined(frame.reset_index(), keys=[key])


def test_figure5_takes_the_image_nearest_to_each_corner():
    key, rows = rated()
    made, real = (key.loc[(key["source"] == "real") == is_real, "item"].tolist() for is_real in (False, True))
    scores = [(4, 3), (5, 3), (5, 3), (5, 1), (2, 1), (1, 1), (3, 1)]
    rows = rated(**{f"i{item}": pair for item, pair in zip(made, scores, strict=False)}, **{f"i{real[0]}": (1, 3)})[1]
    found = choose_examples(rows, [key["kit"].iloc[0]])
    files = key.set_index("item")["file"]
    assert list(found["file"]) == [files[made[1]], files[made[3]], "", files[made[5]]]
    assert list(found["quality_side"]) == ["high", "high", "low", "low"]
    assert list(found["plausibility_side"]) == ["high", "low"] * 2
    assert found.loc[0, ["quality", "plausibility", "source", "class"]].tolist() == [5, 3, "gan", "viral"]
    # Of kits that are not at hand there is nothing to show.
    assert set(choose_examples(rows, [])["file"]) == {""}


def test_figure5_is_drawn_from_the_kits_images(tmp_path):
    key, rows = rated(i001=(5, 3), i002=(1, 1), i003=(5, 3), i004=(1, 1), i005=(1, 1))
    kit = tmp_path / "kit"
    (kit / "images").mkdir(parents=True)
    for place, file in enumerate(key["file"]):
        Image.fromarray(np.full((16, 16), 20 * place, np.uint8)).save(kit / file)
    key.to_csv(tmp_path / "key.csv", index=False)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    outputs = tmp_path / "figure5.png", tmp_path / "figure5.pdf"
    draw_examples(tmp_path / "rows.csv", [tmp_path / "key.csv"], [], [kit], *outputs, "x", "s", "honest")
    with Image.open(outputs[0]) as image:
        pixels = np.asarray(image.convert("L"))
    chosen = choose_examples(rows, [key["kit"].iloc[0]])
    for file in chosen.loc[chosen["file"] != "", "file"]:
        shade = 20 * list(key["file"]).index(file)
        assert (pixels == shade).sum() > 10_000
    assert Path(outputs[1]).read_bytes().startswith(b"%PDF")


def test_every_table_of_ratings_is_a_table():
    assert set(NAMES) <= set(TABLES)
