import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from house import copy_house, planned

from synthworth.cells import read_scores
from synthworth.config import compose, validate

HOUSE = Path(__file__).parents[1]
SCHEMA = HOUSE / "workflow/schemas/config.schema.yaml"
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]


def anchors(page):
    """What a link may have after its `#`: headings, as the hosts of repositories shorten them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = []
    for link in links:
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def configs(page):
    """The configs that a page shows, as text."""
    return re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if configs(page)], ids=lambda page: page.name)
def test_configs_on_the_pages_keep_to_the_grammar(page):
    default = yaml.safe_load((HOUSE / "config/config.yaml").read_text(encoding="utf-8"))
    for config in configs(page):
        validate(compose(default, yaml.safe_load(config)), SCHEMA)


@pytest.fixture
def planned_by(tmp_path):
    """A function of a page and a key: the jobs of the page's one config that has the key, on a manifest of two classes.

    {rule: number}; a dry run reads no image.
    """
    rows = [f"{label}/{number}.png,{label}{number},{label}" for label in ("healthy", "viral") for number in range(2)]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,patient,label", *rows]) + "\n", encoding="utf-8")
    for row in rows:
        image = tmp_path / row.split(",")[0]
        image.parent.mkdir(exist_ok=True)
        image.touch()

    def jobs(page, key):
        (config,) = [config for config in configs(HOUSE / "docs" / page) if key in yaml.safe_load(config)]
        (tmp_path / "mine.yaml").write_text(config, encoding="utf-8")
        own = ["study=mine", f"dataset={{manifest: {tmp_path / 'manifest.csv'}}}"]
        house = copy_house(tmp_path / "house")
        return planned(house, "--configfile", str(tmp_path / "mine.yaml"), "--resources", "gpu=1", "--config", *own)

    return jobs


def test_the_trial_on_a_cpu_is_a_whole_study_that_fetches_nothing(planned_by):
    jobs = planned_by("own-images.md", "classifiers")
    assert jobs["reach_verdict"] == jobs["write_report"] == 1
    # A baseline and two arms, of two seeds each.
    assert jobs["train_classifier"] == 6
    assert [rule for rule in jobs if rule.startswith("fetch")] == []


def test_the_domain_extractor_on_its_page_takes_the_place_of_inception(planned_by):
    jobs = planned_by("fidelity.md", "memorization")
    assert jobs["train_extractor"] == 1
    assert "fetch_extractor" not in jobs


@pytest.fixture(scope="module")
def said():
    """{file of scores: what docs/results.md says of it}"""
    page = (HOUSE / "docs/results.md").read_text(encoding="utf-8")
    section = page[page.index("## scores/") : page.index("## Other CSV files")]
    _, *parts = re.split(r"\*\*`([\w.]+)`\*\*", section)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def names(text):
    return set(re.findall(r"`([^`]+)`", text))


def test_the_page_of_results_has_the_columns_of_each_file_of_scores(finished, said):
    files = sorted((finished / "results/tiny/scores").glob("*.csv"))
    assert len(files) > 10
    for file in files:
        columns = set(pd.read_csv(file, nrows=0))
        text = said[file.name]
        assert columns <= names(text), (file.name, columns - names(text))
        listed = set().union(*(names(row) for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)))
        assert listed in (set(), columns), (file.name, listed ^ columns)


def test_the_page_of_results_has_the_metrics_of_runs_and_the_keys_of_the_verdict(finished, said):
    scores = finished / "results/tiny/scores"
    assert set(read_scores(scores / "runs.csv")["metric"]) <= names(said["runs.csv"])
    answer = json.loads((scores / "verdict.json").read_text(encoding="utf-8"))
    assert set(answer) <= names(said["verdict.json"])
    arm = next(iter(answer["arms"].values()))
    assert set(arm) <= names(said["verdict.json"]) | names(said["comparisons.csv"])
