"""External test sets: other patients than the study's, on whom all of its runs are tested as on its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from synthworth.cells import OWN_TEST_SET, read_scores
from synthworth.duplicates import near_own_images
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.findings import ABSENT, PRESENT
from synthworth.manifest import read_index
from synthworth.scores import ALL

# Of these splits a classifier or a generator has seen the images.
SEEN = ("train", "select")


def external_problems(index: pd.DataFrame, own: pd.DataFrame, findings: Sequence[str] = ()) -> Iterator[str]:
    """What keeps the images of `index` from being an external test set of a study whose images are `own`.

    Both are as of `ingestion.inspect_images`; `own` has a column `split`. No patient may be one of the study's, and no
    file the same, byte for byte, as one of its images, whatever their split. Two classes are needed, of each that there
    is two patients; in a study of `findings` one of these, and of each that is there and not two patients on each side.
    """
    files = own.drop_duplicates("sha256").set_index("sha256")
    for row in index[index["sha256"].isin(files.index)].itertuples():
        same = files.loc[row.sha256]
        yield f"{row.image}: the same file as the study's own {same['image']} ({same['split']}); remove the row"
    split_of = own.drop_duplicates("patient").set_index("patient")["split"]
    for patient in index.loc[index["patient"].isin(split_of.index), "patient"].unique():
        yield (
            f"patient {patient!r} is one of the study's own ({split_of[patient]}); remove the patient's rows or, if it "
            "is somebody else, write another id (the hospital's name before it, say)"
        )
    yield from _finding_problems(index, findings) if findings else _class_problems(index)


def _class_problems(index: pd.DataFrame) -> Iterator[str]:
    patients = index.groupby("class")["patient"].nunique()
    if len(patients) < 2:
        yield f"all images are of class {patients.index[0]!r}; what tells classes apart needs two to be tested"
    for name in patients.index[patients < 2]:
        yield f"class {name!r}: one patient tells nothing of chance; add patients, or remove the class's rows"


def _finding_problems(index: pd.DataFrame, findings: Sequence[str]) -> Iterator[str]:
    with_it, without = (
        {name: index.loc[index[name] == value, "patient"].nunique() for name in findings} for value in (PRESENT, ABSENT)
    )
    told = [name for name in findings if with_it[name] and without[name]]
    if not told:
        yield f"no finding is there and not ({', '.join(findings)}); one is needed that some patients have and some not"
    for name in told:
        if min(with_it[name], without[name]) < 2:
            yield (
                f"finding {name!r}: one patient {'with' if with_it[name] < 2 else 'without'} it tells nothing of "
                "chance; add patients, or make the column -1 in all rows"
            )


def write_external(
    index: str | Path,
    own: Sequence[str | Path],
    output: str | Path,
    pairs: str | Path,
    *,
    splits: Sequence[str],
    findings: Sequence[str] = (),
) -> None:
    """Checks an index CSV as an external test set and writes it again as that of its test images.

    `own` are the CSVs of the study's splits, named `splits`. The pairs of `duplicates.near_own_images` are written to
    `pairs`. Raises a StudyError that lists the problems of `external_problems`, which `findings` are as of.
    """
    rows = read_index(index)
    known = pd.concat([read_index(path).assign(split=split) for path, split in zip(own, splits, strict=True)])
    known = known.reset_index(drop=True)
    problems = list(external_problems(rows, known, findings))
    if problems:
        raise StudyError(f"The external test set cannot be used (problems: {len(problems)}).", problems)
    with replacing(output) as temporary:
        rows.to_csv(temporary, index=False)
    with replacing(pairs) as temporary:
        near_own_images(rows, known).to_csv(temporary, index=False)


def collect_external(
    own: Sequence[str | Path],
    comparisons: Sequence[str | Path],
    cells: Sequence[str | Path],
    pairs: Sequence[str | Path],
    output: str | Path,
    *,
    names: Sequence[str],
    baseline: str,
) -> None:
    """Writes the comparisons of the study's `own` test split and those of its external sets as one CSV.

    `own` are two CSVs, of `compare_arms` and of `scores.write_runs` (cells), as are `comparisons` and `cells` of each
    of the sets `names`; `pairs` is what `write_external` wrote of them. Three columns are added:
    `test_set` (OWN_TEST_SET, or a name); `baseline_score`, the mean over classifiers of the metric that the arm
    `baseline` has there; and `near_duplicates`, the images of the set that are nearly the same as one of the study's
    that was trained on or chosen by.
    """
    frames = [_of_set(OWN_TEST_SET, *own, baseline, near=0)]
    for name, compared, scored, found in zip(names, comparisons, cells, pairs, strict=True):
        near = pd.read_csv(found, dtype=str, keep_default_na=False)
        seen = near.loc[near["own_split"].isin(SEEN), "image"].nunique()
        frames.append(_of_set(name, compared, scored, baseline, seen))
    with replacing(output) as temporary:
        pd.concat(frames, ignore_index=True).to_csv(temporary, index=False)


def _of_set(name: str, comparisons: str | Path, cells: str | Path, baseline: str, near: int) -> pd.DataFrame:
    frame, scores = read_scores(comparisons), read_scores(cells)
    chosen = (scores["arm"] == baseline) & (scores["class"] == ALL) & (scores["metric"] == frame["metric"].iloc[0])
    score = scores.loc[chosen, "mean"].mean()
    return frame.assign(test_set=name, baseline_score=score, near_duplicates=near)
