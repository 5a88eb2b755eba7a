import json
import subprocess
import sys

import pytest
from tiny_pipeline import tiny_pipeline

from synthworth.pipeline_folder import check_folder, is_hub_id


@pytest.fixture
def folder(tmp_path):
    return tiny_pipeline(tmp_path / "pipeline")


def change_index(folder, **entries):
    index = json.loads((folder / "model_index.json").read_text()) | entries
    (folder / "model_index.json").write_text(json.dumps(index))


def test_a_saved_pipeline_has_no_problems(folder):
    assert check_folder(folder) == []


def test_a_missing_folder(tmp_path):
    (problem,) = check_folder(tmp_path / "none")
    assert f"no folder {tmp_path / 'none'}; give a folder" in problem


def test_a_folder_of_something_else(tmp_path):
    (problem,) = check_folder(tmp_path)
    assert "has no model_index.json" in problem


@pytest.mark.parametrize("text", ["{", "[]", '{"unet": []}', '{"unet": "x", "vae": [1]}'])
def test_a_damaged_index(folder, text):
    (folder / "model_index.json").write_text(text)
    (problem,) = check_folder(folder)
    assert "model_index.json cannot be read" in problem


def test_missing_parts_are_listed(folder):
    change_index(folder, vae=[None, None])
    for file in (folder / "scheduler").iterdir():
        file.unlink()
    (folder / "scheduler").rmdir()
    (problem,) = check_folder(folder)
    assert "lacks vae, scheduler; give" in problem


def test_stable_diffusion_xl_is_named(folder):
    change_index(
        folder,
        _class_name="StableDiffusionXLPipeline",
        text_encoder_2=["transformers", "CLIPTextModelWithProjection"],
    )
    (problem,) = check_folder(folder)
    assert "is a StableDiffusionXLPipeline with text_encoder_2; base models are those of" in problem


def test_parts_of_other_classes_are_listed(folder):
    change_index(folder, vae=["diffusers", "VQModel"], text_encoder=["transformers", "BertModel"])
    text_encoder, vae = check_folder(folder)
    assert "text_encoder is a BertModel, not a CLIPTextModel" in text_encoder
    assert "vae is a VQModel, not a AutoencoderKL" in vae


def test_pickled_weights_are_refused_with_the_way_out(folder):
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    (problem,) = check_folder(folder)
    assert "unet has its weights only as a pickle" in problem
    assert "use_safetensors=False" in problem


def test_missing_weights(folder):
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    (problem,) = check_folder(folder)
    assert "vae has no weights (*.safetensors)" in problem


def test_an_empty_tokenizer(folder):
    (folder / "tokenizer/tokenizer.json").unlink()
    (problem,) = check_folder(folder)
    assert "tokenizer has no vocabulary (tokenizer.json, or vocab.json and merges.txt)" in problem
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).touch()
    assert check_folder(folder) == []


def test_hub_ids(tmp_path, monkeypatch):
    assert is_hub_id("CompVis/stable-diffusion-v1-4")
    for path in ("./models/sd", "/models/sd", "~/sd", "models", "a/b/c", "../sd"):
        assert not is_hub_id(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/sd").mkdir(parents=True)
    assert not is_hub_id("models/sd")


def test_the_check_needs_no_library_of_models():
    heavy = {"torch", "diffusers", "transformers", "numpy"}
    code = f"import sys, synthworth.pipeline_folder; print({heavy} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.strip() == "set()"
