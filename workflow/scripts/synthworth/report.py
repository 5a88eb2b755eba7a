"""The report: one page that answers the question first, then shows what the answer rests on.

The page holds its figures itself, so that it can be mailed; it loads nothing from anywhere.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from synthworth import VERSION
from synthworth.cells import read_scores
from synthworth.contradictions import LAST
from synthworth.detector import alarm, is_null
from synthworth.figure_style import METRIC_NAMES
from synthworth.files import replacing
from synthworth.memorization.summaries import LEVEL, chosen_flags, flag_counts
from synthworth.protocols import PROTOCOLS
from synthworth.rating_kit.page import read_questions
from synthworth.statistics.verdict import headline

TEMPLATE = Path(__file__).parents[2] / "report" / "index.html.j2"
REFERENCES = {"train": "training images", "select": "images held out from training"}
DATA_TABLES = ("table1_demographics", "table2_classes")
RATING_TABLES = (
    *("rating_readers", "table6_ratings", "ratings_by_class", "rating_tests", "rating_discrimination"),
    *("rating_preferences", "rating_agreement", "rating_correlations"),
)


def write_report(
    html: str,
    verdict: str | None,
    tests: str | None,
    tables: Sequence[str],
    figures: Sequence[str],
    duplicates: str | None,
    detection: str | None,
    copies: str | None,
    audits: str | None,
    config: Mapping[str, Any],
    classes: Sequence[str],
    commit: str | None,
    part: str | None = None,
    parts: Sequence[str] = (),
    reports: Sequence[str] = (),
    kits: Sequence[str] = (),
) -> None:
    """Writes the page `html`.

    `tables` are HTML fragments and `figures` PNG files, known by their stems; a figure's caption is the `.rst` file
    of its name beside the page's template. `verdict` (JSON), `tests` and `duplicates` (CSV) are as the statistics and
    the data report write them; `duplicates` is None where only scores are there, `detection` (CSV of
    `detect_synthetic`) and `audits` (CSV of `collect_memorization`, the summaries) where no images are held out, and
    `copies` (CSV of `flag_copies`) where they are not looked for among all images. Where the page is of a `part` of a
    study (its title), `verdict` and `tests` are None. `parts` are the titles of the parts of a study and `reports`
    their pages, in the same order. `kits` are the folders of the rating kits.
    """
    pictures = {Path(path).stem: Path(path) for path in figures}
    fragments = {Path(path).stem: Markup(Path(path).read_text(encoding="utf-8")) for path in tables}
    answer = json.loads(Path(verdict).read_text(encoding="utf-8")) if verdict else None
    links = [os.path.relpath(report, Path(html).parent) for report in reports]
    audited = read_scores(audits) if audits else None

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
        findings=config["dataset"]["findings"] or [],
        part=part,
        parts=list(zip(parts, links, strict=True)),
        verdict=answer,
        headline=headline(answer) if answer else "",
        metric=config["statistics"]["primary_metric"].replace("_", " "),
        baseline=config["statistics"]["baseline"],
        selection=_selection(config),
        figure=figure,
        pictures={
            "real": "samples_real" in pictures,
            "synthetic": [name for name in pictures if name.startswith("samples_synthetic_")],
            "pairs": [name for name in pictures if name.startswith("closest_pairs_")],
            "progression": [name for name in pictures if name.startswith("figure3_")],
        },
        tables=fragments,
        data_tables=[fragments[name] for name in DATA_TABLES if name in fragments],
        rated=[fragments[name] for name in RATING_TABLES if name in fragments],
        duplicates=_duplicates(duplicates),
        copies=_copies(copies, audited),
        audited=audited is not None,
        copied=_copied(audited),
        dropped=config["memorization"]["filter_copies"] == "drop",
        chosen_by_judges=_chosen_by_judges(config, audited),
        kits=[_kit(kit, Path(html).parent) for kit in kits],
        alarms=_alarms(detection, config["fidelity"]["detector"]["alarm"]),
        tests=_tests(pd.read_csv(tests)) if tests else "",
        version=VERSION,
        commit=commit,
        config=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
    )
    with replacing(html) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _kit(kit: str, page: Path) -> tuple[str, str, str]:
    """What a kit asks, its folder, and the way there from the page's folder."""
    return read_questions(Path(kit).parent.name)["title"], kit, os.path.relpath(kit, page)


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
    if name == LAST:
        return "the last one, whatever its scores,"
    entry = config["fidelity"]["metrics"][name]
    made_with = [f"{entry['extractor']} features"] if "extractor" in entry else []
    made_with += [f"against {REFERENCES[entry['reference']]}"] if "reference" in entry else []
    shown = METRIC_NAMES.get(entry["metric"], entry["metric"])
    return f"the lowest {shown} ({', '.join(made_with)})" if made_with else f"the lowest {shown}"


def _duplicates(path: str | None) -> str:
    if path is None:
        return ""
    pairs = len(pd.read_csv(path))
    if pairs == 0:
        return "No two images are copies of one another, exact or near."
    return f"{pairs} pairs of images are exact or near copies; no pair is in two splits (scores/duplicates.csv)."


def _alarms(detection: str | None, threshold: float) -> list[str]:
    """What the detector of synthetic images warns of."""
    if detection is None:
        return []
    found = pd.read_csv(detection, dtype={"generator": str, "class": str}, keep_default_na=False, na_values=[""])
    own = found[~is_null(found["generator"])].groupby("generator", sort=False)
    return [warning for name, rows in own if (warning := alarm(rows, name, threshold))]


def _copies(flags: str | None, audits: pd.DataFrame | None) -> list[str]:
    """How many of all synthetic images were flagged as copies, by generator, and what such a count is worth: without
    `audits` that is not known.
    """
    if flags is None:
        return []
    found = read_scores(flags)
    if audits is None:
        counts = found.groupby("generator")["flagged"].agg(flagged="sum", n="count")
        return [f"{row.Index}: {row.flagged} of {row.n:,}." for row in counts.itertuples()]
    words = {True: "more than chance gives", False: "no more than chance may give"}
    return [
        f"{row.Index}: {row.flagged} of {row.n:,}, {words[row.flagged > row.innocent_high]}: of as many real images of "
        f"new patients {row.innocent:.1f} on average at most, and in 95 of 100 studies no more than "
        f"{row.innocent_high:,}. Of planted copies {100 * row.recall:.0f} % "
        f"[{100 * row.recall_low:.0f}, {100 * row.recall_high:.0f}] were flagged."
        for row in flag_counts(found, audits).itertuples()
    ]


def _copied(audits: pd.DataFrame | None) -> list[str]:
    """Of which generators and classes the audit says that images are copies."""
    if audits is None:
        return []
    flagged = chosen_flags(audits)
    return [
        f"{row['generator']}, {row['class']}: {100 * row['value']:.0f} % of its images are flagged as copies of "
        f"training images; of real ones of new patients seldom more than {100 * row['reference_high']:.0f} % would be."
        for row in flagged[flagged["p_adjusted"] <= LEVEL].to_dict("records")
    ]


def _chosen_by_judges(config: Mapping[str, Any], audits: pd.DataFrame | None) -> bool:
    """Whether a generator's checkpoint was chosen, among several, by the held-out images that the audit rests on."""
    name = config["fidelity"]["selection"]
    if audits is None or name == LAST or config["fidelity"]["metrics"][name].get("reference") != "select":
        return False
    return not audits["selected"].all()


def _tests(tests: pd.DataFrame) -> str:
    """The rank tests over generators in words, as the paper has them."""
    overall = tests[tests["test"] == "kruskal_wallis"].iloc[0]
    if pd.isna(overall["p"]):
        return (
            "Kruskal–Wallis and Dunn–Bonferroni tests over generators (of the arms that add synthetic images and do "
            f"nothing else) say nothing here: {overall['reason']}."
        )
    pairs = tests[(tests["test"] == "dunn_bonferroni") & (tests["p"] < 0.05)]
    named = ", ".join(f"{row.generator_1} and {row.generator_2} (p = {row.p:.2g})" for row in pairs.itertuples())
    return (
        "Kruskal–Wallis over generators, of the arms that add synthetic images and do nothing else: "
        f"H = {overall['statistic']:.2f}, p = {overall['p']:.2g}. "
        f"Dunn–Bonferroni: {f'these differ: {named}' if named else 'no two generators differ'}. "
        "These tests take runs as independent and describe; the verdict rests on the comparisons above."
    )
