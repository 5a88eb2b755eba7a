import hashlib
import json

import pytest

from synthworth.errors import StudyError
from synthworth.weights import record_weights


def test_weights_are_on_record_by_name_and_content(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"weights")
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / "inception-2015-12-05.pt").write_bytes(b"others")
    names = {"classifiers.a.architecture": "resnet50.a1_in1k"}
    files = [str(tmp_path / name) for name in ("a.safetensors", "inception")]
    record_weights(files, str(tmp_path / "record.json"), names)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {
        "a.safetensors": hashlib.sha256(b"weights").hexdigest(),
        "inception/inception-2015-12-05.pt": hashlib.sha256(b"others").hexdigest(),
    }


def test_a_base_model_is_on_record_part_by_part(tmp_path):
    pipeline = tmp_path / "stable_diffusion" / "pipeline"
    for part in ("unet", "vae"):
        (pipeline / part).mkdir(parents=True)
        (pipeline / part / "model.safetensors").write_bytes(part.encode())
        (pipeline / part / "config.json").write_text("{}")
    record_weights([str(pipeline)], str(tmp_path / "record.json"), {})
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {
        f"stable_diffusion/{part}/model.safetensors": hashlib.sha256(part.encode()).hexdigest()
        for part in ("unet", "vae")
    }


def test_an_unknown_architecture_is_named_with_its_key(tmp_path):
    names = {"classifiers.a.architecture": "resnet18x", "classifiers.b.architecture": "resnet50"}
    with pytest.raises(StudyError) as error:
        record_weights([], str(tmp_path / "record.json"), names)
    assert len(error.value.problems) == 1
    assert error.value.problems[0].startswith("classifiers.a.architecture: timm has no 'resnet18x'; it has ")
