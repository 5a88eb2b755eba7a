"""Training of a classifier: one run, from an arm's images to the weights of its best epoch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from synthworth.classifiers.augmentation import training_augmentation
from synthworth.classifiers.data import Balance, ImageDataset, ImageTable, real_images, training_images
from synthworth.classifiers.models import create_classifier, save_classifier
from synthworth.classifiers.prediction import default_device, predict
from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.precisions import PRECISIONS
from synthworth.progress import progress
from synthworth.seeds import seed

Schedule = Literal["per_epoch", "per_batch"]
Precision = Literal["no", "fp16", "bf16"]

HISTORY_NAME = "history.csv"


class BatchOrder(torch.utils.data.Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, row) in an order that `run_seed` and `epoch` give; set `epoch` before each pass.

    A last batch of one image is joined to the one before it: batch normalisation cannot learn from one image.
    """

    def __init__(self, count: int, batch_size: int, run_seed: int) -> None:
        self.count = count
        self.batch_size = batch_size
        self.run_seed = run_seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng(seed(self.run_seed, "order", self.epoch)).permutation(self.count)
        for rows in np.split(order, self._starts()[1:]):
            yield [(self.epoch, int(row)) for row in rows]

    def _starts(self) -> list[int]:
        starts = list(range(0, self.count, self.batch_size))
        return starts[:-1] if len(starts) > 1 and self.count - starts[-1] == 1 else starts


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
    shards: Sequence[Path] = (),
    copies: Sequence[Path] = (),
    per_class: int = 0,
    balance: Balance = "none",
    pretrained: Path | None = None,
    dropout: float = 0.5,
    batch_size: int = 8,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    schedule: Schedule = "per_epoch",
    mixed_precision: Precision = "no",
    workers: int = 0,
) -> None:
    """Trains one run and writes the folder `output`: the weights of the best epoch, their config, `history.csv`.

    Images and indices are those of the splits `train` and `select`; `shards`, `copies`, `per_class` and `balance`
    make the arm (`data.training_images`); `augmentation` holds the keywords of `training_augmentation` but the seed.
    The defaults are the paper's (section 2.3: Adam, cross-entropy, batches of 8, dropout before the last layer); `fit`
    tells of the rest. All randomness (new layers, order, dropout, augmentation, oversampling) comes from
    `run_seed`: on a CPU, the same seed and number of threads give the same weights bit for bit.
    """
    # OpenCV's own threads, one for each core of the machine, would come on top of each worker's.
    cv2.setNumThreads(0)
    training = training_images(
        train_images,
        train_index,
        classes,
        shards=shards,
        copies=copies,
        per_class=per_class,
        balance=balance,
        run_seed=run_seed,
    )
    selection, _ = real_images(select_images, select_index, classes)
    torch.manual_seed(seed(run_seed, "weights"))
    model = create_classifier(architecture, len(classes), dropout, pretrained)
    state, history, epoch = fit(
        model,
        ImageDataset(training, training_augmentation(**augmentation, run_seed=run_seed)),
        selection,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        betas=betas,
        schedule=schedule,
        mixed_precision=mixed_precision,
        run_seed=run_seed,
        workers=workers,
        device=default_device(),
    )
    with replacing(output) as folder:
        save_classifier(folder, model, state, classes, training.size, dropout, epoch)
        history.to_csv(folder / HISTORY_NAME, index=False)


def fit(
    model: torch.nn.Module,
    training: ImageDataset,
    selection: ImageTable,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    betas: tuple[float, float],
    schedule: Schedule,
    mixed_precision: Precision,
    run_seed: int,
    workers: int,
    device: torch.device,
) -> tuple[dict[str, torch.Tensor], pd.DataFrame, int]:
    """Trains `model`; returns the weights after the epoch of least loss on `selection`, the history, that epoch.

    The history has a row per epoch, from 1: `train_loss` and `select_loss` (cross-entropy, mean over images),
    `select_accuracy` (a fraction) and `learning_rate` (of the last step). `schedule` is `per_epoch`, a cosine from
    `learning_rate` down over all epochs, or `per_batch`, the published code's (`learning_rates`). With a mixed
    precision the steps, and the losses that choose the epoch, are computed under autocast, in channels-last
    layout and with the fused Adam. Raises StudyError where a loss is not finite.
    """
    mixed = mixed_precision != "no"
    model.to(device, memory_format=torch.channels_last if mixed else torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=betas, fused=mixed or None)
    cosine = learning_rates(optimizer, epochs, schedule)
    scaler = torch.amp.GradScaler(device.type, enabled=mixed_precision == "fp16")
    autocast = torch.autocast(device.type, PRECISIONS[mixed_precision], enabled=mixed)
    order = BatchOrder(len(training), batch_size, run_seed)
    loader = torch.utils.data.DataLoader(
        training,
        batch_sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        # Its own, so that the loader takes no numbers from the stream of the dropout.
        generator=torch.Generator().manual_seed(seed(run_seed, "loader")),
    )
    targets = torch.tensor(selection.targets)
    torch.manual_seed(seed(run_seed, "dropout"))
    history, best, best_epoch = [], {}, 0
    for epoch in progress(range(1, epochs + 1), "training, epochs"):
        model.train()
        order.epoch = epoch
        losses, sizes = [], []
        for images, labels in loader:
            rate = optimizer.param_groups[0]["lr"]
            with autocast:
                logits = model(images.to(device, non_blocking=True))
                loss = cross_entropy(logits.float(), labels.to(device, non_blocking=True))
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
        select_loss = cross_entropy(logits, targets).item()
        train_losses = torch.stack(losses).cpu()
        _check(train_losses, select_loss, epoch)
        history.append(
            {
                "epoch": epoch,
                "train_loss": float(np.average(train_losses.numpy(), weights=sizes)),
                "select_loss": select_loss,
                "select_accuracy": (logits.argmax(dim=1) == targets).float().mean().item(),
                "learning_rate": rate,
            }
        )
        if not best or select_loss < history[best_epoch - 1]["select_loss"]:
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
