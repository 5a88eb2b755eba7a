"""The extractor `xrv`, with random weights of its architecture, in files as torchxrayvision publishes them."""

import os
import shutil
import sys
import types
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import DenseNet

from synthworth.errors import StudyError
from synthworth.features import fetch_extractor, load_extractor
from synthworth.features.xrv import URLS, xrv_pixels

KEY = "fidelity.extractors.chest.weights"


class Trap:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def network():
    """DenseNet-121 of 18 findings, with statistics of batches as training leaves them."""
    torch.manual_seed(0)
    network = DenseNet(32, (6, 12, 24, 16), 64, num_classes=18)
    network.features.conv0 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    network.register_buffer("op_threshs", torch.rand(18))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The network as it can lie about; its class is in a module that is there only while it is saved."""
    folder = tmp_path_factory.mktemp("files")
    module = types.ModuleType("their_library")
    module.Network = type("Network", (DenseNet,), {"__module__": "their_library"})
    sys.modules["their_library"] = module
    plain, network.__class__ = network.__class__, module.Network
    try:
        torch.save(network, folder / "old.pt", _use_new_zipfile_serialization=False)
        torch.save(network, folder / "whole.pt")
    finally:
        network.__class__ = plain
        del sys.modules["their_library"]
    torch.save(network.state_dict(), folder / "state.pt")
    save_file(network.state_dict(), folder / "state.safetensors")
    return folder


@pytest.fixture(scope="module")
def weights(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "xrv"
    fetch_extractor("xrv", str(files / "old.pt"), folder, KEY)
    return folder


def images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def error(source, folder):
    """The one error, which names the key and the address and leaves nothing behind."""
    with pytest.raises(StudyError) as raised:
        fetch_extractor("xrv", str(source), folder / "out/xrv", KEY)
    text = str(raised.value)
    assert f"{KEY}: {source}" in text
    assert f"download {URLS['densenet121-res224-all']} and give its path as {KEY}" in text
    assert list((folder / "out").iterdir()) == []
    return text


@pytest.mark.parametrize(("shape", "crop"), [((2, 301, 260, 1), np.s_[20:280, :]), ((2, 64, 99, 1), np.s_[:, 17:81])])
def test_pixels_are_the_middle_square_resized_and_scaled(shape, crop):
    batch = images(*shape)
    assert xrv_pixels(batch).shape == (2, 1, 224, 224)
    expected = [(image[crop][..., 0] / 255 * 2 - 1) * 1024 for image in batch]
    expected = [Image.fromarray(x.astype(np.float32)).resize((224, 224), Image.Resampling.BILINEAR) for x in expected]
    np.testing.assert_allclose(xrv_pixels(batch)[:, 0], np.stack(expected), atol=0.05)


def test_black_and_white_are_the_ends_of_the_scale():
    ends = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1) * np.ones((1, 30, 30, 1), np.uint8)
    assert xrv_pixels(ends)[0].unique().tolist() == [-1024]
    assert xrv_pixels(ends)[1].unique().tolist() == [1024]
    colour = np.repeat(images(2, 30, 30, 1), 3, axis=-1)
    torch.testing.assert_close(xrv_pixels(colour), xrv_pixels(colour[..., :1]))


def test_features_are_what_the_last_layer_sees(network, weights):
    batch = images(3, 80, 100, 1)
    features = load_extractor("xrv", weights, "cpu")(batch)
    assert features.shape == (3, 1024)
    assert features.dtype == np.float32
    seen = []
    hook = network.classifier.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    with torch.inference_mode():
        network(xrv_pixels(batch))
    hook.remove()
    np.testing.assert_allclose(features, seen[0].numpy(), rtol=1e-4, atol=1e-4 * seen[0].abs().max().item())
    assert (features.std(axis=0) > 0).mean() > 0.5


def test_batches_do_not_change_features(weights):
    batch = images(3, 64, 64, 3)
    whole = load_extractor("xrv", weights, "cpu")(batch)
    np.testing.assert_array_equal(whole, load_extractor("xrv", weights, "cpu")(batch))
    by_two = load_extractor("xrv", weights, "cpu", batch_size=2)(batch)
    np.testing.assert_allclose(whole, by_two, rtol=1e-4, atol=1e-5 * whole.max())


@pytest.mark.parametrize("name", ["whole.pt", "state.pt", "state.safetensors"])
def test_every_kind_of_file_gives_the_same_weights(name, files, weights, tmp_path):
    fetch_extractor("xrv", str(files / name), tmp_path / "xrv", KEY)
    assert [path.name for path in (tmp_path / "xrv").iterdir()] == ["model.safetensors"]
    expected = load_file(weights / "model.safetensors")
    found = load_file(tmp_path / "xrv/model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("old", [True, False])
def test_nothing_in_a_file_is_run(old, network, weights, tmp_path):
    network.trap = Trap(tmp_path / "trap")
    torch.save(network, tmp_path / "whole.pt", _use_new_zipfile_serialization=not old)
    del network.trap
    fetch_extractor("xrv", str(tmp_path / "whole.pt"), tmp_path / "xrv", KEY)
    assert (tmp_path / "xrv/model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()
    torch.save(Trap(tmp_path / "trap"), tmp_path / "trap.pt", _use_new_zipfile_serialization=not old)
    assert "neither a network nor its state" in error(tmp_path / "trap.pt", tmp_path)
    assert not (tmp_path / "trap").exists()
    # The trap is one.
    torch.load(tmp_path / "trap.pt", weights_only=False)
    assert (tmp_path / "trap").is_dir()


def test_weights_that_are_missing_or_of_another_network(files, tmp_path):
    assert "there is no file" in error(tmp_path / "none.pt", tmp_path)
    assert "there is no file densenet121-res224-al" in error("densenet121-res224-al", tmp_path)
    (tmp_path / "page.pt").write_text("<html>404</html>")
    error(tmp_path / "page.pt", tmp_path)
    (tmp_path / "cut.pt").write_bytes((files / "old.pt").read_bytes()[:-1000])
    error(tmp_path / "cut.pt", tmp_path)
    torch.save(nn.Linear(2, 2), tmp_path / "other.pt")
    assert "Missing key(s)" in error(tmp_path / "other.pt", tmp_path)
    colour = load_file(files / "state.safetensors")
    colour["features.conv0.weight"] = colour["features.conv0.weight"].repeat(1, 3, 1, 1)
    save_file(colour, tmp_path / "colour.safetensors")
    assert "size mismatch for conv0.weight" in error(tmp_path / "colour.safetensors", tmp_path)


def test_names_of_the_library_are_downloaded(files, weights, tmp_path, monkeypatch):
    asked = []

    def download(url, path, progress):
        asked.append(url)
        shutil.copyfile(files / "old.pt", path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    fetch_extractor("xrv", "densenet121-res224-rsna", tmp_path / "rsna", KEY)
    fetch_extractor("xrv", None, tmp_path / "all", KEY)
    folder = "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
    assert [url.removeprefix(folder).split("-densenet121")[0] for url in asked] == [
        "kaggle",
        "nih-pc-chex-mimic_ch-google-openi-kaggle",
    ]
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["model.safetensors"]
    assert (tmp_path / "all/model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()

    def refuse(url, path, progress):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    assert "no route to host" in error("densenet121-res224-all", tmp_path)
