"""The extractors `clip` and `dinov2`, with random weights of their architectures."""

import os

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from synthworth.errors import StudyError
from synthworth.features import clip, dinov2, fetch_extractor, load_extractor, vision_transformers
from synthworth.features.pixels import middle, standardised

KINDS = ["clip", "dinov2"]
KEY = "fidelity.extractors.mine.weights"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
# As facebook/dinov2-base has them in its preprocessor_config.json.
PROCESSORS = {
    "clip": CLIPImageProcessorPil(),
    "dinov2": BitImageProcessorPil(
        size={"shortest_edge": 256}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    ),
}
WIDTHS = {"clip": 12, "dinov2": 32}


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    vision = CLIPVisionConfig(**SMALL, intermediate_size=64, projection_dim=12)
    # The size of the published one, whose positions are interpolated to 224 pixels.
    return {
        "clip": CLIPVisionModelWithProjection(vision).eval(),
        "dinov2": Dinov2Model(Dinov2Config(**SMALL, image_size=518, patch_size=14)).eval(),
    }


@pytest.fixture(scope="module")
def folders(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    for kind, network in networks.items():
        network.save_pretrained(folder / kind)
    return folder


def fetched(kind, source, folder):
    fetch_extractor(kind, str(source), folder, KEY)
    return load_extractor(kind, folder, "cpu")


def error(kind, source, folder):
    """The one error, which names the key and the remedy and leaves nothing behind."""
    with pytest.raises(StudyError) as raised:
        fetch_extractor(kind, str(source), folder / "out/mine", KEY)
    text = str(raised.value)
    assert f"{KEY}: {source}" in text
    assert "`hf download" in text
    assert f"give its path as {KEY}" in text
    assert list((folder / "out").iterdir()) == []
    return text


def images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth(*shape):
    """Images that go beyond what bicubic keeps within 0 and 255: a film's sharp edges."""
    return np.where(images(*shape) > 128, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 301, 260, 3), (2, 75, 130, 3), (1, 224, 224, 3), (1, 299, 299, 1)])
def test_preprocessing_is_that_of_transformers(kind, shape):
    for batch in (images(*shape), smooth(*shape)):
        own = {
            "clip": lambda x: standardised(middle(x, 224, 224), clip.MEAN, clip.STD),
            "dinov2": lambda x: standardised(middle(x, 224, 256), dinov2.MEAN, dinov2.STD),
        }[kind](batch)
        colour = np.broadcast_to(batch, (*shape[:3], 3))
        expected = PROCESSORS[kind](list(colour), input_data_format="channels_last", return_tensors="np")
        np.testing.assert_allclose(
            np.broadcast_to(own.numpy(), expected.pixel_values.shape), expected.pixel_values, atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_network(kind, networks, folders, tmp_path):
    extractor = fetched(kind, folders / kind, tmp_path / "mine")
    batch = images(3, 120, 90, 1)
    features = extractor(batch)
    assert features.shape == (3, WIDTHS[kind])
    assert features.dtype == np.float32
    pixels = PROCESSORS[kind](
        list(np.repeat(batch, 3, axis=-1)), input_data_format="channels_last", return_tensors="pt"
    ).pixel_values
    with torch.inference_mode():
        found = networks[kind](pixels)
    expected = found.image_embeds if kind == "clip" else found.pooler_output
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)
    assert features.std(axis=0).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_grey_as_colour_do_not_change_features(kind, folders):
    batch = images(5, 64, 64, 1)
    whole = load_extractor(kind, folders / kind, "cpu")(batch)
    np.testing.assert_array_equal(whole, load_extractor(kind, folders / kind, "cpu")(batch))
    by_two = load_extractor(kind, folders / kind, "cpu", batch_size=2)
    np.testing.assert_allclose(whole, by_two(batch), atol=1e-5)
    np.testing.assert_allclose(whole, by_two(np.repeat(batch, 3, axis=-1)), atol=1e-5)


def test_the_image_half_of_a_whole_clip_is_taken(networks, folders, tmp_path):
    vision = networks["clip"].config
    text = {**SMALL, "intermediate_size": 64, "vocab_size": 50}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=12))
    parts = {"vision_model": whole.vision_model, "visual_projection": whole.visual_projection}
    for name, part in parts.items():
        part.load_state_dict(getattr(networks["clip"], name).state_dict())
    whole.save_pretrained(tmp_path / "whole")
    batch = images(2, 50, 50, 3)
    found = fetched("clip", tmp_path / "whole", tmp_path / "mine")(batch)
    np.testing.assert_array_equal(found, load_extractor("clip", folders / "clip", "cpu")(batch))
    assert not any("text" in name for name in load_file(tmp_path / "mine/model.safetensors"))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_torchs_own_files_are_read_without_running_them(networks, folders, tmp_path):
    batch = images(2, 50, 50, 3)
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_bytes((folders / "clip/config.json").read_bytes())
    torch.save(networks["clip"].state_dict(), source / "pytorch_model.bin")
    found = fetched("clip", source, tmp_path / "mine")(batch)
    np.testing.assert_array_equal(found, load_extractor("clip", folders / "clip", "cpu")(batch))
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["config.json", "model.safetensors"]

    torch.save(networks["clip"].state_dict() | {"trap": Touch(tmp_path / "trap")}, source / "pytorch_model.bin")
    error("clip", source, tmp_path)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_missing_or_of_another_network(kind, folders, tmp_path):
    assert f"there is no folder {tmp_path / 'none'}" in error(kind, tmp_path / "none", tmp_path)
    other = "dinov2" if kind == "clip" else "clip"
    assert "missing" in error(kind, folders / other, tmp_path)

    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_bytes((folders / kind / "config.json").read_bytes())
    assert "with config.json and model.safetensors" in error(kind, source, tmp_path)
    weights = load_file(folders / kind / "model.safetensors")
    weights.pop(max(weights))
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    assert "1 of its weights are missing" in error(kind, source, tmp_path)
    (source / "model.safetensors").write_bytes((folders / kind / "model.safetensors").read_bytes()[:-100])
    error(kind, source, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_id_without_network(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "no such folder here, and the hub has no model" in error(kind, "owner/name", tmp_path)
    published = {"clip": "openai/clip-vit-base-patch32", "dinov2": "facebook/dinov2-base"}[kind]
    with pytest.raises(StudyError, match=f"{KEY}: null, for {published}, .*`hf download {published} "):
        fetch_extractor(kind, None, tmp_path / "mine", KEY)


def test_the_hub_is_asked_for_safetensors_first(networks, folders, tmp_path, monkeypatch):
    asked = []

    def download(hub_id, allow_patterns):
        asked.append((hub_id, allow_patterns))
        return str(folders / "clip")

    monkeypatch.setattr(vision_transformers, "snapshot_download", download)
    fetched("clip", "owner/name", tmp_path / "a")
    assert asked == [("owner/name", ["config.json", "model.safetensors"])]

    # As OpenAI's: no safetensors.
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "config.json").write_bytes((folders / "clip/config.json").read_bytes())

    def download_less(hub_id, allow_patterns):
        asked.append((hub_id, allow_patterns))
        if "pytorch_model.bin" in allow_patterns:
            torch.save(networks["clip"].state_dict(), hub / "pytorch_model.bin")
        return str(hub)

    monkeypatch.setattr(vision_transformers, "snapshot_download", download_less)
    fetch_extractor("clip", None, tmp_path / "b", KEY)
    assert asked[1:] == [
        ("openai/clip-vit-base-patch32", ["config.json", "model.safetensors"]),
        ("openai/clip-vit-base-patch32", ["config.json", "pytorch_model.bin"]),
    ]
    assert (tmp_path / "b/model.safetensors").read_bytes() == (tmp_path / "a/model.safetensors").read_bytes()
