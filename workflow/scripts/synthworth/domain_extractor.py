"""The domain extractor: a small classifier trained on the study's own training images, used for its features.

It needs no weights from elsewhere and looks at what tells the study's classes apart. Its features are those before
its last layer (`features.domain`).
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from synthworth.errors import StudyError
from synthworth.features.domain import CONFIG_NAME, WEIGHTS_NAME, domain_network, domain_pixels
from synthworth.files import replacing
from synthworth.progress import progress

# Images move by at most this share of their size. They are not mirrored: that would put the heart on the right.
SHIFT = 1 / 16
WEIGHT_DECAY = 0.05


def train_domain_extractor(
    images: Path,
    index: Path,
    output: Path,
    *,
    architecture: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: str | None = None,
) -> None:
    """Trains the network on a split and writes it as a folder: `model.safetensors` and `config.json`.

    `images` is the split's array, uint8 [n, size, size, channels], `index` its CSV, whose column `class` is learnt.
    An epoch is n images drawn so that every class comes equally often; AdamW with a one-cycle learning rate that
    peaks at `learning_rate`. On a CPU the seed alone decides the weights. The config holds architecture, channels,
    size, classes (sorted) and the accuracy on the training images. StudyError for fewer than two classes.
    """
    pixels = np.load(images, mmap_mode="r")
    names = pd.read_csv(index, dtype=str, keep_default_na=False)["class"]
    classes = sorted(names.unique())
    if len(classes) < 2:
        raise StudyError(
            "A domain extractor learns to tell classes apart.",
            [f"{index} has {len(classes)} class(es); use the extractor `inception`, or a study of more classes"],
        )
    labels = torch.tensor([classes.index(name) for name in names])
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    size, channels = pixels.shape[1], pixels.shape[-1]

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = domain_network(architecture, channels, len(classes)).to(device)
        _train(network, pixels, labels, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    accuracy = _accuracy(network, pixels, labels, batch_size)

    config = {
        "architecture": architecture,
        "channels": channels,
        "size": size,
        "classes": classes,
        "training_images": len(labels),
        "training_accuracy": round(accuracy, 4),
    }
    with replacing(output) as folder:
        folder.mkdir()
        # `.contiguous()`: safetensors takes no other layout.
        weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        safetensors.torch.save_file(weights, folder / WEIGHTS_NAME)
        (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _train(
    network: nn.Module, images: np.ndarray, labels: torch.Tensor, *, epochs: int, batch_size: int, learning_rate: float
) -> None:
    device = next(network.parameters()).device
    epoch = math.ceil(len(labels) / batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * epoch)
    network.train()
    batches = _batches(images, labels, batch_size, epochs * epoch)
    for pixels, rows in progress(batches, "Training the domain extractor", total=epochs * epoch):
        loss = functional.cross_entropy(network(pixels.to(device)), labels[rows].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    # A short training leaves the running statistics of batch normalisation behind the weights.
    update_bn(_batches(images, labels, batch_size, epoch), network, device)


def _batches(
    images: np.ndarray, labels: torch.Tensor, batch_size: int, count: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of shifted pixels and their rows, each drawn so that every class is equally likely."""
    balance = (1 / torch.bincount(labels).double())[labels]
    for _ in range(count):
        rows = torch.multinomial(balance, batch_size, replacement=True)
        yield _shifted(domain_pixels(images[rows.numpy()], images.shape[1], images.shape[-1])), rows


def _shifted(pixels: torch.Tensor) -> torch.Tensor:
    """Each image moved by its own random offset, its edges stretched into the gap."""
    size = pixels.shape[-1]
    reach = round(size * SHIFT)
    padded = functional.pad(pixels, [reach] * 4, mode="replicate")
    offsets = torch.randint(0, 2 * reach + 1, (len(pixels), 2)).tolist()
    return torch.stack([x[:, i : i + size, j : j + size] for x, (i, j) in zip(padded, offsets, strict=True)])


@torch.inference_mode()
def _accuracy(network: nn.Module, images: np.ndarray, labels: torch.Tensor, batch_size: int) -> float:
    device = next(network.parameters()).device
    network.eval()
    correct = 0
    for start in range(0, len(labels), batch_size):
        batch = images[start : start + batch_size]
        pixels = domain_pixels(batch, images.shape[1], images.shape[-1]).to(device)
        correct += (network(pixels).argmax(dim=1).cpu() == labels[start : start + batch_size]).sum().item()
    return correct / len(labels)
