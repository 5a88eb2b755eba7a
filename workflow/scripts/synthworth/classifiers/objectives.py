"""What each step of a classifier's training brings down: a loss, on images that may be mixed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

Loss = Literal["cross_entropy", "focal"]
Mixing = Literal["none", "mixup", "cutmix"]

# Below this, 1 - p is rounding: a power of it with an exponent under 1 would have no finite slope.
LEAST_DOUBT = 1e-7


@dataclass(frozen=True)
class Objective:
    """A loss and a way to mix images.

    `focal` is that of Lin et al. (2017, equation 4): cross-entropy times (1 - p) ** `focal_gamma`, where p is the
    probability of the true class. `mixup` is that of Zhang et al. (2018), `cutmix` that of Yun et al. (2019), each with
    shares from Beta(`mixing_alpha`, `mixing_alpha`). Of findings, any number in an image, the loss is binary
    cross-entropy, each finding's by itself, and the focal one with p of what is true of the finding (their equation 5).
    """

    loss: Loss = "cross_entropy"
    focal_gamma: float = 2.0
    mixing: Mixing = "none"
    mixing_alpha: float = 1.0

    def __call__(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        class_weights: torch.Tensor | None = None,
        findings: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The mean over images of the loss, each image's times the weight of its class where there are weights.

        `logits` float32 [n, classes], `labels` int [n], `class_weights` float32 [classes]. With `findings` float32
        [n, F] (1, 0, or NaN, which is masked) and `logits` of these: the mean over all that are not masked, 0 where
        all are.
        """
        if self.loss == "cross_entropy" and class_weights is None:
            return cross_entropy(logits, labels, findings)
        losses = _losses(logits, labels, findings)
        if self.loss == "focal":
            losses = (-torch.expm1(-losses)).clamp_min(LEAST_DOUBT) ** self.focal_gamma * losses
        if class_weights is not None:
            own = class_weights[labels]
            losses = losses * (own if findings is None else own[:, None])
        return losses.mean() if findings is None else _known_mean(losses, findings)

    def mix(self, images: torch.Tensor, mixing_seed: int) -> tuple[torch.Tensor, torch.Tensor | None, float]:
        """The images [n, channels, height, width] of a batch, each mixed with another one of it, drawn at random.

        Also each image's partner (int [n], its place in the batch; None without mixing) and the share of its own in
        [0, 1] that all keep. The loss is then `share` times that of the own labels and the rest times that of the
        partners': the loss of soft targets, since it is linear in them.
        """
        if self.mixing == "none":
            return images, None, 1.0
        generator = np.random.default_rng(mixing_seed)
        share = float(generator.beta(self.mixing_alpha, self.mixing_alpha))
        partner = torch.from_numpy(generator.permutation(len(images))).to(images.device)
        if self.mixing == "mixup":
            return images.lerp(images[partner], 1 - share), partner, share
        height, width = images.shape[-2:]
        rows, columns = (_span(side, (1 - share) ** 0.5, generator) for side in (height, width))
        mixed = images.clone()
        mixed[..., rows, columns] = images[partner][..., rows, columns]
        # The box may hang over the edge: what counts is what was pasted.
        return mixed, partner, 1 - len(range(height)[rows]) * len(range(width)[columns]) / (height * width)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, findings: torch.Tensor | None = None) -> torch.Tensor:
    """The mean cross-entropy, of findings the binary one over what is not masked; arguments as of `Objective`."""
    if findings is None:
        return functional.cross_entropy(logits, labels)
    return _known_mean(_losses(logits, labels, findings), findings)


def class_weights(targets: np.ndarray, classes: int) -> np.ndarray:
    """Weights of the classes inverse to their numbers of images, float32 [classes]; their mean over images is 1.

    Then each class weighs the same in all, and the loss is as large as without weights. 0 for a class without images.
    """
    counts = np.bincount(targets, minlength=classes)
    weights = len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0).astype(np.float32)


def _losses(logits: torch.Tensor, labels: torch.Tensor, findings: torch.Tensor | None) -> torch.Tensor:
    """The cross-entropy of each image, [n], or of each finding in it, [n, F], masked ones too."""
    if findings is None:
        return functional.cross_entropy(logits, labels, reduction="none")
    return functional.binary_cross_entropy_with_logits(logits, findings.nan_to_num(), reduction="none")


def _known_mean(losses: torch.Tensor, findings: torch.Tensor) -> torch.Tensor:
    """The mean over what is not masked, 0 where all is. By a product: to pick would have the CPU wait for the GPU."""
    known = ~findings.isnan()
    return (losses * known).sum() / known.sum().clamp_min(1)


def _span(side: int, fraction: float, generator: np.random.Generator) -> slice:
    """Pixels of a side around a random one, `fraction` of the side long where they do not reach over its ends."""
    middle, half = int(generator.integers(side)), int(side * fraction) // 2
    return slice(max(middle - half, 0), min(middle + half, side))
