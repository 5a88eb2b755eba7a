"""The report: one page that answers the question first, then shows what the answer rests on.

The page holds its figures itself, so that it can be mailed; it loads nothing from anywhere.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from synthworth import VERSION
from synthworth.files import replacing
from synthworth.protocols import PROTOCOLS

TEMPLATE = Path(__file__).parents[2] / "report" / "index.html.j2"
HEADLINES = {
    "helps": "Yes: synthetic images help.",
    "harms": "No: synthetic images harm.",
    "no evidence": "No evidence that synthetic images help.",
}
DATA_TABLES = ("table1_demographics", "table2_classes")


def write_report(
    html: str,
    verdict: str,
    tests: str,
    tables: Sequence[str],
    figures: Sequence[str],
    duplicates: str | None,
    config: Mapping[str, Any],
    classes: Sequence[str],
    commit: str | None,
) -> None:
    """Writes the page `html`.

    `tables` are HTML fragments and `figures` PNG files, known by their stems; a figure's caption is the `.rst` file
    of its name beside the page's template. `verdict` (JSON), `tests` and `duplicates` (CSV) are as the statistics and
    the data report write them; `duplicates` is None where only scores are there.
    """
    pictures = {Path(path).stem: Path(path) for path in figures}
    fragments = {Path(path).stem: Markup(Path(path).read_text(encoding="utf-8")) for path in tables}
    answer = json.loads(Path(verdict).read_text(encoding="utf-8"))

    def figure(name: str) -> Markup:
        return _figure(pictures[name]) if name in pictures else Markup()

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE.name).render(
        study=config["study"],
        protocol=f"protocol: {PROTOCOLS[config['protocol']]}",
        drawn=bool(config["dataset"].get("phantoms")),
        classes=classes,
        verdict=answer,
        headline=HEADLINES[answer["verdict"]],
        metric=config["statistics"]["primary_metric"].replace("_", " "),
        baseline=config["statistics"]["baseline"],
        selection=_selection(config),
        figure=figure,
        pictures={
            "real": "samples_real" in pictures,
            "synthetic": [name for name in pictures if name.startswith("samples_synthetic_")],
            "progression": [name for name in pictures if name.startswith("figure3_")],
        },
        tables=fragments,
        data_tables=[fragments[name] for name in DATA_TABLES if name in fragments],
        duplicates=_duplicates(duplicates),
        tests=_tests(pd.read_csv(tests)),
        version=VERSION,
        commit=commit,
        config=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
    )
    with replacing(html) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _figure(path: Path) -> Markup:
    """The picture and its caption: the file whose name the picture's begins with (`samples_synthetic_ddpm`)."""
    captions = [file for file in TEMPLATE.parent.glob("*.rst") if path.stem.startswith(file.stem)]
    caption = max(captions, key=lambda file: len(file.stem))
    text = " ".join(caption.read_text(encoding="utf-8").split())
    data = base64.b64encode(path.read_bytes()).decode()
    return Markup(
        '<figure><img alt="{0}" src="data:image/png;base64,{1}"><figcaption>{0}</figcaption></figure>'
    ).format(text, data)


def _selection(config: Mapping[str, Any]) -> str:
    name = config["fidelity"]["selection"]
    extractor = config["fidelity"]["metrics"][name].get("extractor")
    shown = name.upper() if name == "fid" else name
    return f"the lowest {shown} ({extractor} features, against training images)" if extractor else f"the lowest {shown}"


def _duplicates(path: str | None) -> str:
    if path is None:
        return ""
    pairs = len(pd.read_csv(path))
    if pairs == 0:
        return "No two images are copies of one another, exact or near."
    return f"{pairs} pairs of images are exact or near copies; each pair lies in one split (scores/duplicates.csv)."


def _tests(tests: pd.DataFrame) -> str:
    """The rank tests over generators in words, as the paper has them."""
    overall = tests[tests["test"] == "kruskal_wallis"].iloc[0]
    if pd.isna(overall["p"]):
        return f"Kruskal–Wallis and Dunn–Bonferroni tests over generators say nothing here: {overall['reason']}."
    pairs = tests[(tests["test"] == "dunn_bonferroni") & (tests["p"] < 0.05)]
    named = ", ".join(f"{row.generator_1} and {row.generator_2} (p = {row.p:.2g})" for row in pairs.itertuples())
    return (
        f"Kruskal–Wallis over generators: H = {overall['statistic']:.2f}, p = {overall['p']:.2g}. "
        f"Dunn–Bonferroni: {f'these differ: {named}' if named else 'no two generators differ'}. "
        "These tests take runs as independent and describe; the verdict rests on the comparisons above."
    )
