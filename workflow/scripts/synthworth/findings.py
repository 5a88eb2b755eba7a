"""Findings: what an image of a multi-label study shows, each of them present, absent, or masked where nobody is sure.

In an index a finding has a column, `1` present, `0` absent and empty where it is masked: neither the loss of a training
nor a score looks at it there. The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from synthworth.errors import counted

Unmentioned = Literal["absent", "uncertain"]

PRESENT, ABSENT, MASKED = "1", "0", ""
# What a manifest may say, also with the decimals of CheXpert's files.
SAID = {"1": PRESENT, "1.0": PRESENT, "0": ABSENT, "0.0": ABSENT, "-1": MASKED, "-1.0": MASKED}
# The label of an image that shows none of them, and what joins the findings of one that shows several.
NO_FINDING = "no_finding"
JOINT = "+"
# A finding is recognised where its probability is above this.
THRESHOLD = 0.5


def field_problems(frame: pd.DataFrame, findings: Sequence[str]) -> Iterator[str]:
    """What fields of findings say that nobody knows, a line for each column and value with the rows and the remedy.

    `frame` as of `manifest.read_manifest`.
    """
    for name in findings:
        unknown = frame[~frame[name].isin([*SAID, ""])]
        for value, rows in unknown.groupby(name, sort=False)["row"]:
            yield (
                f"{counted(rows.tolist())}, column `{name}`: {value!r} is none of 1 (present), "
                "0 (absent), -1 (uncertain) and empty (not mentioned); write one of them"
            )


def as_indexed(frame: pd.DataFrame, findings: Sequence[str], unmentioned: Unmentioned = "absent") -> pd.DataFrame:
    """The manifest's frame with its findings as an index has them; `unmentioned` says what an empty field means."""
    meaning = SAID | {"": {"absent": ABSENT, "uncertain": MASKED}[unmentioned]}
    return frame.assign(**{name: frame[name].map(meaning) for name in findings})


def joint_label(present: Iterable[str]) -> str:
    """The label of an image with these findings."""
    return JOINT.join(present) or NO_FINDING


def joint_labels(frame: pd.DataFrame, findings: Sequence[str]) -> pd.Series:
    """The label of each image, of the findings that it surely shows, in the order of `findings`."""
    shown = (frame[list(findings)] == PRESENT).to_numpy()
    kinds, kind = np.unique(shown, axis=0, return_inverse=True)
    labels = [joint_label(np.array(findings)[own]) for own in kinds]
    return pd.Series(np.array(labels)[kind], frame.index, dtype=str)


def phantom_labels(names: Iterable[str], findings: Sequence[str]) -> dict[str, str]:
    """The label of phantoms by what is drawn (`bacterial+fungal`): that of their findings, or else its own name."""
    if not findings:
        return {name: name for name in names}
    return {name: joint_label(finding for finding in findings if finding in name.split(JOINT)) for name in names}


def finding_matrix(index: pd.DataFrame, findings: Sequence[str]) -> np.ndarray:
    """The findings of an index's images: float32 [n, F], 1 present, 0 absent, NaN masked."""
    return index[list(findings)].replace({MASKED: "nan"}).to_numpy(np.float32)


def agreed_findings(findings: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """What all certain images of a class say of each finding: float32 [classes, F].

    NaN where they differ, or where fewer than half of the class's images are certain: what a generator learns from a
    class that hardly anyone has looked at for a finding, nobody knows either.

    `findings` float32 [n, F] as of `finding_matrix`; `targets` int [n], the images' classes.
    """
    agreed = np.full((classes, findings.shape[1]), np.nan, np.float32)
    for target in range(classes):
        own = findings[targets == target]
        shown, not_shown = (own == 1).any(axis=0), (own == 0).any(axis=0)
        known = (own == own).sum(axis=0) >= len(own) / 2
        agreed[target] = np.where(known & (shown != not_shown), shown, np.nan)
    return agreed
