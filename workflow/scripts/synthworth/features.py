"""Features: images as vectors, by the extractor that a score names.

- `inception`: the 2048 features of the paper's FID (Inception V3, Szegedy et al. 2016, weights of 2015-12-05), through
  clean-fid, with its resize (Parmar et al. 2022). Its weights come from the config or are downloaded.
- `domain`: a small network trained on the study's own training images (`domain_extractor`); a distance in its
  features has the scale of its study and is no Inception FID.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import timm
import torch
from torch import nn
from torch.nn import functional

from synthworth.errors import StudyError
from synthworth.files import replacing

# uint8 images [n, height, width, 1 or 3] -> float32 features [n, d]
Extractor = Callable[[np.ndarray], np.ndarray]

INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_KEY = "fidelity.extractors.inception.weights"
DOMAIN_CONFIG = "config.json"
DOMAIN_WEIGHTS = "model.safetensors"


def load_extractor(kind: str, weights: Path, device: str | None = None, batch_size: int = 64) -> Extractor:
    """The extractor of a kind: `inception` from its TorchScript file, `domain` from its folder.

    It maps uint8 images [n, height, width, 1 or 3] of any size to float32 features [n, d], in batches, and the same
    images always to the same features: full float32 precision, no choice of algorithms by timing. `device` None is
    a GPU where there is one.
    """
    kinds = {"inception": _inception, "domain": _domain}
    if kind not in kinds:
        raise ValueError(f"no extractor of kind {kind!r}; there are {sorted(kinds)}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    features_of = kinds[kind](Path(weights), device)

    def extractor(images: np.ndarray) -> np.ndarray:
        # `enabled`, because the default of these flags turns cuDNN off.
        flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False)
        with torch.inference_mode(), flags:
            batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
            return np.concatenate([features_of(batch).float().cpu().numpy() for batch in batches])

    return extractor


def fetch_inception(weights: str | None, output: Path) -> None:
    """Puts Inception's weights at `output`: copied from `weights` (the file, or its folder), or, for None, downloaded.

    StudyError, with the config key and the public address, where they are missing, cannot be downloaded or do not
    load as the network that clean-fid uses.
    """
    from cleanfid.downloads_helper import check_download_inception, inception_url

    remedy = f"download {inception_url} and give its path as {INCEPTION_KEY}"
    with replacing(output) as temporary:
        if weights is None:
            with tempfile.TemporaryDirectory(dir=temporary.parent) as folder:
                try:
                    shutil.move(check_download_inception(fpath=folder), temporary)
                except OSError as error:
                    raise StudyError(
                        "Inception's weights could not be downloaded.",
                        [f"{INCEPTION_KEY} is null, which downloads them, and that failed ({error}); {remedy}"],
                    ) from error
        else:
            source = Path(weights) / INCEPTION_FILE if Path(weights).is_dir() else Path(weights)
            if not source.is_file():
                raise StudyError("Inception's weights are missing.", [f"{INCEPTION_KEY}: no file {source}; {remedy}"])
            shutil.copyfile(source, temporary)
        try:
            load_extractor("inception", temporary, device="cpu")(np.zeros((1, 32, 32, 1), np.uint8))
        except (RuntimeError, AttributeError, TypeError) as error:
            cause = str(error).strip().splitlines()[-1]
            raise StudyError(
                "Inception's weights do not load.",
                [f"{INCEPTION_KEY}: {weights or inception_url} is not the TorchScript file ({cause}); {remedy}"],
            ) from error


def extract_reference(
    images: Path, index: Path, class_name: str, count: int | None, kind: str, weights: Path, output: Path
) -> None:
    """Features of a class's real images in one split, as npz (see `save_features`).

    `images` is the split's array `images-<size>.npy`, `index` its `index.csv`; of the rows of the class the first
    `count` are taken (None: all), as the paper takes the first 50; all of them where there are fewer.
    """
    rows = np.flatnonzero(pd.read_csv(index, keep_default_na=False)["class"].astype(str) == class_name)
    real = np.load(images, mmap_mode="r")[rows[:count]]
    save_features(load_extractor(kind, weights)(real), output)


def extract_samples(shards: Sequence[Path], kind: str, weights: Path, output: Path) -> None:
    """Features of the synthetic images of some shards, in their order, as npz (see `save_features`)."""
    from synthworth.shards import read_shard

    extractor = load_extractor(kind, weights)
    save_features(np.concatenate([extractor(read_shard(shard, columns=())[0]) for shard in shards]), output)


def save_features(features: np.ndarray, output: Path) -> None:
    """Writes features [n, d] as npz: `features` (float32 [n, d]) and `n`."""
    with replacing(output) as temporary:
        np.savez(temporary, features=features.astype(np.float32), n=len(features))


def _inception(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    # clean-fid wants a folder in which the file has its own name.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / INCEPTION_FILE).symlink_to(weights.resolve())
        network = InceptionV3W(folder, download=False).to(device).eval()
    resize = build_resizer("clean")

    def features_of(images: np.ndarray) -> torch.Tensor:
        resized = np.stack([resize(image) for image in with_channels(images, 3)])
        return network(torch.from_numpy(resized).permute(0, 3, 1, 2).to(device))

    return features_of


def _domain(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    config = json.loads((weights / DOMAIN_CONFIG).read_text(encoding="utf-8"))
    network = domain_network(config["architecture"], config["channels"], len(config["classes"]))
    network.load_state_dict(safetensors.torch.load_file(weights / DOMAIN_WEIGHTS))
    network = network.to(device).eval()

    def features_of(images: np.ndarray) -> torch.Tensor:
        pixels = domain_pixels(images, config["size"], config["channels"]).to(device)
        return network.forward_head(network.forward_features(pixels), pre_logits=True)

    return features_of


def domain_network(architecture: str, channels: int, classes: int) -> nn.Module:
    """An untrained classifier of timm whose pooled features before its last layer are the domain features."""
    if not timm.is_model(architecture):
        raise StudyError(
            "Unknown architecture of a domain extractor.",
            [f"fidelity.extractors.domain.architecture: timm has no model {architecture!r}; try test_resnet"],
        )
    return timm.create_model(architecture, pretrained=False, in_chans=channels, num_classes=classes)


def domain_pixels(images: np.ndarray, size: int, channels: int) -> torch.Tensor:
    """What a domain network sees of uint8 images: float32 [n, channels, size, size] in [-1, 1]."""
    pixels = torch.from_numpy(with_channels(images, channels).astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    if pixels.shape[-2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images [n, height, width, c] with 1 or 3 channels: grey is repeated, colour becomes its luma (ITU-R 601)."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    return np.rint(images @ np.array([[0.299], [0.587], [0.114]])).astype(np.uint8)
