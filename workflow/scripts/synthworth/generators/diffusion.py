"""The training and the sampling that diffusion methods share."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, PNDMScheduler, SchedulerMixin
from diffusers.training_utils import EMAModel
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LambdaLR

from synthworth import seeds
from synthworth.generators.states import load_state, save_state
from synthworth.generators.training import LossCurve, MicroBatches, batch_rows, share_of
from synthworth.progress import progress

# The target has variance 1, so that a network which predicts nothing has a loss of about 1.
EXPLODED = 100.0
REMEDIES = (
    "lower `training.learning_rate` of this generator, or lengthen its `training.warmup_steps`",
    "or set its `training.mixed_precision` to bf16 or no",
)

# The field's names for the ways from noise to image.
SAMPLERS = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "dpmsolver++": DPMSolverMultistepScheduler,
}


@dataclass
class DiffusionTrainer:
    """A model in training, at optimiser step `step`.

    `loss(model, rows, generator, share)` is the mean loss of the part `share` of a batch of the images `rows`, whose
    noise and timesteps come from `generator`: the method's own few lines. `save_checkpoint` writes the weights in the
    format of the method's ecosystem.
    """

    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    ema: EMAModel | None
    images: int
    batch_size: int
    micro_batches: MicroBatches
    max_gradient_norm: float | None
    seed: int
    loss: Callable[[torch.nn.Module, np.ndarray, torch.Generator, slice], torch.Tensor]
    save_checkpoint: Callable[[Path], None]
    curve: LossCurve
    step: int = 0
    # In this segment, by the scaler of gradients in float16.
    skipped: int = 0

    @property
    def losses(self) -> list[float]:
        """The lines of the loss curve."""
        return self.curve.losses

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters in training, by name."""
        named = self.accelerator.unwrap_model(self.model).named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def save_state(self, file: Path) -> None:
        """Writes all that a resumed training needs to go on as if nothing had happened."""
        scaler = self.accelerator.scaler
        state = {
            "step": self.step,
            "model": dict(self.trained()),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "ema": self.ema.state_dict() if self.ema else None,
        }
        save_state(file, state)

    def load_state(self, file: Path) -> None:
        """Takes up the training where `save_state` left it."""
        state = load_state(file)
        with torch.no_grad():
            for name, parameter in self.trained().items():
                parameter.copy_(state["model"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
            self.ema.to(self.accelerator.device)
        self.step = self.curve.start = state["step"]


def build_trainer(
    model: torch.nn.Module,
    training: dict[str, Any],
    images: int,
    seed: int,
    state: Path | None,
    loss: Callable[[Accelerator], Callable[..., torch.Tensor]],
    save_checkpoint: Callable[[Path, torch.nn.Module], None],
) -> DiffusionTrainer:
    """A trainer of those parameters of `model` that require gradients, fresh or resumed from the file `state`.

    `training` is a generator's key of that name, `images` the number of training images. `loss` makes the trainer's
    loss, given its accelerator; `save_checkpoint` writes a model, whose weights are then the averaged ones where
    there is an EMA.
    """
    accelerator = Accelerator(mixed_precision=training["mixed_precision"], step_scheduler_with_optimizer=False)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=training["learning_rate"],
        betas=tuple(training["betas"]),
        eps=training["epsilon"],
        weight_decay=training["weight_decay"],
        # One kernel for all weights: on CPU and GPU.
        fused=True,
    )
    if training["mixed_precision"] == "fp16" and accelerator.scaler is None:
        print("Training in float32: float16 needs a GPU.", flush=True)
    factor = learning_rate_factor(training["schedule"], training["warmup_steps"], training["schedule_steps"])
    model, optimizer, schedule = accelerator.prepare(model, optimizer, LambdaLR(optimizer, factor))
    if training["gradient_checkpointing"]:
        _checkpoint_gradients(accelerator.unwrap_model(model))
    trainer = DiffusionTrainer(
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        ema=None,
        images=images,
        batch_size=training["batch_size"],
        micro_batches=MicroBatches(
            share_of(training["batch_size"], accelerator),
            training["micro_batch_size"],
            spare=lambda: _checkpoint_gradients(accelerator.unwrap_model(model)),
        ),
        max_gradient_norm=training["max_gradient_norm"],
        seed=seed,
        loss=loss(accelerator),
        save_checkpoint=lambda folder: _save_averaged(trainer, folder, save_checkpoint),
        curve=LossCurve(accelerator, 0, EXPLODED, REMEDIES),
    )
    if training["ema"] is not None:
        trainer.ema = EMAModel(trainer.trained().values(), decay=training["ema"], foreach=True)
    if state is not None:
        trainer.load_state(state)
    return trainer


def advance(trainer: DiffusionTrainer, step: int) -> None:
    """Trains up to optimiser step `step` (nothing to do where it is reached already)."""
    trainer.model.train()
    weights = list(trainer.trained().values())
    for current in progress(range(trainer.step, step), "training", total=step, initial=trainer.step):
        loss = trainer.micro_batches.attempt(
            lambda slices, current=current: _gradients(trainer, current, slices), trainer.accelerator
        )
        if trainer.max_gradient_norm is not None:
            trainer.accelerator.clip_grad_norm_(weights, trainer.max_gradient_norm)
        trainer.optimizer.step()
        trainer.schedule.step()
        if trainer.ema:
            trainer.ema.step(weights)
        trainer.step = current + 1
        trainer.skipped += trainer.accelerator.optimizer_step_was_skipped
        said = {"learning_rate": trainer.schedule.get_last_lr()[0], "skipped_updates": trainer.skipped}
        trainer.curve.add(trainer.step, loss, last=trainer.step == step, **said)


def _gradients(trainer: DiffusionTrainer, step: int, slices: list[slice]) -> torch.Tensor:
    """Leaves the gradients of this process's share of a step's batch in the parameters; returns the mean loss."""
    accelerator = trainer.accelerator
    trainer.optimizer.zero_grad(set_to_none=True)
    rows = batch_rows(trainer.seed, step, trainer.batch_size, trainer.images)
    share = sum(part.stop - part.start for part in slices)
    total = torch.zeros((), device=accelerator.device)
    for part in slices:
        # Each slice draws the whole batch's noise anew and takes its part of it.
        generator = torch.Generator(accelerator.device).manual_seed(seeds.seed(trainer.seed, "noise", step))
        # Processes exchange their gradients once, with those of the last slice.
        with nullcontext() if part is slices[-1] else accelerator.no_sync(trainer.model):
            loss = trainer.loss(trainer.model, rows, generator, part) * ((part.stop - part.start) / share)
            accelerator.backward(loss)
        total += loss.detach()
    return total


def denoising_loss(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    noise_scheduler: DDPMScheduler,
    clean: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
) -> torch.Tensor:
    """The loss [batch] of each image: the squared error of what the network makes of the noisy image (Ho et al. 2020).

    `clean` and `noise` are [batch, channels, height, width]; `predict(noisy, timesteps)` is of the same shape. What
    it is held against is the scheduler's `prediction_type`: the noise, the velocity or the clean image.
    """
    noisy = noise_scheduler.add_noise(clean, noise, timesteps)
    target = {
        "epsilon": lambda: noise,
        "v_prediction": lambda: noise_scheduler.get_velocity(clean, noise, timesteps),
        "sample": lambda: clean,
    }[noise_scheduler.config.prediction_type]()
    return mse_loss(predict(noisy, timesteps).float(), target.float(), reduction="none").mean(dim=(1, 2, 3))


def sampler(name: str, scheduler: SchedulerMixin, **changes: Any) -> SchedulerMixin:
    """The way from noise to image of that name (see `SAMPLERS`), for a model that was trained with `scheduler`.

    `changes` go before what the scheduler's configuration says.
    """
    return SAMPLERS[name].from_config(scheduler.config, **changes)


def learning_rate_factor(schedule: str, warmup_steps: int, schedule_steps: int | None) -> Callable[[int], float]:
    """The learning rate's factor at a step: a linear rise, then constant, or half a cosine down to 0 and 0 after it."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / max(1, warmup_steps)
        if schedule == "constant":
            return 1.0
        done = min(1.0, (step - warmup_steps) / max(1, schedule_steps - warmup_steps))
        return 0.5 * (1.0 + math.cos(math.pi * done))

    return factor


def _save_averaged(
    trainer: DiffusionTrainer, folder: Path, save_checkpoint: Callable[[Path, torch.nn.Module], None]
) -> None:
    """Writes the model with the averaged weights in place of those in training, where there is an EMA."""
    trained = list(trainer.trained().values())
    if trainer.ema:
        trainer.ema.store(trained)
        trainer.ema.copy_to(trained)
    save_checkpoint(folder, trainer.accelerator.unwrap_model(trainer.model))
    if trainer.ema:
        trainer.ema.restore(trained)


def _checkpoint_gradients(model: torch.nn.Module) -> bool:
    """Turns gradient checkpointing on: activations are computed again instead of kept. False where it was on."""
    if model.is_gradient_checkpointing:
        return False
    model.enable_gradient_checkpointing()
    print("Gradient checkpointing is on: less memory, the same gradients.", flush=True)
    return True
