"""The audits of all checkpoints of a generator, from its files."""

from collections.abc import Sequence

import pandas as pd

from synthworth.memorization.audit import audit
from synthworth.memorization.outputs import named, read_reference, read_table, write_csv
from synthworth.seeds import seed as seed_of
from synthworth.selected import read_selection


def audit_generator(
    comparisons: Sequence[str],
    references: Sequence[str],
    selected: str,
    images: str,
    summary: str,
    power: str,
    alarms: str,
    generator: str,
    checkpoints: Sequence[tuple[str, int]],
    classes: Sequence[str],
    rate: float,
    trials: int,
    seed: int,
) -> None:
    """Audits every checkpoint of a generator; four CSVs.

    `comparisons` are those of `checkpoints` (scope and step), in that order; `references` are the two files of each of
    `classes`, in that order. `summary` has the scores of all checkpoints, with columns generator, class, scope, step
    and selected; `images`, `power` and `alarms` are of the chosen ones, with generator and class.
    """
    pairs = zip(references[::2], references[1::2], strict=True)
    known = {name: read_reference(*files) for name, files in zip(classes, pairs, strict=True)}
    chosen = read_selection(selected)
    tables: dict[str, list[pd.DataFrame]] = {output: [] for output in (images, summary, power, alarms)}
    for (scope, step), file in zip(checkpoints, comparisons, strict=True):
        for name, comparison in read_table(file).groupby("class", sort=False):
            others = [reference for other, reference in known.items() if other != name]
            found = audit(
                comparison.drop(columns="class").reset_index(drop=True),
                known[name],
                seed_of(seed, name),
                others,
                rate,
                trials,
            )
            is_chosen = (chosen[name]["scope"], chosen[name]["step"]) == (scope, step)
            names = {"generator": generator, "class": name}
            of_checkpoint = names | {"scope": scope, "step": step, "selected": is_chosen}
            tables[summary].append(named(found.summary(), of_checkpoint))
            if is_chosen:
                own = ((images, found.images), (power, found.power), (alarms, found.alarm_table()))
                for output, frame in own:
                    tables[output].append(named(frame, names))
    for output, frames in tables.items():
        write_csv(pd.concat(frames), output)
