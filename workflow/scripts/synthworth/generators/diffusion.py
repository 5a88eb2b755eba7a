"""The training loop that diffusion methods share: which images come when, what noise they get, what is kept.

All that is random at optimiser step t is a function of (seed, t): the images of the batch, their noise and their
timesteps. A resumed training therefore needs no record of random states, and processes that share a batch draw the
same whole batch and each take their part of it.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.optim.lr_scheduler import LambdaLR

from synthworth import seeds
from synthworth.errors import StudyError
from synthworth.progress import progress

# A mean over so many steps is one line of the loss curve in the log.
STEPS_PER_LOSS_LINE = 50


@dataclass
class DiffusionTrainer:
    """A model in training, at optimiser step `step`.

    `loss(model, rows, generator, share)` is the loss of the part `share` of the batch: the method's own few lines.
    `save_checkpoint` writes the weights in the format of the method's ecosystem.
    """

    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    images: int
    batch_size: int
    seed: int
    loss: Callable[[torch.nn.Module, np.ndarray, torch.Generator, slice], torch.Tensor]
    save_checkpoint: Callable[[Path], None]
    max_gradient_norm: float | None
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def save_state(self, file: Path) -> None:
        """Writes all that `load_state` needs to go on as if nothing had happened."""
        scaler = self.accelerator.scaler
        torch.save(
            {
                "step": self.step,
                "model": self.accelerator.unwrap_model(self.model).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": scaler.state_dict() if scaler else None,
            },
            file,
        )

    def load_state(self, file: Path) -> None:
        """Takes up the training where `save_state` left it."""
        state = torch.load(file, map_location="cpu", weights_only=True)
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]


def advance(trainer: DiffusionTrainer, step: int) -> None:
    """Trains up to optimiser step `step` (nothing to do where it is reached already)."""
    accelerator, device = trainer.accelerator, trainer.accelerator.device
    share = _share(trainer.batch_size, accelerator.num_processes, accelerator.process_index)
    trainer.model.train()
    recent: list[torch.Tensor] = []
    for current in progress(range(trainer.step, step), "training", total=step, initial=trainer.step):
        # Draw the whole batch, take this process's part.
        rows = batch_rows(trainer.seed, current, trainer.batch_size, trainer.images)
        generator = torch.Generator(device).manual_seed(seeds.seed(trainer.seed, "noise", current))
        loss = trainer.loss(trainer.model, rows, generator, share)

        # Take the step.
        accelerator.backward(loss)
        if trainer.max_gradient_norm is not None and accelerator.sync_gradients:
            accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.max_gradient_norm)
        trainer.optimizer.step()
        trainer.schedule.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.step = current + 1

        # Reading a loss waits for the device: only once in a while.
        recent.append(loss.detach())
        if trainer.step % STEPS_PER_LOSS_LINE == 0 or trainer.step == step:
            _record(trainer, recent)
            recent.clear()


def batch_rows(seed: int, step: int, batch_size: int, images: int) -> np.ndarray:
    """The rows [batch_size] of the training images in the batch of a step: epoch after epoch, each in its own order."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_order(seed, int(place // images), images)[place % images] for place in places])


@cache
def _order(seed: int, epoch: int, images: int) -> np.ndarray:
    return np.random.default_rng(seeds.seed(seed, "epoch", epoch)).permutation(images)


def learning_rate_factor(schedule: str, warmup_steps: int, schedule_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at a step: a linear rise, then constant, or half a cosine down to 0 and 0 after it."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / max(1, warmup_steps)
        if schedule == "constant":
            return 1.0
        done = min(1.0, (step - warmup_steps) / max(1, schedule_steps - warmup_steps))
        return 0.5 * (1.0 + math.cos(math.pi * done))

    return factor


def _share(batch_size: int, processes: int, index: int) -> slice:
    part = batch_size // processes
    return slice(index * part, (index + 1) * part)


def _record(trainer: DiffusionTrainer, recent: list[torch.Tensor]) -> None:
    mean = trainer.accelerator.reduce(torch.stack(recent).mean(), reduction="mean").item()
    if not math.isfinite(mean):
        raise StudyError(
            f"Training diverged: the loss is {mean} at step {trainer.step}.",
            ["lower `training.learning_rate` of this generator, or set its `training.mixed_precision` to no or bf16"],
        )
    trainer.losses.append(mean)
    if trainer.accelerator.is_main_process:
        print(json.dumps({"step": trainer.step, "loss": mean, "learning_rate": trainer.schedule.get_last_lr()[0]}))
