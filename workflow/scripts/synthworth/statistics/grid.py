"""A study's differences from the baseline, and which of its runs are independent repetitions of each other.

Runs of one trained generator share its luck, and so do runs on one draw of its images, whatever their classifier.
Independent are only the values of the highest level that has more than one: generators trained anew, else draws, else
trainings of the classifier (`LEVELS`, with a repeated cross-validation above all). What lies below is averaged first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from synthworth.errors import StudyError
from synthworth.statistics.predictions import LEVELS


@dataclass(frozen=True)
class Grid:
    """The differences asked of a study as weights of blocks, which are means over independent replicates.

    A block is a cell (classifier, arm), or an arm over several classifiers where these share the replicates.

    `rows`: frame of D rows, the differences: classifier (`all` for the mean over classifiers), arm, generator, dose,
    n_classifiers, n_repeats and n_seeds (of the cell with the fewest), n_generator_seeds, n_draws (of the arm).
    `weights`: float [D, B], the differences as weights of blocks.
    `averages`: sparse float [T, R], the T replicates of all blocks as means of runs.
    `block_of_replicate`: int [T], as 0 ... B-1.
    `pools`: int [B], equal for blocks whose replicates are of one kind; `sources`: int [B], equal for blocks that
    share the very replicates, so that together they tell no more of the spread between them than one.
    """

    rows: pd.DataFrame
    weights: np.ndarray
    averages: sparse.csr_array
    block_of_replicate: np.ndarray
    pools: np.ndarray
    sources: np.ndarray


@dataclass(frozen=True)
class _Cell:
    """One (classifier, arm): its generator, the numbers of its runs, the values of LEVELS of each, and its weight in
    the mean.
    """

    generator: str
    runs: np.ndarray
    levels: list[tuple]
    shares: np.ndarray

    @cached_property
    def present(self) -> dict[str, list]:
        """The values that the runs have, by level."""
        return {
            level: sorted(set(values)) for level, values in zip(LEVELS, zip(*self.levels, strict=True), strict=True)
        }

    @property
    def level(self) -> str:
        """The highest of LEVELS with more than one value; the lowest where none has."""
        return next((level for level in LEVELS if len(self.present[level]) > 1), LEVELS[-1])


Block = tuple[str, tuple[str, ...]]  # an arm, and the classifiers that it is the mean of


def build_grid(runs: pd.DataFrame, baseline: str) -> Grid:
    """The blocks of `runs` and the differences from `baseline`: pooled rows first, arms in the order of `runs`.

    `runs`: frame with columns classifier, arm, generator, dose and LEVELS. Raises StudyError where no classifier has
    runs of the baseline and of another arm, and where an arm's classifiers were trained on other generators or draws.
    """
    cells = _cells(runs)
    arms = runs.drop_duplicates("arm").set_index("arm")[["generator", "dose"]].to_dict("index")
    classifiers_in_order = list(runs["classifier"].unique())
    blocks: dict[Block, int] = {}
    rows, weights = [], []
    for pooled in (True, False):
        for arm in [arm for arm in arms if arm != baseline]:
            paired = [one for one in classifiers_in_order if {(one, arm), (one, baseline)} <= cells.keys()]
            for classifiers in [paired] if pooled and paired else [[one] for one in paired]:
                weight = {}
                for side, sign in ((arm, 1), (baseline, -1)):
                    for block in _blocks(cells, side, classifiers):
                        weight[blocks.setdefault(block, len(blocks))] = sign * len(block[1]) / len(classifiers)
                weights.append(weight)
                own = [cells[one, arm].present for one in classifiers]
                both = own + [cells[one, baseline].present for one in classifiers]
                rows.append(
                    {
                        "classifier": "all" if pooled else classifiers[0],
                        "arm": arm,
                        **arms[arm],
                        "n_classifiers": len(classifiers),
                        "n_repeats": min(len(values["repeat"]) for values in both),
                        "n_seeds": min(len(values["seed"]) for values in both),
                        "n_generator_seeds": min(len(values["generator_seed"]) for values in own),
                        "n_draws": min(len(values["draw"]) for values in own),
                    }
                )
    if not rows:
        raise StudyError(
            f"There is no arm to compare with the baseline arm {baseline}.",
            ["one classifier at least needs runs of the baseline and of another arm; see arms and statistics.baseline"],
        )
    dense = np.zeros((len(rows), len(blocks)))
    for row, weight in enumerate(weights):
        dense[row, list(weight)] = list(weight.values())
    return _assembled(pd.DataFrame(rows), dense, cells, list(blocks), len(runs))


def run_shares(levels: Sequence[tuple]) -> np.ndarray:
    """The weight of each run in the mean of its cell, float [R]: every level is averaged before the one above it.

    `levels`: the values of LEVELS of each run of the cell.
    """
    shares = np.ones(len(levels))
    for depth in range(len(LEVELS)):
        below = Counter(unit[:depth] for unit in {run[: depth + 1] for run in levels})
        shares /= [below[run[:depth]] for run in levels]
    return shares


def _cells(runs: pd.DataFrame) -> dict[tuple[str, str], _Cell]:
    levels = list(runs[LEVELS].itertuples(index=False, name=None))
    generators = runs["generator"].tolist()
    cells = {}
    for name, own in runs.groupby(["classifier", "arm"], sort=False).indices.items():
        of_cell = [levels[run] for run in own]
        cells[name] = _Cell(generators[own[0]], own, of_cell, run_shares(of_cell))
    return cells


def _blocks(cells: Mapping[tuple[str, str], _Cell], arm: str, classifiers: Sequence[str]) -> list[Block]:
    """The blocks of an arm: a classifier each where its trainings are what is repeated, else all together."""
    own = [cells[classifier, arm] for classifier in classifiers]
    level = min((cell.level for cell in own), key=LEVELS.index)
    if level == LEVELS[-1]:
        return [(arm, (classifier,)) for classifier in classifiers]
    if any(cell.present[level] != own[0].present[level] for cell in own):
        word = level.replace("_", " ")
        raise StudyError(
            f"The classifiers of the arm {arm} cannot be averaged: they were trained on other {word}s.",
            [
                f"{classifier}: {word} {', '.join(str(value) for value in cell.present[level])}; all need the same"
                for classifier, cell in zip(classifiers, own, strict=True)
            ],
        )
    return [(arm, tuple(classifiers))]


def _assembled(
    rows: pd.DataFrame,
    weights: np.ndarray,
    cells: Mapping[tuple[str, str], _Cell],
    blocks: Sequence[Block],
    n_runs: int,
) -> Grid:
    entries, block_of_replicate, kinds, sources = [], [], [], []
    for number, (arm, classifiers) in enumerate(blocks):
        own = [cells[classifier, arm] for classifier in classifiers]
        level, generator = own[0].level, own[0].generator
        place = LEVELS.index(level)
        kinds.append((level, len(classifiers)))
        # Arms of a generator are of the same trainings, and their draws begin with the same images.
        sources.append((level, {"repeat": "", "seed": f"{number}"}.get(level, generator)))
        count = len(own[0].present[level])
        for value in own[0].present[level]:
            for cell in own:
                entries += [
                    (len(block_of_replicate), run, share * count / len(own))
                    for run, levels, share in zip(cell.runs, cell.levels, cell.shares, strict=True)
                    if levels[place] == value
                ]
            block_of_replicate.append(number)
    replicates, runs, averages = zip(*entries, strict=True)
    return Grid(
        rows=rows,
        weights=weights,
        averages=sparse.csr_array((averages, (replicates, runs)), shape=(len(block_of_replicate), n_runs)),
        block_of_replicate=np.array(block_of_replicate),
        pools=pd.factorize(pd.MultiIndex.from_tuples(kinds))[0],
        sources=pd.factorize(pd.MultiIndex.from_tuples(sources))[0],
    )
