"""What a classifier says of images: logits, in training to choose the epoch and in evaluation alike."""

import torch

from synthworth.classifiers.augmentation import evaluation_transform
from synthworth.classifiers.data import ImageDataset, ImageTable

# On a CPU larger batches than 8 leave its cache and take longer for each image; a GPU wants more to do at once.
BATCH_SIZE = {"cpu": 8, "cuda": 64}


def default_device() -> torch.device:
    """The process's first GPU if it has one, else its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def predict(model: torch.nn.Module, table: ImageTable, device: torch.device) -> torch.Tensor:
    """The logits of `model` (on `device`, put into evaluation mode): float32 [n, classes], on the CPU."""
    dataset = ImageDataset(table, evaluation_transform())
    items = [(0, row) for row in range(len(table))]
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH_SIZE.get(device.type, 64), sampler=items)
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(images.to(device)).float().cpu() for images, _ in loader])
