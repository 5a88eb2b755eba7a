import math

import pytest
import torch
from torch.nn import functional

from synthworth.generators.stylegan import (
    Critic,
    DownsamplingConvolution,
    EqualisedConvolution,
    EqualisedLinear,
    Generator,
    UpsamplingConvolution,
    adaptive_instance_normalisation,
    blur,
    layers_at,
    minibatch_deviation,
    mix_styles,
    noise_shapes,
    resolutions_to,
    width_at,
)

PAPER = {"channels_max": 512, "channels_base": 8192}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def small_generator(size=32):
    generator = Generator(size, channels=1, latent=8, mapping_layers=2, channels_max=8, channels_base=64)
    for name, weight in generator.named_parameters():
        # From zero noise would not be seen.
        if name.endswith("noise_weight"):
            torch.nn.init.normal_(weight)
    return generator


def inputs(count, resolution):
    noise = [torch.randn(count, *shape) for shape in noise_shapes(resolution)]
    return torch.randn(count, 2, 8), torch.full((count,), layers_at(resolution)), noise


def parameters(*modules):
    return sum(weight.numel() for module in modules for weight in module.parameters())


def test_widths_are_those_of_the_table():
    # Karras 2018, Table 2.
    table = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
    assert {side: width_at(side, **PAPER) for side in resolutions_to(1024)} == table


def test_parameters_are_as_many_as_in_the_papers():
    with torch.device("meta"):
        generator = Generator(1024, 3, latent=512, mapping_layers=8, **PAPER)
        critic = Critic(1024, 3, **PAPER)
    # "26.2M trainable parameters in our generator" (Karras 2019, section 2), 23.1 M in the critic (2018, Table 2).
    assert round(parameters(generator) / 1e6, 1) == 26.2
    assert round(parameters(critic) / 1e6, 1) == 23.1


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 256])
def test_parameters_at_each_resolution_are_those_of_its_layers(side):
    with torch.device("meta"):
        generator = Generator(256, 3, latent=512, mapping_layers=8, **PAPER)
        critic = Critic(256, 3, **PAPER)
    before, width, latent = width_at(side // 2, **PAPER), width_at(side, **PAPER), 512
    # Weights and biases of two convolutions; per layer one weight of the noise, a scale and a shift from the style.
    convolutions = before * width * 9 + width + width * width * 9 + width
    assert parameters(generator.layers[str(side)]) == convolutions + 2 * (width + (latent + 1) * 2 * width)
    assert parameters(generator.to_image[str(side)]) == width * 3 + 3
    assert parameters(critic.layers[str(side)]) == width * width * 9 + width + width * before * 9 + before
    assert parameters(critic.from_image[str(side)]) == 3 * width + width
    assert parameters(generator.mapping) == 8 * (512 * 512 + 512)
    assert parameters(critic.convolution, critic.dense, critic.score) == 513 * 512 * 9 + 512 + 8192 * 512 + 512 + 513


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_at_each_resolution(resolution, channels):
    generator = Generator(32, channels, latent=8, mapping_layers=1, channels_max=8, channels_base=64)
    critic = Critic(32, channels, channels_max=8, channels_base=64)
    images = generator(*inputs(4, resolution), resolution, alpha=1.0)
    assert images.shape == (4, channels, resolution, resolution)
    assert critic(images, resolution, alpha=1.0).shape == (4,)
    assert len(noise_shapes(resolution)) == layers_at(resolution) == 2 * int(math.log2(resolution)) - 2


def test_growing_leaves_images_as_they_are():
    generator = small_generator()
    latents, crossover, noise = inputs(4, 32)
    before = generator(latents, crossover, noise[: layers_at(16)], 16, alpha=1.0)
    grown = generator(latents, crossover, noise, 32, alpha=0.0)
    torch.testing.assert_close(grown, before.repeat_interleave(2, 2).repeat_interleave(2, 3), rtol=0, atol=1e-6)
    whole = generator(latents, crossover, noise, 32, alpha=1.0)
    half = generator(latents, crossover, noise, 32, alpha=0.5)
    torch.testing.assert_close(half, (grown + whole) / 2)
    assert (whole - grown).abs().mean() > 0.1


def test_growing_leaves_scores_as_they_are():
    critic = Critic(32, channels=1, channels_max=8, channels_base=64)
    images = torch.randn(4, 1, 32, 32)
    before = critic(functional.avg_pool2d(images, 2), 16, alpha=1.0)
    torch.testing.assert_close(critic(images, 32, alpha=0.0), before, rtol=0, atol=1e-6)
    assert (critic(images, 32, alpha=1.0) - before).abs().mean() > 1e-3


def test_what_is_not_in_use_has_no_gradient():
    generator, critic = small_generator(), Critic(32, channels=1, channels_max=8, channels_base=64)
    critic(generator(*inputs(4, 16), 16, alpha=0.5), 16, alpha=0.5).sum().backward()
    # The finest layers, and the ways to and from images of all but the two resolutions that are blended.
    for network, ends in ((generator, "to_image"), (critic, "from_image")):
        idle = {name for name, weight in network.named_parameters() if weight.grad is None}
        assert idle == {
            name for name, _ in network.named_parameters() if name.startswith((f"{ends}.4", f"{ends}.32", "layers.32."))
        }


def test_networks_begin_as_in_the_paper():
    # Karras 2019, appendix C: weights N(0, 1), the constant and the scales of styles one, all else zero.
    generator = Generator(16, channels=1, latent=64, mapping_layers=2, channels_max=64, channels_base=512)
    assert (generator.constant == 1.0).all()
    for name, weight in generator.named_parameters():
        if name.endswith("affine.bias"):
            assert weight.tolist() == [1.0] * (len(weight) // 2) + [0.0] * (len(weight) // 2)
        elif name.endswith(("bias", "noise_weight")):
            assert (weight == 0.0).all()
        elif name.endswith("weight") and weight.numel() > 1000:
            assert (weight.mean().item(), weight.std().item()) == pytest.approx((0.0, 1.0), abs=0.05), name


def test_equalised_layers_scale_weights_of_variance_one_as_they_run():
    layer = EqualisedConvolution(16, 400, 3)
    assert layer.weight.std().item() == pytest.approx(1.0, abs=0.02)
    images = torch.randn(2, 16, 8, 8)
    expected = functional.conv2d(images, layer.weight * math.sqrt(2 / (16 * 9)), layer.bias, padding=1)
    torch.testing.assert_close(layer(images), expected)
    linear = EqualisedLinear(50, 7, gain=1.0)
    vectors = torch.randn(3, 50)
    torch.testing.assert_close(linear(vectors), vectors @ linear.weight.T / math.sqrt(50) + linear.bias)


def test_adain_sets_mean_and_deviation_of_each_map():
    features = torch.randn(2, 3, 5, 5) * 4 + 2
    scale, shift = torch.rand(2, 3) + 0.5, torch.randn(2, 3)
    mean = features.mean(dim=(2, 3), keepdim=True)
    deviation = features.var(dim=(2, 3), keepdim=True, correction=0).sqrt()
    expected = scale[:, :, None, None] * (features - mean) / deviation + shift[:, :, None, None]
    torch.testing.assert_close(adaptive_instance_normalisation(features, scale, shift), expected)


def test_resampling_is_doubling_or_means_with_a_binomial_filter():
    images = torch.randn(2, 3, 8, 8)
    up, down = UpsamplingConvolution(3, 5), DownsamplingConvolution(3, 5)
    for layer in (up, down):
        torch.nn.init.normal_(layer.bias)
    doubled = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(up(images), blur(EqualisedConvolution.forward(up, doubled)), rtol=0, atol=1e-5)
    finer = EqualisedConvolution.forward(down, blur(images))
    torch.testing.assert_close(down(images), functional.avg_pool2d(finer, 2), rtol=0, atol=1e-5)


def test_the_blur_is_binomial():
    point = torch.zeros(1, 2, 5, 5)
    point[0, 1, 2, 2] = 16.0
    line = torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0])
    torch.testing.assert_close(blur(point)[0, 1], torch.outer(line, line))
    assert blur(point)[0, 0].abs().max() == 0.0


def test_the_blur_has_its_derivatives():
    features = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(blur, features)
    assert torch.autograd.gradgradcheck(lambda maps: blur(maps).square(), features)


def test_the_minibatch_deviation_is_that_of_four_images():
    features = torch.zeros(8, 2, 3, 3)
    # One pixel of the first four images has deviation 3; the others are equal.
    features[:4, 1, 0, 0] = torch.tensor([3.0, 3.0, -3.0, -3.0])
    maps = minibatch_deviation(features)
    assert maps.shape == (8, 1, 3, 3)
    torch.testing.assert_close(maps[:4], torch.full((4, 1, 3, 3), 3.0 / 18), rtol=0, atol=1e-3)
    torch.testing.assert_close(maps[4:], torch.zeros(4, 1, 3, 3), rtol=0, atol=1e-3)


def test_mixed_styles_change_at_the_crossover():
    first, second = torch.zeros(3, 8), torch.ones(3, 8)
    styles = mix_styles(first, second, torch.tensor([1, 2, 4]), layers=4)
    assert styles.shape == (3, 4, 8)
    assert styles[..., 0].tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_two_latents_steer_an_image():
    generator = small_generator()
    latents, _, noise = inputs(1, 32)
    swapped = latents.flip(1)

    def image(latents, crossover):
        return generator(latents, torch.tensor([crossover]), noise, 32, alpha=1.0)

    layers = layers_at(32)
    # All by the first, all by the second, and something else by both.
    torch.testing.assert_close(image(latents, layers), image(swapped, 0))
    mixed = image(latents, 4)
    assert (mixed - image(latents, layers)).abs().mean() > 1e-3
    assert (mixed - image(swapped, layers)).abs().mean() > 1e-3


def test_the_length_of_a_latent_says_nothing():
    generator = small_generator()
    latents = torch.randn(4, 8)
    torch.testing.assert_close(generator.styles(latents), generator.styles(latents * 7.0))


def test_noise_changes_details():
    generator = small_generator()
    latents, crossover, noise = inputs(4, 32)
    other = [*noise[:-1], torch.randn_like(noise[-1])]
    one, two = (generator(latents, crossover, maps, 32, alpha=1.0) for maps in (noise, other))
    assert (one - two).abs().mean() > 1e-3
