"""DenseNet-121 of torchxrayvision, trained on chest X-rays: the 1024 pooled features that its findings are told from.

Cohen et al. 2022 (TorchXRayVision: A library of chest X-ray datasets and models); the network is that of Huang et al.
2017 with one input channel. Preprocessing is the library's: grey (colour as luma), scaled to [-1024, 1024], the middle
square, 224 pixels (torch's bilinear, antialiased, as the library's networks resize).

Weights: one of the library's names (`densenet121-res224-all`, or `-nih`, `-pc`, `-chex`, `-rsna`, `-mimic_nb`,
`-mimic_ch` for `-all`; downloaded from its releases); or a local file: what the library downloads, or the network's
state as safetensors or as torch saves it. The library itself is not used: it unpickles its files as they are, so that
what is in them runs, and on import it turns all warnings off. Here they are read without running anything
(`pickled_networks`) and kept as safetensors.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import densenet121

from synthworth.features.pickled_networks import load_tensors
from synthworth.features.pixels import with_channels

SIDE = 224
WEIGHTS_NAME = "model.safetensors"
# The releases name the data, and the file names RSNA's data after Kaggle, where they came from.
DATA = {
    "all": "nih-pc-chex-mimic_ch-google-openi-kaggle",
    "nih": "nih",
    "pc": "pc",
    "chex": "chex",
    "rsna": "kaggle",
    "mimic_nb": "mimic_nb",
    "mimic_ch": "mimic_ch",
}
URL = (
    "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
    "{data}-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
)
URLS = {f"densenet121-res224-{name}": URL.format(data=data) for name, data in DATA.items()}
WEIGHTS = "densenet121-res224-all"
REMEDY = f"download {URLS[WEIGHTS]} and give its path as {{key}}; or give one of {', '.join(URLS)}"


def fetch(source: str, folder: Path) -> None:
    """Puts the part of the network that makes features, from the releases or from a local file, into `folder`."""
    file = Path(source)
    if source in URLS and not file.is_file():
        file = folder / "download.pt"
        torch.hub.download_url_to_file(URLS[source], str(file), progress=False)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    state = safetensors.torch.load_file(file) if file.suffix == ".safetensors" else load_tensors(file)
    # Its last layer, which findings hang on, may be of any size.
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    network = _network()
    network.load_state_dict({name.removeprefix("features."): value.float() for name, value in state.items()})
    safetensors.torch.save_file(network.state_dict(), folder / WEIGHTS_NAME)
    (folder / "download.pt").unlink(missing_ok=True)


def load(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Features [b, 1024] of images, see `features`."""
    network = _network()
    network.load_state_dict(safetensors.torch.load_file(weights / WEIGHTS_NAME))
    network = network.to(device).eval()

    def features_of(images: np.ndarray) -> torch.Tensor:
        return functional.relu(network(xrv_pixels(images).to(device))).mean(dim=(2, 3))

    return features_of


def xrv_pixels(images: np.ndarray) -> torch.Tensor:
    """What the network sees of uint8 images: float32 [n, 1, 224, 224] in [-1024, 1024]."""
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (length // 2 - side // 2 for length in (height, width))
    square = with_channels(images[:, top : top + side, left : left + side], 1)
    pixels = (torch.from_numpy(square).permute(0, 3, 1, 2).float() * 2 / 255 - 1) * 1024
    return functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)


def _network() -> nn.Sequential:
    network = densenet121(weights=None).features
    network.conv0 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return network
