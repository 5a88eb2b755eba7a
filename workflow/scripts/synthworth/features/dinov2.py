"""DINOv2 ViT-B/14: the 768 numbers of its class token, by a network that learnt from images without labels or texts.

Oquab et al. 2024 (DINOv2: Learning robust visual features without supervision). Preprocessing is its own: the short
side becomes 256 pixels (Pillow's bicubic), the middle square of 224 is taken, grey is repeated, and red, green and
blue are standardised by ImageNet's mean and deviation. The token is taken after the last layer normalisation.

Weights: those of Meta on the Hugging Face hub; or another hub id; or a local folder, as transformers'
`save_pretrained` writes it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import Dinov2Model

from synthworth.features import vision_transformers
from synthworth.features.pixels import middle, standardised

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SHORT_SIDE = 256
SIDE = 224
WEIGHTS = "facebook/dinov2-base"
REMEDY = vision_transformers.REMEDY.format(hub_id=WEIGHTS)


def fetch(source: str, folder: Path) -> None:
    """Puts a DINOv2, from the hub or from a local folder, into `folder`."""
    vision_transformers.fetch(Dinov2Model, source, folder)


def load(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Features [b, 768] of images, see `features`; [b, d] of a smaller or larger DINOv2."""
    network = vision_transformers.load(Dinov2Model, weights).to(device).eval()

    def features_of(images: np.ndarray) -> torch.Tensor:
        return network(standardised(middle(images, SIDE, SHORT_SIDE), MEAN, STD).to(device)).last_hidden_state[:, 0]

    return features_of
