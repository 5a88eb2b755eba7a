"""Inception V3: the 2048 features of the FID of most papers, Schaudt et al. 2023 among them.

Szegedy et al. 2016 (Rethinking the Inception architecture), weights of 2015-12-05, through clean-fid, with its resize
to 299 pixels (Parmar et al. 2022: Pillow's bicubic in float), grey repeated, and its scaling to [-1, 1].

Weights: the TorchScript file that clean-fid downloads, or a local copy of it (the file, or its folder).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cleanfid.downloads_helper import check_download_inception, inception_url
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer

from synthworth.features.pixels import with_channels

FILE = "inception-2015-12-05.pt"
WEIGHTS = inception_url
REMEDY = f"download {inception_url} and give its path as {{key}}"


def fetch(source: str, folder: Path) -> None:
    """Puts Inception's TorchScript file into `folder`, from its address or from a local file or folder."""
    if source == WEIGHTS:
        check_download_inception(fpath=str(folder))
        return
    file = Path(source) / FILE if Path(source).is_dir() else Path(source)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    shutil.copyfile(file, folder / FILE)


def load(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Features [b, 2048] of images, see `features`."""
    network = InceptionV3W(str(weights), download=False).to(device).eval()
    resize = build_resizer("clean")

    def features_of(images: np.ndarray) -> torch.Tensor:
        resized = np.stack([resize(image) for image in with_channels(images, 3)])
        # Its compiler takes longer than it saves on the images of a checkpoint.
        with torch.jit.optimized_execution(False):
            return network(torch.from_numpy(resized).permute(0, 3, 1, 2).to(device))

    return features_of
