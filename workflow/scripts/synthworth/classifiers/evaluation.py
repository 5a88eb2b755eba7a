"""Evaluation of a classifier on a split: a table of probabilities per image."""

from collections.abc import Sequence
from pathlib import Path

from synthworth.classifiers.data import real_images
from synthworth.classifiers.models import load_classifier
from synthworth.classifiers.prediction import default_device, predict, probabilities
from synthworth.errors import StudyError
from synthworth.files import replacing


def evaluate_classifier(
    folder: Path, images: Path, index: Path, classes: Sequence[str], output: Path, findings: Sequence[str] = ()
) -> None:
    """Writes a classifier's probabilities for each image of a split to a CSV `image, patient, class, p_<class>...`.

    In a study of `findings` the columns are `image, patient, class, p_<finding>..., y_<finding>...`, the latter 1, 0,
    or empty where the finding is masked. `folder` is what `train_classifier` wrote, `images` (.npy) and `index` (.csv)
    those of the split. The columns of probabilities are in the order of `classes` or `findings`, the rows in that of
    the index. Predictions are in float32 whatever the precision of the training. Raises StudyError where the classifier
    knows other classes, findings or another size.
    """
    device = default_device()
    model, facts = load_classifier(folder)
    table, frame = real_images(images, index, classes, findings)
    problems = []
    for key, names in (("classes", classes), ("findings", findings)):
        known = facts.get(key, [])
        if sorted(known) != sorted(names):
            problems.append(f"it knows {', '.join(known) or f'no {key}'}; the study has {', '.join(names) or 'none'}")
    if facts["size"] != table.size:
        problems.append(f"it was trained at {facts['size']} px; the images have {table.size} px")
    if problems:
        raise StudyError("The classifier does not fit the images", [f"{folder}: {problem}" for problem in problems])
    said = probabilities(predict(model.to(device), table, device), bool(findings))
    rows = frame[["image", "patient", "class"]].copy()
    order = facts["findings" if findings else "classes"]
    for name in findings or classes:
        rows[f"p_{name}"] = said[:, order.index(name)]
    for name in findings:
        rows[f"y_{name}"] = frame[name]
    with replacing(output) as temporary:
        rows.to_csv(temporary, index=False)
