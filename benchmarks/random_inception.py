"""Inception V3 with random weights: what it costs is that of the published ones, what it says is not."""

from pathlib import Path

import torch
from torch import nn
from torchvision.models import inception_v3

from synthworth.features.inception import FILE

# Parts of the network that its features do not pass.
AFTER_FEATURES = ("AuxLogits", "dropout", "fc")


class RandomInception(nn.Module):
    """As the TorchScript file that clean-fid downloads: `layers` map [n, 3, 299, 299] in [-1, 1] to 2048 features."""

    def __init__(self, images: torch.Tensor, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        network = inception_v3(weights=None, aux_logits=False, init_weights=False)
        parts = [part for name, part in network.named_children() if name not in AFTER_FEATURES]
        self.layers = nn.Sequential(*parts, nn.Flatten())
        self._calibrate(images)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features, float32 [n, 2048]."""
        return self.layers(x)

    def _calibrate(self, images: torch.Tensor) -> None:
        """Sets the normalisations to the images' own, without which random layers make all images alike."""
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None
        with torch.no_grad():
            self.layers.train()(images)
        self.eval()


def write_inception(folder: Path, images: torch.Tensor) -> RandomInception:
    """Writes the weights of a network to `folder`, as `load_extractor("inception", folder)` reads them; the network.

    `images` are float32 [n, 3, 299, 299] in [-1, 1].
    """
    network = RandomInception(images)
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network).save(str(folder / FILE))
    return network
