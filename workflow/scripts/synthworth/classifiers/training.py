"""Training of a classifier: one run, from an arm's images to the weights of its best epoch.

How many optimiser steps a run makes hangs on its `budget`; let B(n) be the batches of a pass over n images.

- `epochs`, as published: so many passes over the arm's images, so more images mean more steps. An epoch has B(real +
  added) steps for `mix` and B(added) for `replace`; for `pretrain_then_finetune` B(added) in its first stage, B(real)
  after it. Rows that oversample count as images.
- `steps`: `epochs` times B(all real training images), whatever the arm. An epoch is as many steps as a pass over these,
  and the stream of shuffled batches goes on over its end.

For all real training images alone, each once, both are the same (without `compile`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import torch

from synthworth.classifiers.arm_images import ArmImages, arm_images
from synthworth.classifiers.augmentation import training_augmentation
from synthworth.classifiers.batches import BatchOrder, Stage, starts
from synthworth.classifiers.data import ImageDataset, ImageTable, real_images
from synthworth.classifiers.models import create_classifier, save_classifier
from synthworth.classifiers.normalisation import normalised
from synthworth.classifiers.objectives import Objective, class_weights, cross_entropy
from synthworth.classifiers.prediction import default_device, predict
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.precisions import PRECISIONS
from synthworth.progress import progress
from synthworth.seeds import seed

Schedule = Literal["per_epoch", "per_batch"]
Precision = Literal["no", "fp16", "bf16"]
Budget = Literal["epochs", "steps"]

HISTORY_NAME = "history.csv"


def train_classifier(
    *,
    train_images: Path,
    train_index: Path,
    select_images: Path,
    select_index: Path,
    classes: Sequence[str],
    output: Path,
    architecture: str,
    epochs: int,
    augmentation: Mapping[str, float | Sequence[float]],
    run_seed: int,
    findings: Sequence[str] = (),
    shards: Sequence[Path] = (),
    rendered: Sequence[Path] = (),
    copies: Sequence[Path] = (),
    arm: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
    weigh_classes: bool = False,
    pretrain_share: float = 0.5,
    budget: Budget = "epochs",
    pretrained: Path | None = None,
    dropout: float = 0.5,
    batch_size: int = 8,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    schedule: Schedule = "per_epoch",
    mixed_precision: Precision = "no",
    compile: bool = False,
    workers: int = 0,
) -> None:
    """Trains one run and writes the folder `output`: the weights of the best epoch, their config, `history.csv`.

    Images and indices are those of the splits `train` and `select`. With `findings`, columns of both indices, the
    network has a logit for each of these, not for each class. `shards`, `rendered`, `copies` and `arm`, keywords of
    `arm_images`, say what it is trained on; of an arm that pretrains, the share `pretrain_share` of the epochs (at
    least one, and not all) is its first stage. `weigh_classes` has the classes of each stage weigh the same in the
    loss. `objective` holds the keywords of `Objective`, `augmentation` those of `training_augmentation` but the seed.
    The defaults are the paper's (section 2.3: Adam, cross-entropy, batches of 8, dropout before the last layer); `fit`
    tells of the rest. All randomness (new layers, order, dropout, augmentation, oversampling, repeats, mixing) comes
    from `run_seed`: on a CPU, the same seed and number of threads give the same weights bit for bit.
    """
    # OpenCV's own threads, one for each core of the machine, would come on top of each worker's.
    cv2.setNumThreads(0)
    images = arm_images(
        train_images,
        train_index,
        classes,
        findings=findings,
        shards=shards,
        rendered=rendered,
        copies=copies,
        run_seed=run_seed,
        **(arm or {}),
    )
    selection, _ = real_images(select_images, select_index, classes, findings)
    torch.manual_seed(seed(run_seed, "weights"))
    model = create_classifier(architecture, len(findings or classes), dropout, pretrained)
    state, history, epoch = fit(
        model,
        ImageDataset(images.table, training_augmentation(**augmentation, run_seed=run_seed)),
        selection,
        stages=_stages(images, epochs, pretrain_share, len(classes) if weigh_classes else None),
        steps=len(starts(images.real, batch_size)) if budget == "steps" else None,
        objective=Objective(**(objective or {})),
        batch_size=batch_size,
        learning_rate=learning_rate,
        betas=betas,
        schedule=schedule,
        mixed_precision=mixed_precision,
        compile=compile,
        run_seed=run_seed,
        workers=workers,
        device=default_device(),
    )
    with replacing(output) as folder:
        save_classifier(folder, model, state, classes, images.table.size, dropout, epoch, findings)
        history.to_csv(folder / HISTORY_NAME, index=False)


def fit(
    model: torch.nn.Module,
    training: ImageDataset,
    selection: ImageTable,
    *,
    stages: Sequence[Stage],
    steps: int | None,
    objective: Objective,
    batch_size: int,
    learning_rate: float,
    betas: tuple[float, float],
    schedule: Schedule,
    mixed_precision: Precision,
    compile: bool,
    run_seed: int,
    workers: int,
    device: torch.device,
) -> tuple[dict[str, torch.Tensor], pd.DataFrame, int]:
    """Trains `model`; returns the weights after the epoch of least loss on `selection`, the history, that epoch.

    The epochs are those of `stages`, one after the other, `steps` each or a pass over the stage's images; only those
    of the last stage can be chosen. The history has a row per epoch, from 1: `steps` made so far, `train_loss` (the
    mean of `objective` over images), `select_loss` (`cross_entropy`), `select_accuracy` (fraction) and `learning_rate`
    (of the last step). `schedule` is `per_epoch`, a cosine from `learning_rate` down over all epochs, or `per_batch`,
    the published code's (`learning_rates`). With a mixed precision the steps, and the losses that choose the epoch, are
    computed under autocast, in channels-last layout and with the fused Adam. With `compile`, on a GPU, the
    passes of the steps are compiled and started as one (CUDA graphs): all batches are then of one size, and a pass
    leaves out the images that fill none. Raises StudyError where a loss is not finite.
    """
    compile = compiles(compile, device)
    mixed = mixed_precision != "no"
    model.to(device, memory_format=torch.channels_last if mixed else torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=betas, fused=mixed or None)
    # Passes that choose the epoch go through the network itself: their last batch is of another size.
    network = torch.compile(model, mode="reduce-overhead", dynamic=False) if compile else model
    epochs = sum(stage.epochs for stage in stages)
    cosine = learning_rates(optimizer, epochs, schedule)
    scaler = torch.amp.GradScaler(device.type, enabled=mixed_precision == "fp16")
    autocast = torch.autocast(device.type, PRECISIONS[mixed_precision], enabled=mixed)
    order = BatchOrder(stages, batch_size, run_seed, steps, even=compile)
    loader = torch.utils.data.DataLoader(
        training,
        batch_sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        # Its own, so that the loader takes no numbers from the stream of the dropout.
        generator=torch.Generator().manual_seed(seed(run_seed, "loader")),
    )
    chosen_by = torch.tensor(selection.targets)
    chosen_by_findings = [] if selection.findings is None else [torch.tensor(selection.findings)]
    torch.manual_seed(seed(run_seed, "dropout"))
    history, made, best, best_epoch = [], 0, {}, 0
    for epoch in progress(range(1, epochs + 1), "training, epochs"):
        model.train()
        order.epoch = epoch
        stage = order.stage
        weights = None if stage.class_weights is None else torch.from_numpy(stage.class_weights).to(device)
        losses, sizes = [], []
        for batch in loader:
            rate = optimizer.param_groups[0]["lr"]
            made += 1
            images, labels, *findings = (part.to(device, non_blocking=True) for part in batch)
            images, partner, share = objective.mix(normalised(images), seed(run_seed, "mixing", made))
            with autocast:
                logits = network(images).float()
                loss = objective(logits, labels, weights, *findings)
                if partner is not None:
                    partners = [part[partner] for part in findings]
                    loss = share * loss + (1 - share) * objective(logits, labels[partner], weights, *partners)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if schedule == "per_batch":
                cosine.step()
            # Kept on the device: to look at each loss now would make the CPU wait for the GPU at each step.
            losses.append(loss.detach())
            sizes.append(len(labels))
        if schedule == "per_epoch":
            cosine.step()
        with autocast:
            logits = predict(model, selection, device)
        select_loss = cross_entropy(logits, chosen_by, *chosen_by_findings).item()
        train_losses = torch.stack(losses).cpu()
        _check(train_losses, select_loss, epoch)
        history.append(
            {
                "epoch": epoch,
                "steps": made,
                "train_loss": float(np.average(train_losses.numpy(), weights=sizes)),
                "select_loss": select_loss,
                "select_accuracy": _accuracy(logits, chosen_by, *chosen_by_findings),
                "learning_rate": rate,
            }
        )
        if stage is stages[-1] and (not best or select_loss < history[best_epoch - 1]["select_loss"]):
            best, best_epoch = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}, epoch
    return best, pd.DataFrame(history), best_epoch


def learning_rates(
    optimizer: torch.optim.Optimizer, epochs: int, schedule: Schedule
) -> torch.optim.lr_scheduler.CosineAnnealingLR:
    """The cosine schedule of `optimizer`, to be stepped after each epoch or, where it is `per_batch`, each batch.

    `per_epoch` falls from the first rate towards 0 over all `epochs`. `per_batch` is the published code of Schaudt
    et al. 2023: the period is meant in epochs (epochs - 1 down, as many up again) but is stepped for each batch, so
    that the rate oscillates between its first value and 0 all through the training.
    """
    period = epochs if schedule == "per_epoch" else max(epochs - 1, 1)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=period)


def compiles(wanted: bool, device: torch.device) -> bool:
    """Whether the steps are compiled where it is `wanted`: on a CPU they never are."""
    return wanted and device.type == "cuda"


def _stages(images: ArmImages, epochs: int, pretrain_share: float, weighed: int | None) -> list[Stage]:
    """The stages of an arm's training; with weights of classes in each, where their number is given as `weighed`."""

    def stage(rows: np.ndarray, count: int) -> Stage:
        return Stage(rows, count, class_weights(images.table.targets[rows], weighed) if weighed else None)

    if len(images.pretraining) == 0:
        return [stage(images.training, epochs)]
    before = min(max(round(pretrain_share * epochs), 1), epochs - 1)
    return [stage(images.pretraining, before), stage(images.training, epochs - before)]


def _accuracy(logits: torch.Tensor, labels: torch.Tensor, findings: torch.Tensor | None = None) -> float:
    """The share of images whose class is right; of findings the mean of each one's share of right decisions."""
    if findings is None:
        return (logits.argmax(dim=1) == labels).float().mean().item()
    right = ((logits > 0) == (findings == 1)).float().masked_fill(findings.isnan(), torch.nan)
    return right.nanmean(dim=0).nanmean().item()


def _check(train_losses: torch.Tensor, select_loss: float, epoch: int) -> None:
    broken = torch.nonzero(~torch.isfinite(train_losses))
    if len(broken):
        where = f"epoch {epoch}, step {int(broken[0]) + 1} of {len(train_losses)}: the training loss"
    elif not np.isfinite(select_loss):
        where = f"epoch {epoch}: the loss on the selection images"
    else:
        return
    remedy = "lower the classifier's learning rate, or set its mixed precision to `no`"
    raise StudyError("The training of a classifier diverged", [f"{where} is not finite: {remedy}"])
