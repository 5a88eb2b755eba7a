"""What classifiers trained on real images alone take synthetic images for, beside real ones that they did not see."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from synthworth.classifiers.data import ImageTable, real_images, synthetic_images
from synthworth.classifiers.models import load_classifier
from synthworth.classifiers.prediction import default_device, predict, probabilities
from synthworth.files import replacing
from synthworth.findings import agreed_findings, finding_matrix
from synthworth.label_fidelity import Judged, confusion, recognition
from synthworth.manifest import read_index


def recognise_images(
    classifiers: Sequence[Path],
    images: Path,
    index: Path,
    shards: Sequence[Path],
    rendered: Sequence[Path],
    recognised: Path,
    confused: Path,
    classes: Sequence[str],
    generators: Sequence[tuple[str, int]],
    confidence: float,
    findings: Sequence[str] = (),
    train_index: Path | None = None,
) -> None:
    """Writes `label_fidelity.recognition` and `confusion` as CSV.

    `classifiers` are what `train_classifier` wrote for several seeds: the mean of their probabilities judges. `images`
    (.npy) and `index` (.csv) are of a split that they were not trained on. `generators` are names, each with the number
    of images of each class, the first ones, that are judged; `shards` are one for each class of each generator, in that
    order, and `rendered` their arrays. In a study of `findings` synthetic images are meant to show those on which the
    training images of their class agree, which the index `train_index` tells.
    """
    # Its own threads, one for each core of the machine, come on top of the process's.
    cv2.setNumThreads(0)
    device = default_device()
    names = list(findings or classes)
    judges = []
    for folder in classifiers:
        model, facts = load_classifier(folder)
        known = facts["findings" if findings else "classes"]
        judges.append((model.to(device), [known.index(name) for name in names]))

    def judged(table: ImageTable, groups: np.ndarray | None = None) -> Judged:
        said = [probabilities(predict(model, table, device), bool(findings))[:, order] for model, order in judges]
        return Judged(np.array(classes)[table.targets], np.mean(said, axis=0), groups, table.findings)

    agreed = None
    if findings:
        rows = read_index(train_index)
        targets = rows["class"].map(list(classes).index).to_numpy(int)
        agreed = agreed_findings(finding_matrix(rows, findings), targets, len(classes))
    table, rows = real_images(images, index, classes, findings)
    held_out = judged(table, rows["patient"].to_numpy())
    synthetic = {}
    for place, (name, count) in enumerate(generators):
        own = slice(place * len(classes), (place + 1) * len(classes))
        made = synthetic_images(shards[own], rendered[own], classes, count)
        synthetic[name] = judged(made.labelled_as(made.targets, agreed))
    for path, frame in (
        (recognised, recognition(names, held_out, synthetic, confidence)),
        (confused, confusion(names, held_out, synthetic)),
    ):
        with replacing(path) as temporary:
            frame.to_csv(temporary, index=False)
