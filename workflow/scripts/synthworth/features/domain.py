"""A small network trained on the study's own training images (`domain_extractor`), used for its features.

It needs no weights from elsewhere. A distance in its features has the scale of its study and is no Inception FID.
Preprocessing: resized to the training images' size (torch's bicubic, antialiased), in their channels (colour to luma,
or grey repeated), scaled to [-1, 1]. The features are those that its last layer sees.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from synthworth.errors import StudyError
from synthworth.features.pixels import with_channels

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


def load(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Features [b, d] of images, see `features`, from a folder that `train_domain_extractor` wrote."""
    config = json.loads((weights / CONFIG_NAME).read_text(encoding="utf-8"))
    network = domain_network(config["architecture"], config["channels"], len(config["classes"]))
    network.load_state_dict(safetensors.torch.load_file(weights / WEIGHTS_NAME))
    network = network.to(device).eval()

    def features_of(images: np.ndarray) -> torch.Tensor:
        pixels = domain_pixels(images, config["size"], config["channels"]).to(device)
        return network.forward_head(network.forward_features(pixels), pre_logits=True)

    return features_of


def domain_network(architecture: str, channels: int, classes: int) -> nn.Module:
    """An untrained classifier of timm whose pooled features before its last layer are the domain features."""
    # Not with this module: it takes as long as torch to import.
    import timm

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
