"""Splits: which patients train, which choose, which test. Never is one patient, or one picture, on two sides."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from synthworth.duplicates import near_duplicates
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.findings import ABSENT, MASKED, PRESENT, agreed_findings, finding_matrix
from synthworth.manifest import SPLITS, read_index
from synthworth.seeds import seed as seed_of


def split_patients(
    index: pd.DataFrame, fractions: Mapping[str, float], seed: int, near_duplicates: pd.DataFrame
) -> pd.DataFrame:
    """The split of each image: columns `image`, `patient`, `class`, `split`, in the order of the index.

    The manifest's own `split` column is taken where there is one, and checked. Else patients are drawn by `seed` so
    that each class has, as nearly as its patients allow, the `fractions` (of images, adding up to 1) of train, select
    and test; a split without a fraction does not occur. Patients that share a near duplicate stay together. The
    result depends on neither the order of rows nor that of the fractions. Raises StudyError for a class with too few
    patients, a patient in two splits, or near duplicates across the manifest's splits.
    """
    shares = _shares(fractions)
    columns = index[["image", "patient", "class"]]
    if "split" in index:
        _check_own_splits(index, list(shares), near_duplicates)
        return columns.assign(split=index["split"])
    groups = _group_patients(index["patient"], near_duplicates)
    counts = pd.crosstab(groups, index["class"])
    return columns.assign(split=groups.map(_deal(counts, shares, seed)))


def split_fold(
    index: pd.DataFrame,
    fractions: Mapping[str, float],
    seed: int,
    near_duplicates: pd.DataFrame,
    fold: int,
    folds: int,
) -> pd.DataFrame:
    """The split of each image where one of the `folds` is the test split, `fold` (1, 2, ...); as of `split_patients`.

    Patients are dealt to folds by `seed`, those of each class as evenly as they allow: of one seed every image is a
    test image of one fold. The rest are train and select in the ratio of their `fractions`; that of test is not looked
    at. Raises StudyError as `split_patients`, and where the manifest has splits of its own.
    """
    if "split" in index:
        problem = "the manifest has a column `split`, and splits.folds asks for others; remove the column, or set "
        raise StudyError("Splits and folds contradict each other.", [problem + "splits.folds to null"])
    shares = {split: share for split, share in _shares(fractions).items() if split != "test"}
    total = sum(shares.values())
    groups = _group_patients(index["patient"], near_duplicates)
    counts = pd.crosstab(groups, index["class"])
    places = _deal(counts, {f"fold {number}": 1 / folds for number in range(1, folds + 1)}, seed)
    test = places == f"fold {fold}"
    rest = {split: share / total for split, share in shares.items()}
    splits = _deal(counts[~test], rest, seed_of(seed, "fold", fold)).reindex(counts.index, fill_value="test")
    return index[["image", "patient", "class"]].assign(split=groups.map(splits))


def write_splits(
    index: str | Path,
    outputs: Mapping[str, str | Path],
    pairs: str | Path,
    fractions: Mapping[str, float],
    seed: int,
    fold: int | None = None,
    folds: int | None = None,
    findings: Sequence[str] = (),
) -> None:
    """Splits an index CSV: writes the rows of each split to its path in `outputs`, in manifest order, as CSV.

    As `split_fold` where there are `folds`, else as `split_patients`; of a study of `findings` each split must have
    them and be without them (`check_findings`). The near duplicates that were found are written to `pairs`.
    """
    rows = read_index(index)
    found = near_duplicates(rows)
    if folds is None:
        splits = split_patients(rows, fractions, seed, found)
    else:
        splits = split_fold(rows, fractions, seed, found, fold, folds)
    check_sizes(splits)
    if findings:
        check_findings(rows.assign(split=splits["split"]), findings)
    for split, output in outputs.items():
        with replacing(output) as temporary:
            rows.assign(split=splits["split"])[splits["split"] == split].to_csv(temporary, index=False)
    with replacing(pairs) as temporary:
        found.to_csv(temporary, index=False)


def _group_patients(patients: pd.Series, pairs: pd.DataFrame) -> pd.Series:
    """For each image the group of its patient: the first, by name, of the patients that near duplicates link."""
    names = pd.Index(sorted(set(patients)))
    ends = names.get_indexer(pairs["patient_a"]), names.get_indexer(pairs["patient_b"])
    links = coo_matrix((np.ones(len(pairs)), ends), shape=(len(names), len(names)))
    _, labels = connected_components(links, directed=False)
    firsts = pd.Series(names).groupby(labels).first()
    return patients.map(pd.Series(firsts[labels].to_numpy(), names)).rename("group")


def _shares(fractions: Mapping[str, float]) -> dict[str, float]:
    """The fractions that are none, in the order train, select, test."""
    shares = {split: fractions.get(split, 0.0) for split in SPLITS}
    if set(fractions) - set(SPLITS) or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise StudyError(
            f"The fractions of the splits cannot be used: {dict(fractions)}.",
            [f"give shares of {', '.join(SPLITS)} that add up to 1 in the config (splits.fractions)"],
        )
    return {split: share for split, share in shares.items() if share > 0}


def _deal(counts: pd.DataFrame, shares: Mapping[str, float], seed: int) -> pd.Series:
    """The place of each group among the names of `shares`, given its images per class (a row each)."""
    names = list(shares)
    patients = (counts > 0).sum()
    problems = [
        f"class {name!r}: {groups} patient(s) for {len(names)} splits ({', '.join(names)}), patients who share a near "
        "duplicate counted as one; add patients, leave the class out, give a split no fraction (splits.fractions), or "
        f"take fewer folds (splits.folds){_guess(name, patients)}"
        for name, groups in patients.items()
        if groups < len(names)
    ]
    if problems:
        raise StudyError("Classes are too small for their splits.", problems)
    chosen = _draw(counts.to_numpy(), np.array(list(shares.values())), np.random.default_rng(seed))
    return pd.Series([names[place] for place in chosen], counts.index)


def _guess(name: str, patients: pd.Series) -> str:
    """The end of a remedy where a small class may be a larger one's label mistyped; `patients` is {class: number}."""
    larger = [other for other in patients.index if patients[other] > patients[name]]
    # Nearer than difflib's usual 0.6: the classes of a study are often called alike.
    close = difflib.get_close_matches(name, larger, n=1, cutoff=0.8)
    return f"; or is it {close[0]!r} mistyped?" if close else ""


def check_sizes(splits: pd.DataFrame) -> None:
    """Two training images of a class have a spread to measure a FID against, two patients held out one to judge by.

    `splits` as of `split_patients`; raises a StudyError that lists the classes with less.
    """
    classes = list(splits["class"].unique())
    images = splits[splits["split"] == "train"].groupby("class")["image"].count().reindex(classes, fill_value=0)
    held_out = [split for split in ("select", "test") if (splits["split"] == split).any()]
    of_class = splits.groupby("class")["patient"].nunique()
    patients = splits.groupby(["split", "class"])["patient"].nunique()
    patients = patients.reindex(pd.MultiIndex.from_product([held_out, classes]), fill_value=0)
    remedy = "two are the least; add patients, leave the class out, or give the split more (a fraction, fewer folds)"
    problems = [
        f"class {name!r}: {images[name]} image for training, {remedy}{_guess(name, of_class)}"
        for name in classes
        if images[name] < 2
    ]
    problems += [
        f"class {name!r}: {patients[split, name]} patient in {split}, {remedy}{_guess(name, of_class)}"
        for split in held_out
        for name in classes
        if patients[split, name] < 2
    ]
    if problems:
        raise StudyError("Classes are too small for a study.", problems)


def check_findings(index: pd.DataFrame, findings: Sequence[str]) -> None:
    """Two patients who surely have a finding and two who have it not are the least that a split tells of it.

    `index` has the columns `patient`, `class`, `split` and `findings`. Raises a StudyError that lists the findings
    with fewer in a split, and the classes whose training images agree on no finding: synthetic ones would say nothing.
    """
    remedy = "two are the least; add patients, leave the finding out (dataset.findings), or give the split more"
    if (index[list(findings)] == MASKED).any(axis=None):
        remedy += "; empty fields are certain where dataset.unmentioned is absent"
    problems = []
    for split in [split for split in SPLITS if (index["split"] == split).any()]:
        own = index[index["split"] == split]
        for name in findings:
            for value, words in ((PRESENT, "who surely has it"), (ABSENT, "who surely has it not")):
                count = own.loc[own[name] == value, "patient"].nunique()
                if count < 2:
                    problems.append(f"finding {name!r}: {count or 'no'} patient in {split} {words}, {remedy}")
    train = index[index["split"] == "train"]
    targets, names = pd.factorize(train["class"])
    agreed = agreed_findings(finding_matrix(train, findings), targets, len(names))
    problems += [
        f"class {name!r}: its training images agree on no finding, so nobody knows what its synthetic images show; "
        "give labels that say more, or leave the column `label` out"
        for name, shown in zip(names, agreed, strict=True)
        if np.isnan(shown).all()
    ]
    if problems:
        raise StudyError("Findings are too rare for a study.", problems)


def _draw(counts: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A split (int) for each group, given its images per class [groups, classes] and the splits' shares.

    Each class of n images has as many places in each split as its share says. Groups draw a place at random among
    the splits that still have room for them; those of several classes first and large ones next, so that patients of
    one image, which fit anywhere, fill up the rest exactly. A draw, and not the emptiest split: that one would be
    train for every patient of many images, and the test split would hold another kind of patient.
    """
    room = np.stack([_apportion(total, shares) for total in counts.sum(axis=0)], axis=1)
    waiting = (counts > 0).sum(axis=0)
    lacking = np.ones(room.shape, bool)
    chosen = np.zeros(len(counts), int)
    shuffled = generator.permutation(len(counts))
    order = shuffled[np.lexsort((-counts.sum(axis=1)[shuffled], -(counts > 0).sum(axis=1)[shuffled]))]
    for group in order:
        classes = counts[group] > 0
        left = (room - counts[group])[:, classes].min(axis=1)
        # The last patients of a class go where the class has none yet.
        urgent = lacking[:, classes & (waiting <= lacking.sum(axis=0))].any(axis=1)
        open_to = urgent if urgent.any() else np.ones(len(shares), bool)
        fitting = open_to & (left >= 0)
        weights = fitting * room[:, classes].sum(axis=1) if fitting.any() else open_to & (left == left[open_to].max())
        split = generator.choice(len(shares), p=weights / weights.sum())
        chosen[group] = split
        room[split] -= counts[group]
        lacking[split, classes] = False
        waiting -= classes
    return chosen


def _apportion(total: int, shares: np.ndarray) -> np.ndarray:
    """`total` in whole parts by the shares (largest remainders), each at least 1."""
    parts = np.floor(total * shares).astype(int)
    remainders = total * shares - parts
    # Of equal remainders the last split's goes first: test needs its images more than select.
    last_first = np.argsort(-remainders[::-1], kind="stable")
    parts[len(shares) - 1 - last_first[: total - parts.sum()]] += 1
    while (parts < 1).any():
        parts[parts.argmax()] -= 1
        parts[parts.argmin()] += 1
    return parts


def _check_own_splits(index: pd.DataFrame, names: list[str], pairs: pd.DataFrame) -> None:
    problems = []
    for split in SPLITS:
        if split in names and not (index["split"] == split).any():
            problems.append(
                f"no image is in split {split!r}; move patients there, or set splits.fractions.{split} to 0"
            )
        if split not in names and (index["split"] == split).any():
            problems.append(
                f"images are in split {split!r}, which has no share; set splits.fractions.{split}, or move them"
            )
    for patient, splits in index.groupby("patient")["split"].unique().items():
        if len(splits) > 1:
            problems.append(f"patient {patient!r} is in splits {', '.join(sorted(splits))}; keep each patient in one")
    counts = pd.crosstab(index["class"], index["split"])
    of_class = index.groupby("class")["patient"].nunique()
    for name, row in counts.iterrows():
        empty = [split for split in counts if not row[split]]
        if empty:
            remedy = f"move a patient of it there{_guess(name, of_class)}"
            problems.append(f"class {name!r} has no image in split {', '.join(empty)}; {remedy}")
    split_of = index.set_index("image")["split"]
    sides = pairs.assign(a=pairs["image_a"].map(split_of), b=pairs["image_b"].map(split_of))
    for pair in sides[(sides["a"] != sides["b"]) & (sides["patient_a"] != sides["patient_b"])].itertuples():
        problems.append(
            f"{pair.image_a} (patient {pair.patient_a!r}, {pair.a}) and {pair.image_b} (patient {pair.patient_b!r}, "
            f"{pair.b}) are nearly the same picture ({pair.distance} of 256 bits differ); put both into one split, or "
            "remove one"
        )
    if problems:
        raise StudyError("The manifest's own splits cannot be used.", problems)
