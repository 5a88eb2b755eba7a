import pytest
import torch

from synthworth.generators.differentiable_augmentation import Draws, augment, change_color, cut_out, draw, translate

POLICY = ("color", "translation", "cutout")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def draws(count, side=16, seed=0):
    return draw(count, side, torch.Generator().manual_seed(seed))


def test_brightness_is_added():
    images = torch.rand(2, 3, 4, 4)
    changed = change_color(images, torch.tensor([0.25, -0.5]), torch.ones(2), torch.ones(2))
    torch.testing.assert_close(changed, torch.stack([images[0] + 0.25, images[1] - 0.5]))


def test_saturation_scales_the_distance_to_grey():
    images = torch.rand(3, 3, 4, 4)
    changed = change_color(images, torch.zeros(3), torch.tensor([0.0, 0.5, 2.0]), torch.ones(3))
    grey = images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(changed[0], grey[0].expand(3, -1, -1))
    torch.testing.assert_close(changed[1], (images[1] + grey[1]) / 2)
    torch.testing.assert_close(changed[2], 2 * images[2] - grey[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_saturation_leaves_grey_images_alone(channels):
    images = torch.rand(2, 1, 4, 4).expand(-1, channels, -1, -1)
    changed = change_color(images, torch.zeros(2), torch.tensor([0.0, 1.7]), torch.ones(2))
    torch.testing.assert_close(changed, images)


def test_contrast_scales_the_distance_to_the_mean():
    images = torch.rand(2, 1, 4, 4)
    changed = change_color(images, torch.zeros(2), torch.ones(2), torch.tensor([0.5, 1.5]))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(changed, mean + torch.tensor([0.5, 1.5])[:, None, None, None] * (images - mean))


def test_a_shift_moves_images_and_zeros_come_in():
    images = torch.rand(3, 2, 4, 4) + 1.0
    moved = translate(images, torch.tensor([[0, 0], [1, 0], [-1, 2]]))
    torch.testing.assert_close(moved[0], images[0])
    torch.testing.assert_close(moved[1, :, 1:], images[1, :, :-1])
    assert moved[1, :, 0].abs().max() == 0.0
    torch.testing.assert_close(moved[2, :, :-1, 2:], images[2, :, 1:, :-2])
    assert moved[2, :, -1].abs().max() == moved[2, :, :, :2].abs().max() == 0.0


def test_a_cutout_is_a_square_of_half_the_side():
    images = torch.ones(2, 1, 8, 8)
    cut = cut_out(images, torch.tensor([[4, 3], [0, 7]]))
    expected = torch.ones(2, 1, 8, 8)
    expected[0, :, 2:6, 1:5] = 0.0
    # At a corner only the part within the image.
    expected[1, :, 0:2, 5:8] = 0.0
    torch.testing.assert_close(cut, expected)


def test_draws_keep_to_the_ranges_of_the_paper():
    many = draws(4000, side=32)
    for values, least, most in (
        (many.brightness, -0.5, 0.5),
        (many.saturation, 0.0, 2.0),
        (many.contrast, 0.5, 1.5),
    ):
        assert least <= values.min() < least + 0.01
        assert most - 0.01 < values.max() <= most
    # An eighth of 32 pixels either way; a centre at any border between pixels.
    assert sorted(many.shift.unique().tolist()) == list(range(-4, 5))
    assert sorted(many.centre.unique().tolist()) == list(range(33))
    assert many.shift.shape == many.centre.shape == (4000, 2)


def test_draws_come_from_their_generator_alone():
    torch.manual_seed(1)
    one = draws(4)
    torch.manual_seed(2)
    other = draws(4)
    assert torch.equal(one.brightness, other.brightness)
    assert torch.equal(one.centre, other.centre)
    assert not torch.equal(one.brightness, draws(4, seed=1).brightness)


def test_a_part_of_a_batch_is_augmented_as_within_it():
    images, random = torch.randn(8, 3, 16, 16), draws(8)
    whole = augment(images, random, POLICY)
    torch.testing.assert_close(augment(images[2:5], random[2:5], POLICY), whole[2:5])
    # Each image has its own draws.
    same = augment(images[:1].expand(8, -1, -1, -1), random, POLICY)
    assert all((same[0] - same[i]).abs().max() > 0.1 for i in range(1, 8))


def test_the_policy_says_what_is_done():
    images, random = torch.randn(4, 3, 16, 16), draws(4)
    assert torch.equal(augment(images, random, ()), images)
    torch.testing.assert_close(augment(images, random, ["cutout"]), cut_out(images, random.centre))
    moved = translate(images, random.shift)
    torch.testing.assert_close(augment(images, random, ["cutout", "translation"]), cut_out(moved, random.centre))
    assert not torch.equal(augment(images, random, ["color"]), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_go_through(channels):
    images = torch.randn(2, channels, 8, 8, dtype=torch.float64, requires_grad=True)
    single = draws(2, side=8)
    # In double precision for the finite differences.
    random = Draws(
        *(values.double() for values in vars(single).values() if values.is_floating_point()),
        single.shift,
        single.centre,
    )
    assert torch.autograd.gradcheck(lambda x: augment(x, random, POLICY), images)
