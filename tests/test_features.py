import json
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
from cleanfid import downloads_helper
from cleanfid.resize import build_resizer
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from synthworth import features as features_package
from synthworth.domain_extractor import train_domain_extractor
from synthworth.errors import StudyError
from synthworth.features import extract_reference, extract_samples, fetch_extractor, load_extractor, load_features
from synthworth.features.pixels import with_channels
from synthworth.fidelity.fid import fid
from synthworth.shards import write_shard

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

FILE = "inception-2015-12-05.pt"
KEY = "fidelity.extractors.paper.weights"


class TinyInception(nn.Module):
    """As the TorchScript file of Inception: its `layers` map [n, 3, 299, 299] in [-1, 1] to 2048 features."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 32, 9, 9), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten())

    def forward(self, x):
        return self.layers(x)


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    torch.jit.script(TinyInception()).save(str(folder / FILE))
    return folder


def scans(n, seed=0, size=32, channels=1):
    """Two classes of pictures: a bright disc to the left, or to the right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    classes = ["left" if i % 4 else "right" for i in range(n)]
    images = []
    for name in classes:
        centre = (0.3 if name == "left" else 0.7) + rng.uniform(-0.08, 0.08)
        disc = np.exp(-((x - centre) ** 2 + (y - rng.uniform(0.4, 0.6)) ** 2) / 0.02)
        images.append(60 + 120 * disc[..., None] + 10 * rng.normal(size=(size, size, channels)))
    return np.clip(images, 0, 255).astype(np.uint8), classes


def write_split(folder, n=48, **options):
    images, classes = scans(n, **options)
    np.save(folder / "images.npy", images)
    rows = {"image": [f"{i}.png" for i in range(n)], "patient": [f"{i // 2:03}" for i in range(n)], "class": classes}
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    return folder / "images.npy", folder / "index.csv"


RECIPE = {"architecture": "test_resnet", "epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "device": "cpu"}


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("domain")
    train_domain_extractor(*write_split(folder), folder / "extractor", **RECIPE, seed=1)
    return folder / "extractor"


def test_inception_sees_the_clean_resize_of_grey_as_rgb(inception):
    images = scans(3)[0]
    features = load_extractor("inception", inception, "cpu")(images)
    assert features.shape == (3, 2048)
    assert features.dtype == np.float32
    resize = build_resizer("clean")
    pixels = np.stack([resize(np.repeat(image, 3, axis=-1)) for image in images]).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        expected = torch.jit.load(inception / FILE).layers((torch.from_numpy(pixels) - 128) / 128)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["inception", "domain"])
def test_batches_do_not_change_features(kind, inception, domain):
    weights = inception if kind == "inception" else domain
    images = scans(5, channels=3)[0]
    whole = load_extractor(kind, weights, "cpu")(images)
    np.testing.assert_array_equal(whole, load_extractor(kind, weights, "cpu")(images))
    np.testing.assert_allclose(whole, load_extractor(kind, weights, "cpu", batch_size=2)(images), rtol=1e-4, atol=1e-5)


def test_fetch_inception_takes_a_file_or_its_folder(inception, tmp_path):
    fetch_extractor("inception", str(inception / FILE), tmp_path / "a", KEY)
    fetch_extractor("inception", str(inception), tmp_path / "b", KEY)
    weights = [(folder / FILE).read_bytes() for folder in (tmp_path / "a", tmp_path / "b", inception)]
    assert weights[0] == weights[1] == weights[2]
    assert load_extractor("inception", tmp_path / "b", "cpu")(scans(2)[0]).shape == (2, 2048)


def test_fetch_inception_says_how_to_mend_missing_or_wrong_weights(tmp_path):
    (tmp_path / "page.pt").write_text("<html>404</html>")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "other.pt"))
    for name in ("absent.pt", "page.pt", "other.pt"):
        with pytest.raises(StudyError) as caught:
            fetch_extractor("inception", str(tmp_path / name), tmp_path / "out/paper", KEY)
        assert f"{KEY}: {tmp_path / name}" in str(caught.value)
        assert downloads_helper.inception_url in str(caught.value)
        assert list((tmp_path / "out").iterdir()) == []


def test_fetch_inception_downloads_through_clean_fid(inception, tmp_path, monkeypatch):
    asked = []

    def answer(url):
        asked.append(url)
        return (inception / FILE).open("rb")

    monkeypatch.setattr(downloads_helper.urllib.request, "urlopen", answer)
    fetch_extractor("inception", None, tmp_path / "paper", KEY)
    assert asked == [downloads_helper.inception_url]
    assert (tmp_path / "paper" / FILE).read_bytes() == (inception / FILE).read_bytes()

    def refuse(url):
        raise URLError("no route to host")

    monkeypatch.setattr(downloads_helper.urllib.request, "urlopen", refuse)
    with pytest.raises(StudyError, match=rf"{KEY}: null, for http.*no route to host"):
        fetch_extractor("inception", None, tmp_path / "again", KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["paper"]


def test_an_extractor_costs_no_other_ones_libraries():
    code = (
        "import sys, synthworth.features; heavy = ['torch', 'pandas']; "
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules); "
        "import synthworth.features.domain; heavy = ['timm', 'torchvision', 'transformers', 'cleanfid', 'pandas']; "
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )
    scripts = Path(features_package.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=scripts, check=True)


def test_kinds_and_images_that_an_extractor_does_not_take(domain):
    with pytest.raises(ValueError, match="no extractor of kind 'inceptoin'"):
        load_extractor("inceptoin", domain)
    extractor = load_extractor("domain", domain, "cpu")
    for images in (np.zeros((0, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8), np.uint8)):
        with pytest.raises(ValueError, match="uint8 images"):
            extractor(images)


def test_features_that_are_not_finite_are_refused(domain, tmp_path):
    (tmp_path / "config.json").write_bytes((domain / "config.json").read_bytes())
    weights = load_file(domain / "model.safetensors")
    weights["conv1.0.weight"].fill_(torch.nan)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(StudyError, match="3 of 3 images"):
        load_extractor("domain", tmp_path, "cpu")(scans(3)[0])


def test_domain_extractor_learns_the_classes_and_tells_noise_from_images(domain):
    config = json.loads((domain / "config.json").read_text())
    assert (config["architecture"], config["channels"], config["size"]) == ("test_resnet", 1, 32)
    assert config["classes"] == ["left", "right"]
    assert config["training_images"] == 48
    # Three in four are of one class.
    assert config["training_accuracy"] > 0.9

    extractor = load_extractor("domain", domain, "cpu")
    real, others, noise = scans(40, seed=2)[0], scans(40, seed=3)[0], np.random.default_rng(0)
    half = np.clip(others + noise.normal(0, 30, others.shape), 0, 255).astype(np.uint8)
    only = noise.integers(0, 256, others.shape, dtype=np.uint8)
    floor, middle, top = (fid(extractor(real), extractor(images)) for images in (others, half, only))
    assert 5 * floor < middle
    assert 3 * middle < top


def test_domain_extractor_is_the_same_for_the_same_seed(tmp_path):
    split = write_split(tmp_path)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    for name, seed in (("first", 1), ("same", 1), ("other", 2)):
        train_domain_extractor(*split, tmp_path / name, **RECIPE | {"epochs": 1}, seed=seed)
    assert torch.equal(state, torch.random.get_rng_state())
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "same", "other")]
    assert weights[0] == weights[1] != weights[2]


def test_domain_extractor_takes_other_sizes_and_channels(domain):
    extractor = load_extractor("domain", domain, "cpu")
    images = scans(6)[0]
    np.testing.assert_array_equal(extractor(images), extractor(np.repeat(images, 3, axis=-1)))
    larger = scans(6, size=64)[0]
    shrunk = np.stack([Image.fromarray(image[..., 0]).resize((32, 32)) for image in larger])[..., None]
    # Pillow rounds to whole grey levels.
    np.testing.assert_allclose(extractor(larger), extractor(shrunk), atol=0.05 * extractor(shrunk).max())


def test_with_channels():
    colour = np.array([[[[255, 0, 0], [0, 255, 0], [10, 10, 10]]]], np.uint8)
    assert with_channels(colour, 1).ravel().tolist() == [76, 150, 10]
    assert with_channels(colour[..., :1], 3).shape == (1, 1, 3, 3)


def test_domain_extractor_needs_classes_and_a_known_architecture(tmp_path):
    images, index = write_split(tmp_path, n=8)
    with pytest.raises(StudyError, match=r"timm has no model 'resnett'"):
        train_domain_extractor(images, index, tmp_path / "e", **RECIPE | {"architecture": "resnett"}, seed=0)
    pd.DataFrame({"class": ["NA"] * 8}).to_csv(index, index=False)
    with pytest.raises(StudyError, match=r"has 1 class"):
        train_domain_extractor(images, index, tmp_path / "e", **RECIPE, seed=0)


def test_the_reference_is_a_whole_split_with_its_rows(domain, tmp_path):
    images, index = write_split(tmp_path)
    table = pd.read_csv(index, dtype=str).assign(**{"class": ["NA", "b"] * 24})
    table.to_csv(index, index=False)
    extract_reference(images, index, "domain", domain, tmp_path / "reference.npz")
    found = load_features(tmp_path / "reference.npz")
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, load_extractor("domain", domain)(np.load(images)), atol=1e-5)
    assert found.labels.tolist() == ["NA", "b"] * 24
    assert found.names.tolist() == table["image"].tolist()
    assert found.patients.tolist()[:3] == ["000", "000", "001"]
    assert found.index is None

    second = found.of_class("b")
    np.testing.assert_array_equal(second.features, found.features[1::2])
    assert second.names.tolist() == found.names[1::2].tolist()
    assert second.index is None
    assert len(found.of_class("c").features) == 0

    table[1:].to_csv(index, index=False)
    with pytest.raises(StudyError, match="48 images, .* 47 rows"):
        extract_reference(images, index, "domain", domain, tmp_path / "again.npz")
    assert not (tmp_path / "again.npz").exists()


def test_samples_are_those_of_all_shards_in_order(domain, tmp_path):
    images = scans(7)[0]
    rows = pd.DataFrame({"prompt": "", "generator": "g", "scope": "all", "step": 1, "seed": 0}, index=range(7))
    rows = rows.assign(label=[*"aaab", *"bbb"], index=[0, 1, 2, 0, 1, 2, 3])
    shards = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    write_shard(shards[0], [images[:4]], rows[:4])
    write_shard(shards[1], [images[4:]], rows[4:])
    extract_samples(shards, "domain", domain, tmp_path / "a.npz")
    extract_samples(shards, "domain", domain, tmp_path / "b.npz")
    found = load_features(tmp_path / "a.npz")
    np.testing.assert_allclose(found.features, load_extractor("domain", domain)(images), atol=1e-5)
    assert found.labels.tolist() == [*"aaabbbb"]
    assert found.index.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert found.names is found.patients is None
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
