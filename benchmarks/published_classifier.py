"""The published way to train a classifier, as Schaudt et al. (2023) tell of it and as their code does, for benchmarks.

In each epoch each image is decoded from its file, resized and augmented on its own, by workers that are forked anew;
the network is validated on one image at a time. Written from the paper; beside it, what a study has instead.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import albumentations
import cv2
import numpy as np
import torch
import yaml
from rounds import now, on_gpu
from torch.nn.functional import cross_entropy

from synthworth.classifiers import training as training_module
from synthworth.classifiers.augmentation import training_augmentation
from synthworth.classifiers.batches import Stage
from synthworth.classifiers.data import ImageDataset, ImageTable
from synthworth.classifiers.models import IMAGENET_MEAN, IMAGENET_STD, create_classifier
from synthworth.classifiers.objectives import Objective
from synthworth.classifiers.prediction import predict

CLASSES = 5
BATCH = 8


def defaults() -> dict:
    """`classifiers.defaults` of `config/config.yaml`."""
    text = (Path(__file__).parents[1] / "config" / "config.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["classifiers"]["defaults"]


def write_pictures(folder: Path, count: int, side: int, kind: str = "jpg") -> list[Path]:
    """Grey pictures of `side` pixels, as smooth and as noisy as a radiograph, in files of three channels."""
    paths = []
    for number in range(count):
        generator = np.random.default_rng(number)
        anatomy = cv2.resize(generator.uniform(0, 255, (12, 12)), (side, side), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(anatomy + generator.normal(0, 3, (side, side)), 0, 255).astype(np.uint8)
        paths.append(folder / f"{number:04d}.{kind}")
        cv2.imwrite(
            str(paths[-1]),
            np.repeat(pixels[..., None], 3, axis=-1),
            [cv2.IMWRITE_JPEG_QUALITY, 92] if kind == "jpg" else [],
        )
    return paths


def decoded(path: Path, size: int) -> np.ndarray:
    """A file's image as the published data set has it before augmentation: uint8 [size, size, 3]."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return albumentations.Resize(size, size)(image=image)["image"]


def normalize() -> albumentations.Normalize:
    """ImageNet's mean and standard deviation, on the CPU, image by image."""
    return albumentations.Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD, max_pixel_value=255.0)


class PublishedImages(torch.utils.data.Dataset):
    """Files as a torch dataset: float32 [3, size, size] and a class index; with or without Table 4's augmentation."""

    def __init__(self, paths: list[Path], size: int, augmented: bool = True) -> None:
        self.paths = paths
        transforms = training_augmentation(**defaults()["augmentation"], run_seed=0).pipeline.transforms
        self.pipeline = albumentations.Compose(
            [albumentations.Resize(size, size), *(transforms if augmented else []), normalize()]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        image = cv2.cvtColor(cv2.imread(str(self.paths[row])), cv2.COLOR_BGR2RGB)
        image = self.pipeline(image=image)["image"]
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), row % CLASSES


def mapped_table(paths: list[Path], size: int, file: Path) -> ImageTable:
    """The same images as a study has them: decoded once, a memory-mapped array of uint8 [n, size, size, 1]."""
    np.save(file, np.stack([decoded(path, size)[..., :1] for path in paths]))
    return table_of(np.load(file, mmap_mode="r"))


def table_of(pixels: np.ndarray) -> ImageTable:
    """uint8 images [n, size, size, channels] and their classes, in turn."""
    count = len(pixels)
    return ImageTable((pixels,), np.zeros(count, int), np.arange(count), np.arange(count) % CLASSES)


def augmented(table: ImageTable) -> ImageDataset:
    """A study's training set."""
    return ImageDataset(table, training_augmentation(**defaults()["augmentation"], run_seed=0))


@dataclass
class Seconds:
    """How long training and validation take: of each epoch."""

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


def published_epochs(
    architecture: str,
    training: PublishedImages,
    validation: PublishedImages,
    device: torch.device,
    workers: int,
    half: bool,
) -> Iterator[tuple[float, float]]:
    """Trains epoch by epoch without end; yields the seconds of training and of validation of each.

    `half`: under autocast to float16, as published, on a GPU.
    """
    model = create_classifier(architecture, CLASSES, 0.5).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    batches = torch.utils.data.DataLoader(training, BATCH, shuffle=True, num_workers=workers)
    single = torch.utils.data.DataLoader(validation, 1, num_workers=workers)
    autocast = torch.autocast(device.type, torch.float16, enabled=half)
    while True:
        start = clock()
        model.train()
        for images, labels in batches:
            optimizer.zero_grad()
            with autocast:
                loss = cross_entropy(model(images.to(device)), labels.to(device))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        middle = clock()
        model.eval()
        with torch.no_grad(), autocast:
            for images, _ in single:
                model(images.to(device)).cpu()
        yield middle - start, clock() - middle


def study_epochs(
    architecture: str,
    training: ImageTable,
    validation: ImageTable,
    device: torch.device,
    workers: int,
    epochs: int,
    mixed_precision: str = "bf16",
    compile: bool = False,
) -> Seconds:
    """Trains as a study does; the seconds of training and of validation of the epochs from the second on."""
    begins, ends = [], []

    def timed(*of_a_model: object) -> torch.Tensor:
        begins.append(clock())
        logits = predict(*of_a_model)
        ends.append(clock())
        return logits

    with mock.patch.object(training_module, "predict", timed):
        training_module.fit(
            create_classifier(architecture, CLASSES, 0.5),
            augmented(training),
            validation,
            stages=[Stage(np.arange(len(training)), epochs)],
            steps=None,
            objective=Objective(),
            batch_size=BATCH,
            learning_rate=1e-4,
            betas=(0.9, 0.999),
            schedule="per_epoch",
            mixed_precision=mixed_precision,
            compile=compile,
            run_seed=0,
            workers=workers,
            device=device,
        )
    return Seconds(
        [begin - end for begin, end in zip(begins[1:], ends[:-1], strict=True)],
        [end - begin for begin, end in zip(begins[1:], ends[1:], strict=True)],
    )


def clock() -> float:
    """The time in seconds; without a GPU that of the processor in this process: other work counts less."""
    return now() if on_gpu() else time.process_time()


def by_clock(way: Callable[[], object]) -> Callable[[], float]:
    """A way that is timed by `clock`."""

    def measured() -> float:
        start = clock()
        way()
        return clock() - start

    return measured
