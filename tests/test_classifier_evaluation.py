import numpy as np
import pandas as pd
import pytest
import torch

from synthworth.classifiers.data import real_images
from synthworth.classifiers.evaluation import evaluate_classifier
from synthworth.classifiers.models import create_classifier, save_classifier
from synthworth.classifiers.prediction import predict
from synthworth.errors import StudyError

CLASSES = ["healthy", "viral", "fungal"]


@pytest.fixture
def case(tmp_path):
    torch.manual_seed(0)
    model = create_classifier("test_convnext", 3, dropout=0.5)
    save_classifier(tmp_path / "run", model, model.state_dict(), CLASSES, 32, 0.5, 1)
    images = np.random.default_rng(0).integers(0, 256, (19, 32, 32, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    frame = pd.DataFrame({"image": [f"é {i}, x.png" for i in range(19)], "patient": [f"{i:03d}" for i in range(19)]})
    frame.assign(**{"class": [CLASSES[i % 3] for i in range(19)], "age": ""}).to_csv(tmp_path / "i.csv", index=False)
    return model, images, tmp_path


def evaluate(folder, classes, output="predictions.csv"):
    evaluate_classifier(folder / "run", folder / "images.npy", folder / "i.csv", classes, folder / output)
    return pd.read_csv(folder / output, dtype={"patient": str})


def test_probabilities_are_those_of_each_image_alone(case):
    model, images, folder = case
    table = evaluate(folder, CLASSES)
    assert list(table.columns) == ["image", "patient", "class", "p_healthy", "p_viral", "p_fungal"]
    assert table["patient"].tolist() == [f"{i:03d}" for i in range(19)]
    assert table["class"].tolist() == [CLASSES[i % 3] for i in range(19)]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = torch.tensor(images / 255, dtype=torch.float32).expand(-1, -1, -1, 3)
    pixels = ((pixels - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = torch.cat([model.eval()(image[None]) for image in pixels]).softmax(1)
    np.testing.assert_allclose(table[["p_healthy", "p_viral", "p_fungal"]], expected, atol=1e-5)


def test_columns_follow_the_classes_of_the_study_not_of_the_training(case):
    _, _, folder = case
    table, turned = evaluate(folder, CLASSES), evaluate(folder, CLASSES[::-1], "turned.csv")
    assert list(turned.columns)[3:] == ["p_fungal", "p_viral", "p_healthy"]
    pd.testing.assert_frame_equal(turned[table.columns], table)


def test_another_size_or_other_classes_are_an_error(case):
    _, _, folder = case
    np.save(folder / "images.npy", np.zeros((19, 16, 16, 1), np.uint8))
    with pytest.raises(StudyError, match="trained at 32 px; the images have 16 px"):
        evaluate(folder, CLASSES)
    with pytest.raises(StudyError, match="it knows healthy, viral, fungal; the study has"):
        evaluate(folder, [*CLASSES, "bacterial"])


def test_prediction_leaves_dropout_out(case):
    model, _, folder = case
    table, _ = real_images(folder / "images.npy", folder / "i.csv", CLASSES)
    model.train()
    first = predict(model, table, torch.device("cpu"))
    assert first.shape == (19, 3)
    assert torch.equal(first, predict(model.train(), table, torch.device("cpu")))
