"""The study's tables, from tidy scores alone: the same code sets the published numbers and a study's own.

A table is a function of scores in a module of this package and a line in `TABLES`.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from synthworth.cells import read_scores
from synthworth.protocols import provenance
from synthworth.tables import audits, chance, cohort, effects, fidelity, papers, ratings
from synthworth.tables.layout import Table
from synthworth.tables.typesetting import write_table

# Each is made of one CSV of scores and the name of the baseline arm; Table 8 knows its special arms, too.
TABLES: dict[str, Callable[..., Table]] = {
    "table1_demographics": lambda demographics, _baseline: cohort.table1_demographics(demographics),
    "table2_classes": lambda classes, _baseline: cohort.table2_classes(classes),
    "table5_fid": lambda fidelity, _baseline: papers.table5_fid(fidelity),
    "table6_ratings": lambda scores, _baseline: ratings.table6_ratings(scores),
    "ratings_by_class": lambda scores, _baseline: ratings.ratings_by_class(scores),
    "rating_readers": lambda rows, _baseline: ratings.rating_readers(rows),
    "rating_tests": lambda tests, _baseline: ratings.rating_tests(tests),
    "rating_agreement": lambda scores, _baseline: ratings.rating_agreement(scores),
    "rating_discrimination": lambda scores, _baseline: ratings.rating_discrimination(scores),
    "rating_preferences": lambda scores, _baseline: ratings.rating_preferences(scores),
    "rating_correlations": lambda scores, _baseline: ratings.rating_correlations(scores),
    "table7_accuracy": papers.table7_accuracy,
    "table8_accuracy_change": papers.table8_accuracy_change,
    "table9_per_class": papers.table9_per_class,
    "fidelity": lambda scores, _baseline: fidelity.fidelity(scores),
    "recognition": audits.recognition,
    "detection": audits.detection,
    "memorization": audits.memorization,
    "effects": effects.effects,
    "external_effects": effects.external_effects,
    "components": lambda variances, _baseline: chance.components(variances),
    "worth": lambda rows, _baseline: chance.worth(rows),
}

# What an empty table says, where it is not that scores are missing.
EMPTY = {"table1_demographics": "The manifest has no ages, sexes or views."}


def render_table(
    name: str,
    scores: str | Path,
    csv: str | Path,
    markdown: str | Path,
    latex: str | Path,
    html: str | Path,
    study: str,
    protocol: str,
    baseline: str = "baseline",
    special: Collection[str] | None = None,
) -> None:
    """Writes the table `name` (a key of TABLES) from a CSV of scores.

    `protocol` is a key of PROTOCOLS and stands, with `study`, below the table; `baseline` is the arm that changes are
    measured from. `special` is given to Table 8 alone. Where scores are missing the table is empty but valid.
    """
    arms = (baseline,) if special is None else (baseline, special)
    table = TABLES[name](read_scores(scores), *arms)
    remarks = table.remarks if len(table.frame) else [EMPTY.get(name, "No scores.")]
    note = " ".join([*remarks, provenance(study, protocol)])
    write_table(table.frame, csv, markdown, latex, html, table.caption, note, table.group)
