"""CLIP ViT-B/32: the 512 numbers of an image in the space that it shares with texts, not normalised to length 1.

Radford et al. 2021 (Learning transferable visual models from natural language supervision). Preprocessing is CLIP's
own: the short side becomes 224 pixels (Pillow's bicubic), the middle square is taken, grey is repeated, and red, green
and blue are standardised by the mean and deviation of CLIP's training images.

Weights: those of OpenAI on the Hugging Face hub; or another hub id; or a local folder, as transformers'
`save_pretrained` writes it. The text half of a whole CLIP is left out.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPVisionModelWithProjection

from synthworth.features import vision_transformers
from synthworth.features.pixels import middle, standardised

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
WEIGHTS = "openai/clip-vit-base-patch32"
REMEDY = vision_transformers.REMEDY.format(hub_id=WEIGHTS)


def fetch(source: str, folder: Path) -> None:
    """Puts the image half of a CLIP, from the hub or from a local folder, into `folder`."""
    vision_transformers.fetch(CLIPVisionModelWithProjection, source, folder)


def load(weights: Path, device: str) -> Callable[[np.ndarray], torch.Tensor]:
    """Features [b, 512] of images, see `features`; [b, d] of another CLIP."""
    network = vision_transformers.load(CLIPVisionModelWithProjection, weights).to(device).eval()
    side = network.config.image_size

    def features_of(images: np.ndarray) -> torch.Tensor:
        return network(standardised(middle(images, side, short=side), MEAN, STD).to(device)).image_embeds

    return features_of
