"""What all trainings share: which images come when, in what portions, and a loss that is watched.

All that is random at optimiser step t is a function of (seed, t). A resumed training therefore needs no record of
random states, and processes that share a batch draw the same whole batch and each take their part of it.
"""

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from synthworth import seeds
from synthworth.errors import StudyError

# A mean over so many steps is one line of the loss curve in the log.
STEPS_PER_LOSS_LINE = 50

T = TypeVar("T")


def batch_rows(seed: int, step: int, batch_size: int, images: int) -> np.ndarray:
    """The rows [batch_size] of the training images in the batch of a step: epoch after epoch, each in its own order."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_order(seed, int(place // images), images)[place % images] for place in places])


@cache
def _order(seed: int, epoch: int, images: int) -> np.ndarray:
    return np.random.default_rng(seeds.seed(seed, "epoch", epoch)).permutation(images)


def share_of(batch_size: int, accelerator: Accelerator) -> slice:
    """The part of a batch that is this process's."""
    part = batch_size // accelerator.num_processes
    return slice(accelerator.process_index * part, (accelerator.process_index + 1) * part)


class MicroBatches:
    """The slices in which a process goes through its share of a batch, adding up their gradients.

    `size` images at a time, None: all at once; sizes stay multiples of `multiple`. Where a GPU's memory does not
    suffice the slices are halved: the batch, and with it the training, stays what it is. `spare` is called where
    nothing is left to halve, and says whether it has found another way to save memory.
    """

    def __init__(
        self, share: slice, size: int | None, multiple: int = 1, spare: Callable[[], bool] = lambda: False
    ) -> None:
        self.share = share
        whole = share.stop - share.start
        self.size = min(size or whole, whole)
        self.multiple = multiple
        self.spare = spare

    def slices(self) -> list[slice]:
        """The share, cut up."""
        starts = range(self.share.start, self.share.stop, self.size)
        return [slice(start, min(start + self.size, self.share.stop)) for start in starts]

    def attempt(self, gradients: Callable[[list[slice]], T], accelerator: Accelerator) -> T:
        """What `gradients` returns, which zeroes gradients and adds up those of the slices.

        When memory runs out it is called again with smaller slices. StudyError where nothing helps, or where
        other processes wait for this one.
        """
        while True:
            try:
                return gradients(self.slices())
            except torch.OutOfMemoryError:
                if accelerator.num_processes > 1 or not self._shrink():
                    raise self._shortage() from None
            # Outside the handler: its traceback would keep the tensors that are to be freed.
            torch.cuda.empty_cache()

    def _shortage(self) -> StudyError:
        remedies = ["choose a smaller `size` for this generator, or a GPU with more memory"]
        if self.size > self.multiple:
            remedies.insert(
                0,
                "set `training.micro_batch_size` of this generator to a smaller number: the batch, and the gradient, "
                "stay the same",
            )
        return StudyError(f"The GPU's memory does not suffice for {self.size} images at once.", remedies)

    def _shrink(self) -> bool:
        half = self.size // 2 // self.multiple * self.multiple
        if half > 0:
            self.size = half
            print(f"Out of GPU memory: going on with {half} images at once; the batch stays the same.", flush=True)
            return True
        return self.spare()


class LossCurve:
    """The loss over steps: a line of JSON in the log for each mean over some steps, and an end to a loss that explodes.

    `start` is the step at which the training was taken up, its last good checkpoint; a mean beyond `limit` in either
    direction, or one that is no number, stops the training and names the `remedies`.
    """

    def __init__(self, accelerator: Accelerator, start: int, limit: float, remedies: Sequence[str]) -> None:
        self.accelerator = accelerator
        self.start = start
        self.limit = limit
        self.remedies = remedies
        self.losses: list[float] = []
        self._recent: list[torch.Tensor] = []

    def add(self, step: int, loss: torch.Tensor, last: bool, **more: float) -> None:
        """Takes the loss of a step, `last` of this segment or not; `more` is said beside it."""
        # Reading a loss waits for the device: only once in a while.
        self._recent.append(loss.detach().float())
        if step % STEPS_PER_LOSS_LINE and not last:
            return
        mean = self.accelerator.reduce(torch.stack(self._recent).mean(), reduction="mean").item()
        self._recent.clear()
        if not math.isfinite(mean) or abs(mean) > self.limit:
            good = f"step {self.start}" if self.start else "none, the training had just begun"
            raise StudyError(
                f"Training diverged: the loss is {mean:g} at step {step}. The last good checkpoint: {good}.",
                [
                    *self.remedies,
                    "or choose a smaller `checkpoints.last`: checkpoints before this step stay as they are",
                ],
            )
        self.losses.append(mean)
        if self.accelerator.is_main_process:
            print(json.dumps({"step": step, "loss": mean} | more), flush=True)
