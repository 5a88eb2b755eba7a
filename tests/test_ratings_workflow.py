"""Ratings in the workflow: which jobs they bring, where scores are cached, from files to tables through the rules."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from house import HOUSE, TINY, copy_house, planned_files, snakemake
from PIL import Image
from readers import make_key, read

from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.inputs import Inputs
from synthworth.inputs.report import TABLE_SCORES
from synthworth.report import write_report
from synthworth.specs import Specs
from synthworth.study import Study

DEMO = SimpleNamespace(study="demo")


@pytest.fixture
def inputs(tmp_path):
    """The inputs of the demo with ratings, as of the config, of files that each rate a kit of one mode."""
    for mode in ("single", "pair", "prompt"):
        read(make_key(mode)).to_csv(tmp_path / f"{mode}.csv", index=False)
    (tmp_path / "damaged.csv").write_text("kit;mode\n")
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "key.sealed").touch()

    def of(*ratings, modes=("single", "pair"), **changes):
        default, demo = (yaml.safe_load((HOUSE / f"config/{name}.yaml").read_text()) for name in ("config", "demo"))
        demo |= changes
        demo["assessment"] = demo.get("assessment", {}) | {"modes": list(modes), "ratings": list(ratings)}
        return Inputs(Study(compose(default, demo), tmp_path))

    return of


def shown(report):
    """The names of the tables and figures in a report that are of ratings."""
    names = [Path(path).stem for path in (*report["tables"], *report["figures"])]
    return sorted(name for name in names if "rating" in name or name == "figure5_examples")


def test_without_ratings_the_report_has_none(inputs):
    assert shown(inputs().report(DEMO)) == []


def test_the_report_shows_what_follows_from_the_kits_that_were_rated(inputs):
    always = ["rating_agreement", "rating_correlations", "rating_readers", "rating_tests"]
    single = ["figure5_examples", "figure6_ratings", "rating_discrimination", "ratings_by_class", "table6_ratings"]
    centred = ["rating_preferences"]
    assert shown(inputs("single.csv").report(DEMO)) == sorted(always + single)
    assert shown(inputs("pair.csv").report(DEMO)) == sorted([*always, *centred, "rating_discrimination"])
    handed_out = {"file": "prompt.csv", "kit": "kit"}
    assert shown(inputs(handed_out).report(DEMO)) == sorted(always + centred)
    assert shown(inputs("single.csv", handed_out).report(DEMO)) == sorted(always + single + centred)


def test_a_damaged_file_is_refused_before_anything_is_made(inputs):
    with pytest.raises(StudyError, match="damaged.csv: its columns are separated by semicolons"):
        inputs("damaged.csv")


def test_each_file_brings_the_key_of_its_kit(inputs):
    found = inputs("single.csv", {"file": "pair.csv", "kit": "kit"}, "prompt.csv")
    key = "results/{study}/assessment/single/key.csv"
    # A mode that is not among those of the config has no kit, which the job says.
    assert found.exports(DEMO) == {
        "ratings": ["single.csv", "pair.csv", "prompt.csv"],
        "open_keys": [key],
        "sealed_keys": ["kit/key.sealed"],
    }
    assert found.rated_kits(DEMO) == {
        "open_keys": [key],
        "sealed_keys": ["kit/key.sealed"],
        "kits": ["results/{study}/assessment/single/kit", "kit"],
    }


def test_cached_scores_show_ratings_where_they_hold_some(inputs, tmp_path):
    for name in ("cells.csv", "comparisons.csv", "generators.csv", "verdict.json", "rating_rows.csv", "ratings.csv"):
        (tmp_path / name).touch()
    # The files that were read then need not be there now.
    cached = inputs("gone.csv", cached_scores=".")
    assert shown(cached.report(DEMO)) == ["figure6_ratings", "rating_readers", "ratings_by_class", "table6_ratings"]
    (tmp_path / "ratings.csv").unlink()
    assert shown(cached.report(DEMO)) == ["rating_readers"]


def test_ratings_of_folds_are_refused(inputs):
    with pytest.raises(StudyError, match="with folds there are generators of each fold"):
        inputs("single.csv", splits={"folds": 3})


def test_utility_is_of_arms_that_add_images_and_change_nothing_else(inputs):
    of_demo = Specs(inputs().study)
    found = yaml.safe_load(of_demo.correlate_ratings(DEMO))["arms"]
    arms = {arm.shared_name: arm for arm in of_demo.study.arms.values()}
    assert found
    assert all(arms[name].source == generator for name, generator in found.items())
    left_out = [arms[name] for name in arms if name not in found]
    assert any(arm.dose for arm in left_out)
    assert all(
        arm.control
        or arm.regime != "mix"
        or arm.balance != "none"
        or arm.mixing != "none"
        or arm.loss != "cross_entropy"
        for arm in left_out
    )


def page_of(path, tables, figures):
    """The report of these tables and figures: that of a part, which needs no verdict."""
    config = compose(*(yaml.safe_load((HOUSE / name).read_text()) for name in ("config/config.yaml", TINY)))
    others = dict.fromkeys(["verdict", "tests", "duplicates", "detection", "copies", "audits", "commit"])
    write_report(str(path), tables=tables, figures=figures, config=config, classes=["a"], part="fold 1", **others)
    return path.read_text()


def test_from_readers_files_to_tables_and_figures(tmp_path):
    house = copy_house(tmp_path / "house")
    key = make_key("single", ["ddpm"], ["healthy", "viral"], images=6, real=4, repeats=3)
    folder = house / "results/tiny/assessment/single"
    (folder / "kit/images").mkdir(parents=True)
    key.to_csv(folder / "key.csv", index=False)
    for file in key["file"]:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "kit" / file)
    for name, seed in (("a", 1), ("b", 2)):
        read(key, name, {"real": 2}, seed=seed).to_csv(house / f"{name}.csv", index=False)
    tables = [name for name in TABLE_SCORES if name.startswith(("table6", "rating"))]
    tables = [name for name in tables if name not in ("rating_preferences", "rating_correlations")]
    targets = [f"results/tiny/tables/{name}.md" for name in tables]
    targets += [f"results/tiny/figures/{name}.png" for name in ("figure5_examples", "figure6_ratings")]
    arguments = [
        "--cores",
        "2",
        "--configfile",
        TINY,
        "--config",
        "assessment={modes: [single], ratings: [a.csv, b.csv]}",
    ]
    snakemake(house, *arguments, "--", *targets)
    assert all((house / target).stat().st_size > 100 for target in targets)
    ratings = pd.read_csv(house / "results/tiny/scores/ratings.csv").set_index(["generator", "score", "class"])
    assert ratings.loc[("real", "quality", "all"), "n"] == 2 * 8
    assert ratings.loc[("ddpm", "quality", "all"), "mean"] < ratings.loc[("real", "quality", "all"), "mean"]
    jobs = {rule for rule, _, _ in planned_files(house, *arguments)}
    assert {"read_ratings", "summarise_ratings", "compare_ratings", "correlate_ratings", "draw_rating_examples"} <= jobs
    assert "summarise_preferences" not in jobs

    # The report has a section of all that was made of them.
    fragments = [str(house / f"results/tiny/tables/{name}.html") for name in tables]
    figures = [str(house / target) for target in targets if target.endswith(".png")]
    page = page_of(tmp_path / "page.html", fragments, figures)
    section = page.split('<h2 id="readers">What do readers say?</h2>')[1].split("<h2")[0]
    assert "Readers saw the images" in section
    captions = [re.search("<caption>(.*?)</caption>", Path(path).read_text())[1] for path in fragments]
    assert len(captions) == len(set(captions)) == 6
    assert all(caption in section for caption in captions)
    assert section.count("data:image/png;base64,") == 2
    assert "No reader has rated" not in page
    assert 'href="#readers"' in page
    assert "What do readers say?" not in page_of(tmp_path / "page.html", [], [])

    # A reader's slip stops the study with its place.
    text = (house / "a.csv").read_text().splitlines()
    (house / "a.csv").write_text("\n".join([*text[:3], text[3].replace(",003,", ",903,"), *text[4:]]))
    output = snakemake(house, *arguments, "--", targets[0], check=False)
    assert "a.csv, row 4, item 903: kit" in output
    assert "Traceback" not in output
