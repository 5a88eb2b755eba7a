"""Predictions of a classifier, as logits in memory and as a table of probabilities per image."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from synthworth.classifiers.augmentation import evaluation_transform
from synthworth.classifiers.data import ImageDataset, ImageTable, real_images
from synthworth.classifiers.models import load_classifier
from synthworth.errors import StudyError
from synthworth.files import replacing

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


def evaluate_classifier(folder: Path, images: Path, index: Path, classes: Sequence[str], output: Path) -> None:
    """Writes a classifier's probabilities for each image of a split to a CSV `image, patient, class, p_<class>...`.

    `folder` is what `train_classifier` wrote, `images` (.npy) and `index` (.csv) those of the split. The columns of
    probabilities are in the order of `classes`, the rows in that of the index. Predictions are in float32 whatever
    the precision of the training. Raises StudyError where the classifier knows other classes or another size.
    """
    # Its own threads, one for each core of the machine, come on top of the process's.
    cv2.setNumThreads(0)
    device = default_device()
    model, facts = load_classifier(folder)
    table, frame = real_images(images, index, classes)
    problems = []
    if sorted(facts["classes"]) != sorted(classes):
        problems.append(f"it knows {', '.join(facts['classes'])}; the study has {', '.join(classes)}")
    if facts["size"] != table.size:
        problems.append(f"it was trained at {facts['size']} px; the images have {table.size} px")
    if problems:
        raise StudyError("The classifier does not fit the images", [f"{folder}: {problem}" for problem in problems])
    probabilities = predict(model.to(device), table, device).softmax(dim=1).numpy()
    rows = frame[["image", "patient", "class"]].copy()
    for name in classes:
        rows[f"p_{name}"] = probabilities[:, facts["classes"].index(name)]
    with replacing(output) as temporary:
        rows.to_csv(temporary, index=False)
