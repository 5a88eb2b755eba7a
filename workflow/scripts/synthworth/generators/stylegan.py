"""StyleGAN: a generator whose layers are steered by styles, and the critic it is trained against.

Written from the papers: mapping network, adaptive instance normalisation, noise per layer, filtered resampling and
style mixing from Karras et al. 2019 ("A Style-Based Generator Architecture for Generative Adversarial Networks");
layer widths, equalised learning rate, growing with fade-in and minibatch standard deviation from Karras et al. 2018
("Progressive Growing of GANs"). Images are float [batch, channels, resolution, resolution] in [-1, 1].

Both networks hold the layers of all resolutions from the start, so that their states have the same keys all along a
training; which of them are used is said by `resolution` and `alpha`, the share of the newest layers in the result.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthworth.generators.growth import GROUP

# Both networks begin (generator) or end (critic) at so many pixels.
COARSEST = 4
LAYERS_PER_RESOLUTION = 2
LEAK = 0.2


def resolutions_to(size: int) -> list[int]:
    """4, 8, 16 ... `size`, which is such a power of two."""
    return [2**power for power in range(2, size.bit_length())]


def layers_at(resolution: int) -> int:
    """The styled layers of a generator up to a resolution, each with a style and a noise map of its own."""
    return LAYERS_PER_RESOLUTION * len(resolutions_to(resolution))


def noise_shapes(resolution: int) -> list[tuple[int, int, int]]:
    """The shapes [1, height, width] of the noise maps of an image, coarse to fine."""
    return [(1, side, side) for side in resolutions_to(resolution) for _ in range(LAYERS_PER_RESOLUTION)]


def width_at(resolution: int, channels_max: int, channels_base: int) -> int:
    """Feature maps at a resolution: `channels_base` over half of it, at most `channels_max` (Karras 2018, Table 2)."""
    return max(1, min(channels_max, channels_base // (resolution // 2)))


class Generator(nn.Module):
    """Images from latents: mapping network f, then the synthesis network g (Karras 2019, Figure 1b).

    `size` is the finest resolution. Widths of the layers follow `width_at`; latents and styles have `latent` numbers.
    `mean_style`, all zeros until it is set, is where truncation draws styles to.
    """

    def __init__(
        self, size: int, channels: int, latent: int, mapping_layers: int, channels_max: int, channels_base: int
    ) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(EqualisedLinear(latent, latent) for _ in range(mapping_layers))
        widths = {side: width_at(side, channels_max, channels_base) for side in resolutions_to(size)}
        # Ones, and noise weights of zero, as in Karras 2019, appendix C.
        self.constant = nn.Parameter(torch.ones(1, widths[COARSEST], COARSEST, COARSEST))
        self.layers = nn.ModuleDict()
        for side, width in widths.items():
            entry = None if side == COARSEST else UpsamplingConvolution(widths[side // 2], width)
            self.layers[str(side)] = nn.ModuleList(
                [StyledLayer(entry, width, latent), StyledLayer(EqualisedConvolution(width, width, 3), width, latent)]
            )
        self.to_image = nn.ModuleDict(
            {str(side): EqualisedConvolution(width, channels, 1, gain=1.0) for side, width in widths.items()}
        )
        self.register_buffer("mean_style", torch.zeros(latent))

    def forward(
        self, latents: Tensor, crossover: Tensor, noise: Sequence[Tensor], resolution: int, alpha: float
    ) -> Tensor:
        """Images of two latents each, [batch, 2, latent]: the second steers the layers from `crossover` [batch] on."""
        first, second = self.styles(latents.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        return self.synthesise(mix_styles(first, second, crossover, layers_at(resolution)), noise, resolution, alpha)

    def styles(self, latents: Tensor) -> Tensor:
        """The mapping network: [batch, latent] to [batch, latent]. Latents are brought to unit mean square first."""
        styles = latents * (latents.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            styles = functional.leaky_relu(layer(styles), LEAK)
        return styles

    def synthesise(self, styles: Tensor, noise: Sequence[Tensor], resolution: int, alpha: float) -> Tensor:
        """The synthesis network: styles [batch, layers, latent] and `noise`, a map [batch, 1, side, side] per layer.

        With `alpha` below 1 the image is blended with that of the resolution before, its pixels doubled.
        """
        features = self.constant.expand(len(styles), -1, -1, -1)
        index = 0
        for side in resolutions_to(resolution):
            coarser = features
            for layer in self.layers[str(side)]:
                features = layer(features, styles[:, index], noise[index])
                index += 1
        image = self.to_image[str(resolution)](features)
        if alpha < 1.0:
            before = self.to_image[str(resolution // 2)](coarser)
            image = torch.lerp(functional.interpolate(before, scale_factor=2, mode="nearest"), image, alpha)
        return image


class Critic(nn.Module):
    """A score [batch] of images, higher for real ones: the generator's mirror (Karras 2018, Table 2)."""

    def __init__(self, size: int, channels: int, channels_max: int, channels_base: int) -> None:
        super().__init__()
        widths = {side: width_at(side, channels_max, channels_base) for side in resolutions_to(size)}
        self.from_image = nn.ModuleDict(
            {str(side): EqualisedConvolution(channels, width, 1) for side, width in widths.items()}
        )
        self.layers = nn.ModuleDict(
            {
                str(side): nn.ModuleList(
                    [EqualisedConvolution(width, width, 3), DownsamplingConvolution(width, widths[side // 2])]
                )
                for side, width in widths.items()
                if side > COARSEST
            }
        )
        coarsest = widths[COARSEST]
        self.convolution = EqualisedConvolution(coarsest + 1, coarsest, 3)
        self.dense = EqualisedLinear(coarsest * COARSEST**2, coarsest)
        self.score = EqualisedLinear(coarsest, 1, gain=1.0)

    def forward(self, images: Tensor, resolution: int, alpha: float) -> Tensor:
        """With `alpha` below 1 features are blended with those of the image at half its resolution.

        Four images that follow one another are compared among themselves: the batch is a multiple of four.
        """
        features = self._enter(images, resolution)
        for side in reversed(resolutions_to(resolution)[1:]):
            for convolution in self.layers[str(side)]:
                features = functional.leaky_relu(convolution(features), LEAK)
            if side == resolution and alpha < 1.0:
                before = self._enter(functional.avg_pool2d(images, 2), resolution // 2)
                features = torch.lerp(before, features, alpha)
        features = torch.cat([features, minibatch_deviation(features)], dim=1)
        features = functional.leaky_relu(self.convolution(features), LEAK)
        features = functional.leaky_relu(self.dense(features.flatten(1)), LEAK)
        return self.score(features).squeeze(1)

    def _enter(self, images: Tensor, resolution: int) -> Tensor:
        return functional.leaky_relu(self.from_image[str(resolution)](images), LEAK)


class StyledLayer(nn.Module):
    """A convolution (or none), noise, leaky ReLU, then AdaIN by an affine map of the style."""

    def __init__(self, convolution: nn.Module | None, width: int, latent: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.noise_weight = nn.Parameter(torch.zeros(width, 1, 1))
        self.affine = EqualisedLinear(latent, 2 * width, gain=1.0)
        with torch.no_grad():
            self.affine.bias[:width] = 1.0

    def forward(self, features: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """`features` [batch, width, h, w], `style` [batch, latent], `noise` [batch, 1, h, w]."""
        # The learnt constant, which has no convolution, needs no bias: it can take any level itself.
        if self.convolution is not None:
            features = self.convolution(features)
        features = functional.leaky_relu(features + self.noise_weight * noise, LEAK)
        scale, shift = self.affine(style).chunk(2, dim=1)
        return adaptive_instance_normalisation(features, scale, shift)


class EqualisedConvolution(nn.Module):
    """A convolution that keeps the image's size, its weights N(0, 1) scaled as it runs (equalised learning rate).

    The scale is He's constant, `gain` over the root of the fan-in (Karras 2018, section 4.1).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = math.sqrt(2.0)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, inputs, h, w] to [batch, outputs, h, w]."""
        return functional.conv2d(features, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class ResamplingConvolution(EqualisedConvolution):
    """A 3 x 3 convolution together with doubling pixels before it, or with taking means of 2 x 2 pixels after it.

    Either is a convolution of stride 2 with a 4 x 4 kernel, the 3 x 3 one added up at four places one pixel apart: 4
    products per pixel of the finer image, not 9.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)
        line = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        self.register_buffer("spread", torch.kron(line, line).T.contiguous(), persistent=False)

    def kernel(self, factor: float) -> Tensor:
        """The kernels [outputs, inputs, 4, 4], times `factor`."""
        weight = self.weight.flatten(2) @ (self.spread * (self.scale * factor))
        return weight.unflatten(2, (4, 4))


class UpsamplingConvolution(ResamplingConvolution):
    """To twice the resolution: pixels doubled, the convolution, then the binomial filter (Karras 2019, section 2)."""

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, inputs, h, w] to [batch, outputs, 2 h, 2 w]."""
        kernel = self.kernel(1.0).transpose(0, 1).flip(2, 3)
        return blur(functional.conv_transpose2d(features, kernel, self.bias, stride=2, padding=1))


class DownsamplingConvolution(ResamplingConvolution):
    """To half the resolution: the binomial filter, the convolution, then means (Karras 2019, section 2)."""

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, inputs, h, w] to [batch, outputs, h / 2, w / 2]."""
        return functional.conv2d(blur(features), self.kernel(0.25), self.bias, stride=2, padding=1)


class EqualisedLinear(nn.Module):
    """A fully connected layer with equalised learning rate (see `EqualisedConvolution`)."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2.0)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, features: Tensor) -> Tensor:
        """From [batch, inputs] to [batch, outputs]."""
        return functional.linear(features, self.weight * self.scale, self.bias)


def adaptive_instance_normalisation(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """AdaIN (Karras 2019, equation 1): each feature map to mean `shift` and standard deviation `scale` [batch, width].

    A map of one value everywhere has no deviation to scale; it becomes its shift.
    """
    normalised = functional.group_norm(features, features.shape[1], eps=1e-8)
    return normalised * scale[:, :, None, None] + shift[:, :, None, None]


def mix_styles(first: Tensor, second: Tensor, crossover: Tensor, layers: int) -> Tensor:
    """Styles [batch, layers, latent]: `first` below layer `crossover` [batch], `second` from it on."""
    later = torch.arange(layers, device=crossover.device) >= crossover[:, None]
    return torch.where(later[:, :, None], second[:, None], first[:, None])


def minibatch_deviation(features: Tensor) -> Tensor:
    """One map [batch, 1, h, w]: how much a group of images differ, the mean standard deviation of all their features.

    Karras 2018, section 3; groups are four images that follow one another.
    """
    variance = features.unflatten(0, (-1, GROUP)).var(dim=1, correction=0)
    deviation = (variance + 1e-8).sqrt().flatten(1).mean(dim=1)
    return deviation.repeat_interleave(GROUP)[:, None, None, None].expand(-1, 1, *features.shape[2:])


def blur(features: Tensor) -> Tensor:
    """Each feature map filtered with [1, 2, 1] / 4 along both axes; zeros are around it."""
    return _Blur.apply(features)


class _Blur(torch.autograd.Function):
    """A symmetric filter is its own derivative: said so, it is up to four times as fast as by autograd's own rules."""

    @staticmethod
    def forward(context: object, features: Tensor) -> Tensor:
        line = torch.tensor([0.25, 0.5, 0.25], dtype=features.dtype, device=features.device)
        kernel = (line[:, None] * line).expand(features.shape[1], 1, 3, 3)
        return functional.conv2d(features, kernel, padding=1, groups=features.shape[1])

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return _Blur.apply(gradient)
