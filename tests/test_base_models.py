import json

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_pipeline import tiny_pipeline

from synthworth.base_models import fetch_base_model
from synthworth.errors import StudyError
from synthworth.pipeline_folder import check_folder

KEY = "base_models.stable_diffusion"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path):
    return tiny_pipeline(tmp_path / "pipeline")


def error(source, output):
    """The one error that names the key, and leaves nothing behind."""
    with pytest.raises(StudyError) as raised:
        fetch_base_model(str(source), output, KEY)
    assert KEY in str(raised.value)
    assert not list(output.parent.glob(f"*{output.name}"))
    return str(raised.value)


def weights(folder):
    return {
        f"{file.parent.name}:{name}": tensor
        for file in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def drawn(folder):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        "healthy", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np"
    ).images


def test_a_folder_becomes_a_pipeline_of_the_same_weights(folder, tmp_path):
    fetch_base_model(str(folder), tmp_path / "base", KEY)
    assert check_folder(tmp_path / "base") == []
    one, other = weights(folder), weights(tmp_path / "base")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    np.testing.assert_array_equal(drawn(folder), drawn(tmp_path / "base"))


def test_weights_of_half_precision_come_out_whole(folder, tmp_path):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float16)
    unet.save_pretrained(folder / "unet")
    fetch_base_model(str(folder), tmp_path / "base", KEY)
    stored = load_file(tmp_path / "base/unet/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}
    assert all(torch.equal(tensor.half(), unet.state_dict()[key]) for key, tensor in stored.items())


def test_the_safety_checker_is_left_out(folder, tmp_path):
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    fetch_base_model(str(folder), tmp_path / "base", KEY)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "base")
    assert pipeline.safety_checker is None
    assert not pipeline.config.requires_safety_checker


def test_a_missing_folder(tmp_path):
    assert "no folder" in error(tmp_path / "none", tmp_path / "base")


def test_all_problems_of_a_folder_are_listed(folder, tmp_path):
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    text = error(folder, tmp_path / "base")
    assert "unet has its weights only as a pickle" in text
    assert "vae has no weights" in text
    assert text.count(KEY) == 2


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_that_is_cut_off(folder, tmp_path, part):
    (file,) = (folder / part).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1000])
    assert f"{folder / part} does not load" in error(folder, tmp_path / "base")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_without_some_of_its_weights(folder, tmp_path, part):
    (file,) = (folder / part).glob("*.safetensors")
    tensors = load_file(file)
    del tensors[max(tensors)]
    save_file(tensors, file, metadata={"format": "pt"})
    text = error(folder, tmp_path / "base")
    assert f"{folder / part} does not load" in text
    assert "1 of its weights are missing" in text


@pytest.mark.parametrize("file", ["tokenizer/tokenizer.json", "scheduler/scheduler_config.json"])
def test_a_damaged_file_of_a_part(folder, tmp_path, file):
    (folder / file).write_text("{")
    assert f"{(folder / file).parent} does not load" in error(folder, tmp_path / "base")


def test_a_model_for_inpainting(folder, tmp_path):
    UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"), in_channels=9).save_pretrained(
        folder / "unet"
    )
    assert "takes 9 channels, the VAE gives 4: a model for inpainting" in error(folder, tmp_path / "base")


def test_a_text_encoder_of_another_model(folder, tmp_path):
    UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(folder / "unet"), cross_attention_dim=24
    ).save_pretrained(folder / "unet")
    text = error(folder, tmp_path / "base")
    assert "attends to texts of 24 numbers a token, the text encoder gives 16" in text


def test_a_tokenizer_of_another_model(folder, tmp_path):
    tokens = {f"word{number}</w>": 80 + number for number in range(20)}
    tokenizer = json.loads((folder / "tokenizer/tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= tokens
    (folder / "tokenizer/tokenizer.json").write_text(json.dumps(tokenizer))
    assert "tokens, the text encoder 80" in error(folder, tmp_path / "base")


def test_a_u_net_that_wants_more_than_a_text(folder, tmp_path):
    UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(folder / "unet"), class_embed_type="timestep"
    ).save_pretrained(folder / "unet")
    assert "wants more than a text" in error(folder, tmp_path / "base")


def test_a_hub_id_without_network(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    text = error("CompVis/stable-diffusion-v1-4", tmp_path / "base")
    assert "there is no folder CompVis/stable-diffusion-v1-4 here" in text
    assert "OfflineModeIsEnabled" in text
    # hf takes one pattern for each `--include`.
    assert "--include '*.json' --include '*.txt' --include '*.safetensors'" in text


def test_a_hub_id_is_downloaded_as_safetensors_and_then_read_like_a_folder(folder, tmp_path, monkeypatch):
    asked = {}

    def download(name, **keywords):
        asked.update(keywords, name=name)
        return str(folder)

    monkeypatch.setattr(StableDiffusionPipeline, "download", download)
    fetch_base_model("owner/model", tmp_path / "base", KEY)
    assert asked["name"] == "owner/model"
    assert asked["use_safetensors"] is True
    assert asked["safety_checker"] is None
    assert check_folder(tmp_path / "base") == []


def test_nothing_is_unpickled(folder, tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(torch, "load", refuse)
    fetch_base_model(str(folder), tmp_path / "base", KEY)
    assert AutoencoderKL.from_pretrained(tmp_path / "base/vae").config.latent_channels == 4
