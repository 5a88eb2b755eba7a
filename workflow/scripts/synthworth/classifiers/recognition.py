"""What a classifier trained on real images alone takes synthetic images for, beside real ones that it did not see."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from synthworth.classifiers.data import ImageTable, real_images, synthetic_images
from synthworth.classifiers.models import load_classifier
from synthworth.classifiers.prediction import default_device, predict
from synthworth.files import replacing
from synthworth.label_fidelity import Judged, confusion, recognition


def recognise_images(
    classifier: Path,
    images: Path,
    index: Path,
    shards: Sequence[Path],
    rendered: Sequence[Path],
    recognised: Path,
    confused: Path,
    classes: Sequence[str],
    generators: Sequence[tuple[str, int]],
    confidence: float,
) -> None:
    """Writes `label_fidelity.recognition` and `confusion` as CSV.

    `classifier` is what `train_classifier` wrote, `images` (.npy) and `index` (.csv) are of a split that it was not
    trained on. `generators` are names, each with the number of images of each class, the first ones, that are judged;
    `shards` are one for each class of each generator, in that order, and `rendered` their arrays.
    """
    # Its own threads, one for each core of the machine, come on top of the process's.
    cv2.setNumThreads(0)
    device = default_device()
    model, facts = load_classifier(classifier)
    model = model.to(device)
    order = [facts["classes"].index(name) for name in classes]

    def judged(table: ImageTable, groups: np.ndarray | None = None) -> Judged:
        probabilities = predict(model, table, device).softmax(dim=1).numpy()[:, order]
        return Judged(np.array(classes)[table.targets], probabilities, groups)

    table, rows = real_images(images, index, classes)
    held_out = judged(table, rows["patient"].to_numpy())
    synthetic = {}
    for place, (name, count) in enumerate(generators):
        own = slice(place * len(classes), (place + 1) * len(classes))
        synthetic[name] = judged(synthetic_images(shards[own], rendered[own], classes, count))
    for path, frame in (
        (recognised, recognition(classes, held_out, synthetic, confidence)),
        (confused, confusion(classes, held_out, synthetic)),
    ):
        with replacing(path) as temporary:
            frame.to_csv(temporary, index=False)
