import json
import re
from pathlib import Path

import pandas as pd
import pytest

from synthworth.cells import read_scores

HOUSE = Path(__file__).parents[1]
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
