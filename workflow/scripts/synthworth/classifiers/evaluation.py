"""Evaluation of a classifier on a split: a table of probabilities per image."""

from collections.abc import Sequence
from pathlib import Path

from synthworth.classifiers.data import real_images
from synthworth.classifiers.models import load_classifier
from synthworth.classifiers.prediction import default_device, predict
from synthworth.errors import StudyError
from synthworth.files import replacing


def evaluate_classifier(folder: Path, images: Path, index: Path, classes: Sequence[str], output: Path) -> None:
    """Writes a classifier's probabilities for each image of a split to a CSV `image, patient, class, p_<class>...`.

    `folder` is what `train_classifier` wrote, `images` (.npy) and `index` (.csv) those of the split. The columns of
    probabilities are in the order of `classes`, the rows in that of the index. Predictions are in float32 whatever
    the precision of the training. Raises StudyError where the classifier knows other classes or another size.
    """
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
