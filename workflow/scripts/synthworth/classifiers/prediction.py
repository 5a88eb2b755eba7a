"""What a classifier says of images: logits, in training to choose the epoch and in evaluation alike."""

import numpy as np
import torch

from synthworth.classifiers.data import ImageTable
from synthworth.classifiers.normalisation import normalised

# On a CPU larger batches than 4 leave its cache and take longer for each image; a GPU wants more to do at once.
BATCH_SIZE = {"cpu": 4, "cuda": 64}


def default_device() -> torch.device:
    """The process's first GPU if it has one, else its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def probabilities(logits: torch.Tensor, findings: bool) -> np.ndarray:
    """Of logits [n, K]: the probability of each finding by itself, or of each class, which add up to 1. float32."""
    return (logits.sigmoid() if findings else logits.softmax(dim=1)).numpy()


def predict(model: torch.nn.Module, table: ImageTable, device: torch.device) -> torch.Tensor:
    """The logits of `model` (on `device`, put into evaluation mode): float32 [n, classes], on the CPU."""
    size = BATCH_SIZE.get(device.type, 64)
    model.eval()
    logits = []
    with torch.inference_mode():
        for start in range(0, len(table), size):
            rows = range(start, min(start + size, len(table)))
            images = torch.from_numpy(np.stack([table.image(row) for row in rows]))
            # Kept on the device: to fetch each batch's logits would make the CPU wait for the GPU.
            logits.append(model(normalised(images.to(device))).float())
    return torch.cat(logits).cpu()
