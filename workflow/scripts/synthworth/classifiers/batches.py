"""Which images each batch of a training holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from synthworth.seeds import seed


@dataclass(frozen=True)
class Stage:
    """A part of a training: `epochs` over the rows (int) of the training table, with weights of classes in the loss."""

    rows: np.ndarray
    epochs: int
    class_weights: np.ndarray | None = None


class BatchOrder(torch.utils.data.Sampler[list[tuple[int, int]]]):
    """Batches of (pass, row) of an epoch in an order that `run_seed` gives; set `epoch`, from 1, before each.

    Each stage has a stream of batches: its rows in a new order in every pass over them, numbered from the stage's
    first epoch on. An epoch is a pass, or with `steps` so many batches: the stream goes on where the epoch before
    ended, over the end of a pass. A pass's last batch of one image is joined to the one before it: batch normalisation
    cannot learn from one image. With `even` a pass leaves out what does not fill a batch, other images each time, so
    that all batches are of one size.
    """

    def __init__(
        self, stages: Sequence[Stage], batch_size: int, run_seed: int, steps: int | None = None, even: bool = False
    ) -> None:
        self.stages = list(stages)
        self.batch_size = batch_size
        self.even = even
        self.run_seed = run_seed
        self.steps = steps
        self.epoch = 1

    def __len__(self) -> int:
        return self.steps or len(starts(self._seen(self.stage), self.batch_size))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        stage, first = self._place()
        seen = self._seen(stage)
        cuts = starts(seen, self.batch_size)
        begin = (self.epoch - first) * len(self)
        batches: list[np.ndarray] = []
        for number in range(begin, begin + len(self)):
            turn, place = first + number // len(cuts), number % len(cuts)
            if place == 0 or not batches:
                order = np.random.default_rng(seed(self.run_seed, "order", turn)).permutation(len(stage.rows))
                batches = np.split(stage.rows[order[:seen]], cuts[1:])
            yield [(turn, int(row)) for row in batches[place]]

    @property
    def stage(self) -> Stage:
        """The stage that the epoch belongs to."""
        return self._place()[0]

    def _seen(self, stage: Stage) -> int:
        """How many images of a stage a pass holds."""
        count = len(stage.rows)
        return count - count % self.batch_size if self.even and count > self.batch_size else count

    def _place(self) -> tuple[Stage, int]:
        """The stage that the epoch belongs to, and its first epoch."""
        ends = np.cumsum([stage.epochs for stage in self.stages])
        place = int(np.searchsorted(ends, self.epoch))
        return self.stages[place], 1 + int(ends[place]) - self.stages[place].epochs


def starts(count: int, batch_size: int) -> list[int]:
    """Where the batches of a pass over `count` images start; as many as it has optimiser steps."""
    cuts = list(range(0, count, batch_size))
    return cuts[:-1] if len(cuts) > 1 and count - cuts[-1] == 1 else cuts
