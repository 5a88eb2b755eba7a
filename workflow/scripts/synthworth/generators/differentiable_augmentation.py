"""DiffAugment (Zhao et al. 2020): what the critic sees is changed at random, real and generated images alike.

The changes are differentiable, so the generator learns through them and the critic cannot learn the few training
images by heart. Images are float [batch, channels, height, width] in [-1, 1]; all that is random is drawn beforehand.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

COLOR, TRANSLATION, CUTOUT = "color", "translation", "cutout"

# Of the image's sides (Zhao 2020, section 3).
LARGEST_SHIFT = 1 / 8
CUTOUT_SIDE = 1 / 2


@dataclass(frozen=True)
class Draws:
    """What is random in the augmentation of a batch; a slice of it belongs to the same slice of the batch.

    brightness [batch] in [-0.5, 0.5), saturation [batch] in [0, 2), contrast [batch] in [0.5, 1.5); shift [batch, 2],
    pixels down and right; centre [batch, 2], row and column of the cutout.
    """

    brightness: Tensor
    saturation: Tensor
    contrast: Tensor
    shift: Tensor
    centre: Tensor

    def __getitem__(self, part: slice) -> "Draws":
        return Draws(*(getattr(self, field.name)[part] for field in fields(self)))


def draw(count: int, side: int, generator: torch.Generator) -> Draws:
    """Draws for `count` square images of `side` pixels, on the generator's device."""
    device = generator.device
    brightness, saturation, contrast = torch.rand((3, count), generator=generator, device=device)
    farthest = int(side * LARGEST_SHIFT + 0.5)
    return Draws(
        brightness=brightness - 0.5,
        saturation=saturation * 2.0,
        contrast=contrast + 0.5,
        shift=torch.randint(-farthest, farthest + 1, (count, 2), generator=generator, device=device),
        # Of a square of even side the centre lies between pixels, the borders included.
        centre=torch.randint(0, side + 1 - _cutout(side) % 2, (count, 2), generator=generator, device=device),
    )


def augment(images: Tensor, draws: Draws, policy: Collection[str]) -> Tensor:
    """The images, changed by the parts of DiffAugment that `policy` names: color, translation, cutout."""
    if COLOR in policy:
        images = change_color(images, draws.brightness, draws.saturation, draws.contrast)
    if TRANSLATION in policy:
        images = translate(images, draws.shift)
    if CUTOUT in policy:
        images = cut_out(images, draws.centre)
    return images


def change_color(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Adds `brightness`, then scales each pixel's distance to its grey by `saturation`, then to the image's mean.

    A grey image, of one channel or of three equal ones, is its own grey: saturation leaves it as it is.
    """
    images = images + _per_image(brightness)
    if images.shape[1] > 1:
        images = torch.lerp(images.mean(dim=1, keepdim=True), images, _per_image(saturation))
    return torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, _per_image(contrast))


def translate(images: Tensor, shift: Tensor) -> Tensor:
    """Moves images by whole pixels, `shift` [batch, 2] down and right; zeros come in."""
    height, width = images.shape[2:]
    # A border of zeros, from which all pixels are taken that lie outside.
    bordered = functional.pad(images, (1, 1, 1, 1))
    rows = _sources(height, shift[:, 0])[:, None, :, None].expand(-1, images.shape[1], -1, width + 2)
    columns = _sources(width, shift[:, 1])[:, None, None, :].expand(-1, images.shape[1], height, -1)
    return bordered.gather(2, rows).gather(3, columns)


def cut_out(images: Tensor, centre: Tensor) -> Tensor:
    """Sets a square of half the image's side to zero around `centre` [batch, 2], row and column.

    A square that reaches over the border loses what is outside.
    """
    height, width = images.shape[2:]
    rows = _within(height, centre[:, 0])[:, :, None]
    columns = _within(width, centre[:, 1])[:, None, :]
    return images.masked_fill((rows & columns)[:, None], 0.0)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _sources(side: int, shift: Tensor) -> Tensor:
    """Where in the bordered image the pixels [batch, side] of a line come from."""
    places = torch.arange(1, side + 1, device=shift.device)
    return (places - shift[:, None]).clamp(0, side + 1)


def _cutout(side: int) -> int:
    return int(side * CUTOUT_SIDE + 0.5)


def _within(side: int, centre: Tensor) -> Tensor:
    """Which pixels [batch, side] of a line lie in the cutout."""
    length = _cutout(side)
    first = centre[:, None] - length // 2
    places = torch.arange(side, device=centre.device)
    return (places >= first) & (places < first + length)
