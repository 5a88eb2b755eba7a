"""Tables from scores: the paper's numbers, the arithmetic behind them, and files that readers can take."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from synthworth import cells as cell_scores
from synthworth.inputs.report import TABLE_SCORES as SCORES
from synthworth.published import read_published, write_published
from synthworth.tables import TABLES, papers, ratings, render_table
from synthworth.tables import fidelity as tables_fidelity
from synthworth.tables.layout import mean_and_sd, number
from synthworth.tables.typesetting import escape_latex, escape_markdown, write_table

FOLDER = Path(__file__).parents[1] / "resources/published"
PAPER_TABLES = sorted(name for name in TABLES if name[:6] in {f"table{number}" for number in range(5, 10)})


@pytest.fixture(scope="module")
def published():
    return read_published(FOLDER)


def printed(table):
    return pd.read_csv(FOLDER / table)


def by_row(frame, *columns):
    return frame.set_index(list(columns))


def a_run(arm, value, seed=0, classifier="resnet", generator=None, dose=0, metric="accuracy", name="all"):
    return {
        "classifier": classifier,
        "arm": arm,
        "generator": generator or arm,
        "dose": dose,
        "seed": seed,
        "metric": metric,
        "class": name,
        "value": value,
    }


def some_cells(*runs):
    return cell_scores.aggregate_runs(pd.DataFrame(runs), ddof=1)


def test_table8_is_computed_from_table7_in_all_35_cells(published):
    frame = by_row(papers.table8_accuracy_change(published["cells"], "Baseline").frame, "Training data")
    expected = printed("table8_accuracy_change.csv")
    assert len(expected) == 35
    for row in expected.itertuples():
        assert float(frame.loc[row.generator, row.classifier]) == row.change_pp, (row.generator, row.classifier)
    assert (frame.shape, frame.loc["mean", "Overall"]) == ((6, 6), "")


def test_table8_mean_row_weights_each_generator_and_dose_equally():
    cells = some_cells(
        a_run("baseline", 0.5),
        a_run("a+1", 0.6, generator="a", dose=1),
        a_run("a+2", 0.6, generator="a", dose=2),
        a_run("b+1", 0.9, generator="b", dose=1),
    )
    means = cell_scores.mean_accuracy_changes(cells, "baseline")["resnet"]
    assert means.to_dict() == pytest.approx({"a": 10, "b": 40, "mean": 20})


def test_table8_means_are_over_the_papers_arms_alone():
    runs = [a_run("baseline", 0.5), a_run("a+1", 0.6, generator="a", dose=1), a_run("b+1", 0.9, generator="b", dose=1)]
    runs += [a_run(arm, 0.1, generator="b", dose=1) for arm in ("replace", "pretrain")]
    special = ["replace", "pretrain", "balanced"]
    table = papers.table8_accuracy_change(some_cells(*runs), "baseline", special)
    rows = {"a": "+10.00", "b": "+40.00", "replace": "-40.00", "pretrain": "-40.00", "mean": "+25.00"}
    assert dict(zip(table.frame["Training data"], table.frame["resnet"], strict=True)) == rows
    assert table.remarks[2] == (
        "Arms that do other than add images of every class to baseline do not count in it: replace, pretrain."
    )
    alone = papers.table8_accuracy_change(some_cells(runs[0], runs[3]), "baseline", special)
    assert "mean" not in set(alone.frame["Training data"])
    assert alone.remarks[1:] == [
        "There is no row of means: all arms do other than add images of every class to baseline."
    ]
    usual = papers.table8_accuracy_change(some_cells(*runs[:3]), "baseline", special)
    assert usual.remarks[1:] == ["In the row of means each generator and dose has equal weight."]


def test_table7_prints_what_the_paper_prints(published):
    frame = by_row(papers.table7_accuracy(published["cells"], "Baseline").frame, "Added per class", "Training data")
    expected = printed("table7_accuracy.csv")
    for row in expected.itertuples():
        added = f"+{row.added_per_class}" if row.added_per_class else "0"
        text = f"{row.accuracy_mean:.2f} ± {row.accuracy_std:.2f}"
        assert frame.loc[(added, row.generator), row.classifier] == text
    assert frame.shape == (28, 5)
    assert frame.index[0] == ("0", "Baseline")
    assert list(dict.fromkeys(frame.index.get_level_values(0)))[-2:] == ["+5000", "+10000"]


def test_table5_prints_what_the_paper_prints(published):
    table = papers.table5_fid(published["fidelity"])
    frame = by_row(table.frame, "Generator")
    for row in printed("table5_fid.csv").itertuples():
        assert frame.loc[row.generator, row[2]] == f"{row.fid:.2f} ({row.ms_ssim:.2f})"
    assert list(frame.loc["mean"]) == ["130.39", "99.24", "131.44", "145.55", "124.57", ""]
    # The paper has 95.52 for the GAN: the mean of its printed values is 95.526.
    assert list(frame["Mean"][:5]) == ["95.53", "149.09", "117.21", "114.05", "155.32"]
    assert "inception features between 50 synthetic and 50 real" in table.remarks[0]


def test_table6_prints_what_the_paper_prints(published):
    frame = by_row(ratings.table6_ratings(published["ratings"]).frame, "Generator")
    for row in printed("table6_ratings.csv").itertuples():
        assert frame.loc[row.generator, "Quality"] == f"{row.quality_mean:.2f} ± {row.quality_std:.2f}"
        assert frame.loc[row.generator, "Plausibility"] == f"{row.plausibility_mean:.2f} ± {row.plausibility_std:.2f}"


def test_table9_prints_what_the_paper_prints(published):
    table = papers.table9_per_class(published["cells"], "Baseline")
    frame = by_row(table.frame, "Metric", "Training data")
    for row in printed("table9_per_class.csv").itertuples():
        name = row.training_data if row.training_data in ("Baseline", "Oversampling") else f"{row.training_data}+best"
        heading = {"precision": "Precision", "recall": "Recall", "f1": "F1"}[row.metric]
        assert frame.loc[(heading, name), row[3]] == f"{row.mean:.4f} ± {row.std:.4f}"
    assert len(frame) == 21
    assert "ConvNeXt-S" in table.caption


def test_table9_takes_the_best_classifier_and_of_each_generator_the_best_arm():
    runs = []
    for classifier, base in [("weak", 0.5), ("strong", 0.7)]:
        for arm, generator, dose, gain in [
            ("gan+100", "gan", 100, 0.0),
            ("gan+250", "gan", 250, 0.1),
            ("baseline", None, 0, 0.05),
            ("oversampling", None, 0, 0.2),
        ]:
            place = {"classifier": classifier, "generator": generator, "dose": dose}
            runs.append(a_run(arm, base + gain, **place))
            runs += [a_run(arm, 0.5, metric="recall", name=name, **place) for name in ("viral", "healthy")]
    table = papers.table9_per_class(some_cells(*runs), "baseline")
    assert list(table.frame["Training data"]) == ["baseline", "oversampling", "gan+250"]
    assert list(table.frame.columns[2:]) == ["viral", "healthy"]
    assert "strong" in table.caption


def test_runs_aggregate_over_seeds_with_either_deviation():
    runs = pd.DataFrame([a_run("baseline", value, seed) for seed, value in enumerate([0.6, 0.7, 0.8, np.nan])])
    population, sample = (cell_scores.aggregate_runs(runs, ddof).iloc[0] for ddof in (0, 1))
    assert (population["mean"], population["n"]) == (pytest.approx(0.7), 3)
    assert population["sd"] == pytest.approx(np.std([0.6, 0.7, 0.8]))
    assert sample["sd"] == pytest.approx(0.1)
    assert list(cell_scores.aggregate_runs(runs, 1).columns) == [*cell_scores.CELL_KEYS, "mean", "sd", "n"]


@pytest.mark.parametrize("ddof", [0, 1])
def test_one_seed_shows_no_spread(ddof):
    cells = cell_scores.aggregate_runs(pd.DataFrame([a_run("baseline", 0.5)]), ddof)
    assert list(papers.table7_accuracy(cells, "baseline").frame["resnet"]) == ["50.00"]


def test_two_arms_of_a_generator_at_one_dose_stay_apart():
    cells = some_cells(
        a_run("baseline", 0.5),
        a_run("gan+100", 0.6, generator="gan", dose=100),
        a_run("gan-replace+100", 0.3, generator="gan", dose=100),
    )
    assert list(papers.table7_accuracy(cells, "baseline").frame["Training data"]) == ["baseline", "gan", "gan-replace"]
    assert list(cell_scores.mean_accuracy_changes(cells, "baseline")["resnet"].round(6)) == [10, -20, -5]


def test_controls_of_several_numbers_of_images_all_have_rows():
    runs = [a_run("baseline", 0.5), a_run("gan+100", 0.6, generator="gan", dose=100)]
    runs += [a_run(f"shuffled_labels+{count}", 0.4) for count in (100, 500)]
    runs += [run | {"metric": "recall", "class": "viral"} for run in runs]
    controls = ["shuffled_labels+100", "shuffled_labels+500"]
    for name, last in (("table7_accuracy", "gan"), ("table9_per_class", "gan+100")):
        table = TABLES[name](some_cells(*runs), "baseline")
        assert list(table.frame["Training data"]) == ["baseline", *controls, last]


def test_an_arm_that_uses_a_generators_images_otherwise_is_no_dose_of_it():
    runs = [a_run("baseline", 0.5), a_run("gan+100", 0.6, generator="gan", dose=100)]
    runs += [a_run("balanced", 0.7, generator="gan", dose=250), a_run("ddpm", 0.8, generator="ddpm", dose=250)]
    changes = cell_scores.accuracy_changes(some_cells(*runs), "baseline")
    assert list(changes["training_data"]) == ["gan", "balanced", "ddpm"]
    runs += [run | {"metric": "recall", "class": "viral"} for run in runs]
    table = papers.table9_per_class(some_cells(*runs), "baseline")
    assert list(table.frame["Training data"]) == ["baseline", "gan+100", "balanced", "ddpm"]


def test_rows_say_that_copies_were_left_out():
    end = cell_scores.WITHOUT_COPIES
    runs = [a_run("baseline", 0.5), a_run("oversampling", 0.5)]
    for name, gain in [("gan", 0.1), ("gan-replace", 0.2)]:
        runs.append(a_run(f"{name}+100{end}", 0.5 + gain, generator="gan", dose=100))
    runs.append(a_run(f"ddpm+100{end}", 0.8, generator="ddpm", dose=100))
    runs.append(a_run("ddpm+100", 0.9, generator="ddpm", dose=100))
    runs += [run | {"metric": "recall", "class": "viral"} for run in runs]
    tables = {name: TABLES[name](some_cells(*runs), "baseline") for name in PAPER_TABLES if name > "table7"}
    copied = [f"gan{end}", f"gan-replace{end}", f"ddpm{end}", "ddpm"]
    assert list(tables["table7_accuracy"].frame["Training data"]) == ["baseline", "oversampling", *copied]
    assert list(tables["table8_accuracy_change"].frame["Training data"]) == [*copied, "mean"]
    best = ["baseline", "oversampling", *(f"{name}+100{end}" for name in ("gan", "gan-replace", "ddpm")), "ddpm+100"]
    assert list(tables["table9_per_class"].frame["Training data"]) == best
    assert all(any(f"{end}:" in remark for remark in table.remarks) for table in tables.values())


def test_nothing_is_said_of_copies_where_none_were_left_out(published):
    for name in ("table7_accuracy", "table8_accuracy_change", "table9_per_class"):
        assert "copies" not in " ".join(TABLES[name](published["cells"], "Baseline").remarks)


def test_table5_has_a_block_per_extractor_and_only_selected_checkpoints():
    rows = [
        {"generator": "gan", "scope": name, "class": name, "step": step, "selected": step == 20, "metric": metric}
        | {"selected_by": extractor == "domain"}
        | {"extractor": extractor, "reference": "select", "n_synthetic": 50, "n_reference": count}
        | {"value": value * step}
        for name, count in [("viral", 16), ("healthy", 130)]
        for metric, extractor, value in [("fid", "inception", 4), ("fid", "domain", 1), ("ms_ssim", "", 0.01)]
        for step in (10, 20)
    ]
    table = papers.table5_fid(pd.DataFrame(rows))
    assert table.frame.to_numpy().tolist() == [
        ["inception, select", "gan", "80.00 (0.20)", "80.00 (0.20)", "80.00"],
        ["inception, select", "mean", "80.00", "80.00", ""],
        ["domain, select", "gan", "20.00 (0.20)", "20.00 (0.20)", "20.00"],
        ["domain, select", "mean", "20.00", "20.00", ""],
    ]
    assert "16 to 130 real images" in table.remarks[1]
    # Beside every table of these scores, and nowhere where checkpoints were taken unseen.
    luck = "Chosen by FID (domain, select), of these same images, among so many checkpoints: 2 (gan). The best of"
    assert table.remarks[-1].startswith(luck)
    assert tables_fidelity.fidelity(pd.DataFrame(rows)).remarks[-1] == table.remarks[-1]
    unseen = pd.DataFrame(rows).assign(selected_by=False)
    for build in (papers.table5_fid, tables_fidelity.fidelity):
        assert "lucky" not in " ".join(build(unseen).remarks)


def test_table5_shows_how_sure_each_fid_is_right_of_the_papers_columns():
    rows = [
        {"generator": generator, "class": name, "step": 20, "selected": True, "metric": "fid", "value": value}
        | {"extractor": "domain", "reference": reference, "n_synthetic": 50, "n_reference": count}
        | {"low": low, "high": value + 2, "floor": floor, "floor_n_synthetic": 9, "floor_n_reference": count // 2}
        for generator, name, reference, value, count, low, floor in [
            ("gan", "viral", "train", 12, 46, 10, 5.128),
            ("gan", "healthy", "train", 20, 50, None, 4),
            ("lora", "healthy", "train", 30, 50, 25, 4),
            ("gan", "viral", "select", 40, 46, 39, None),
        ]
    ]
    table = papers.table5_fid(pd.DataFrame(rows))
    per_class = [f"{name}: {what}" for name in ("viral", "healthy") for what in ("interval", "floor")]
    assert list(table.frame.columns) == [
        *["Features", "Generator", "viral", "healthy", "Mean", *per_class, papers.IMAGES, papers.REFERENCE],
    ]
    assert table.frame.iloc[:, 1:].to_numpy().tolist() == [
        ["gan", "12.00", "20.00", "16.00", "[10.00, 14.00]", "5.13", "", "4.00", "50 / 46, 50", "train"],
        ["lora", "", "30.00", "30.00", "", "", "[25.00, 32.00]", "4.00", "none, 50 / none, 50", "train"],
        ["mean", "12.00", "25.00", "", "", "", "", "", "", ""],
        ["gan", "40.00", "", "40.00", "[39.00, 42.00]", "", "", "", "50, none / 46, none", "select"],
        ["mean", "40.00", "", "", "", "", "", "", "", ""],
    ]
    assert (
        "Floor: the median FID between disjoint sets of real training images, 9 and 23 to 25 of a class (train); "
        "between sets of real training images and the held-out images, 9 and 23 of a class (select)."
    ) in table.remarks
    held_out = pd.DataFrame(rows).assign(reference="select")
    assert "disjoint" not in " ".join(papers.table5_fid(held_out).remarks)
    without = pd.DataFrame(rows).drop(columns=["low", "high", "floor"])
    assert list(papers.table5_fid(without).frame.columns) == ["Features", "Generator", "viral", "healthy", "Mean"]


def test_all_scores_stand_with_their_intervals_and_floors():
    shared = {"scope": "viral", "class": "viral", "step": 20, "selected": True, "n_synthetic": 50, "n_reference": 50}
    rows = [
        {"generator": generator, "metric": metric, "extractor": extractor, "reference": reference, "value": value}
        | {"low": low, "high": high, "floor": floor}
        for generator, metric, extractor, reference, value, low, high, floor in [
            ("gan", "fid", "domain", "train", 120, 100, 140.25, 30),
            ("gan", "ms_ssim", "", "", 0.25, None, None, 0.5),
            ("ddpm", "fid", "domain", "train", 90, 80, 101, 30),
            ("ddpm", "kid", "domain", "select", 0.012, -0.001, 0.02, None),
        ]
    ]
    frame = pd.DataFrame(rows).assign(**shared)
    assert tables_fidelity.fidelity(frame).frame.to_numpy().tolist() == [
        ["FID (domain, train)", "gan", "120.0 [100.0, 140.2]"],
        ["FID (domain, train)", "ddpm", "90.00 [80.00, 101.00]"],
        ["FID (domain, train)", "real against real", "30.00"],
        ["MS-SSIM", "gan", "0.250"],
        ["MS-SSIM", "real against real", "0.500"],
        ["KID (domain, select)", "ddpm", "0.012 [-0.001, 0.020]"],
    ]
    with_error = tables_fidelity.fidelity(frame.assign(standard_error=[None, None, None, 0.0071]))
    assert with_error.frame["viral"].iloc[-1] == "0.012 ± 0.0071 [-0.001, 0.020]"
    assert "± is KID's standard error. It takes each real image as independent" in with_error.remarks[0]
    assert "between disjoint sets of real training images (train); between sets of real" in with_error.remarks[1]
    assert "which fewer than 4 images on a side do not tell" in tables_fidelity.fidelity(frame).remarks[0]
    without = tables_fidelity.fidelity(frame.drop(columns=["low", "high", "floor"])).frame
    assert without["viral"].tolist() == ["120.0", "90.00", "0.250", "0.012"]
    assert tables_fidelity.fidelity(frame.iloc[:0]).frame.empty


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_missing_scores_give_an_empty_table(name, tmp_path, published):
    empty = published[SCORES[name].removesuffix(".csv")].iloc[:0]
    scores = tmp_path / "scores.csv"
    empty.to_csv(scores, index=False)
    outputs = [tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    render_table(name, scores, *outputs, study="s", protocol="honest")
    assert "No scores." in outputs[1].read_text()
    assert len(pd.read_csv(outputs[0])) == 0


@pytest.mark.parametrize("name", ["table7_accuracy", "table8_accuracy_change", "table9_per_class"])
@pytest.mark.parametrize("kept", ["baseline only", "no baseline", "one of each", "no scores per class"])
def test_parts_of_the_scores_are_enough(name, kept, published):
    cells = published["cells"]
    is_baseline = cells["arm"] == "Baseline"
    mask = {
        "baseline only": is_baseline,
        "no baseline": ~is_baseline,
        "one of each": (cells["classifier"] == "ResNet50") & (cells["generator"] == "GAN"),
        "no scores per class": cells["metric"] == "accuracy",
    }[kept]
    frame = TABLES[name](cells[mask], "Baseline").frame
    assert not frame.isna().any(axis=None)


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_rendered_files_are_well_formed(name, tmp_path):
    write_published(FOLDER, *(tmp_path / f"{stem}.csv" for stem in ("fidelity", "ratings", "cells")))
    scores = tmp_path / SCORES[name]
    csv, markdown, latex, html = (tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "html"))
    render_table(name, scores, csv, markdown, latex, html, study="a_b", protocol="published", baseline="Baseline")
    frame = pd.read_csv(csv, keep_default_na=False)

    lines = [line for line in markdown.read_text().splitlines() if line.startswith("|")]
    assert len(lines) == len(frame) + 2
    assert {line.count("|") for line in lines} == {len(frame.columns) + 1}
    assert r"Study: a\_b. Protocol: published" in markdown.read_text()

    text = latex.read_text()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == len(frame) + 1
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(frame.columns) - 1}
    alignment = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text).group(1)
    assert len(alignment) == len(frame.columns)
    assert [text.count(rule) for rule in (r"\toprule", r"\bottomrule", r"\end{tabular}", r"\end{table}")] == [1] * 4
    assert r"Study: a\_b. Protocol: published" in text
    body = "\n".join(text.splitlines()[1:])
    assert not re.search(r"(?<!\\)[%#]", body)
    assert "±" not in text
    assert body.count("{") == body.count("}")

    page = ElementTree.fromstring(html.read_text())
    assert [len(row) for row in page.iter("tr")] == [len(frame.columns)] * (len(frame) + 1)


def test_any_text_survives_all_formats(tmp_path):
    frame = pd.DataFrame({"Class_1": ["a|b", "[x", "c; d & e; f"], "n & m": [12, -3, None]})
    csv, markdown, latex, html = (tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html"))
    write_table(frame, csv, markdown, latex, html, caption="5% of {all}", note="n_1 ± 2")
    assert list(pd.read_csv(csv)["Class_1"]) == ["a|b", "[x", "c; d & e; f"]
    assert r"| a\|b | 12.0 |" in markdown.read_text()
    assert r"Class\_1 & n \& m \\" in latex.read_text()
    assert r"{[}x & $-$3.0 \\" in latex.read_text()
    assert r"\caption{5\% of \{all\}}" in latex.read_text()
    assert r"n\_1 $\pm$ 2" in latex.read_text()
    assert '<th>Class_1</th><th class="number">n &amp; m</th>' in html.read_text()
    assert '<tr><td>a|b</td><td class="number">12.0</td></tr>' in html.read_text()
    assert "<td>c;<br/>d &amp; e;<br/>f</td>" in html.read_text()


def test_numbers_that_round_to_zero_have_no_minus():
    assert [number(-0.004), number(-0.004, signed=True), number(-0.4, 0), number(np.nan)] == ["0.00", "+0.00", "0", ""]
    assert [number(-1.5), number(-1.5, signed=True), number(1.25, 1)] == ["-1.50", "-1.50", "1.2"]
    assert mean_and_sd(pd.Series({"mean": -0.001, "sd": 0.5, "n": 3})) == "0.00 ± 0.50"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4e-4, "0.00040 [-0.00120, 0.00200]"),
        (-4e-4, "-0.00040 [-0.00120, 0.00200]"),
        (-2.4e-11, "0.000 [-0.001, 0.002]"),
        (0.0123, "0.012 [-0.001, 0.002]"),
    ],
)
def test_small_scores_keep_two_digits(value, shown, fidelity):
    scores = fidelity.assign(value=value, low=-1.2e-3, high=2e-3, n_synthetic=50)
    cells = tables_fidelity.fidelity(scores).frame.set_index("Generator")["viral"]
    assert set(cells) == {shown}


def test_hyphens_become_minus_signs_before_numbers_only():
    assert escape_latex("COVID-19, -0.5, 18-89, [-1") == "COVID-19, $-$0.5, 18-89, {[}$-$1"
    assert escape_markdown("a*b_c<d") == r"a\*b\_c&lt;d"


def test_groups_are_named_once_and_ruled(tmp_path):
    frame = pd.DataFrame({"Dose": ["0", "+1", "+1"], "Arm": ["a", "b", "c"]})
    csv, markdown, latex, html = (tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html"))
    write_table(frame, csv, markdown, latex, html, "c", "n", group="Dose")
    assert list(pd.read_csv(csv, dtype=str)["Dose"]) == ["0", "+1", "+1"]
    assert "| +1 | b |\n|  | c |" in markdown.read_text()
    assert "+1 & b \\\\\n & c \\\\\n\\bottomrule" in latex.read_text()
    assert latex.read_text().count(r"\midrule") == 2


def test_names_that_look_like_numbers_stay_names(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("classifier,arm,generator,dose,metric,class,mean,sd,n\n1,None,nan,0,accuracy,0,0.5,,1\n")
    row = cell_scores.read_scores(path).iloc[0]
    assert list(row[["classifier", "arm", "generator", "class"]]) == ["1", "None", "nan", "0"]
    assert np.isnan(row["sd"])
