import copy
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_generators import SETTINGS as CONTRACT

from synthworth.errors import StudyError
from synthworth.generators import TrainingSet, gan
from synthworth.generators.differentiable_augmentation import augment
from synthworth.generators.gan import (
    _critic_loss,
    _descend,
    _draw,
    _generator_loss,
    _real_images,
    gradient_penalty,
    move_average,
)
from synthworth.generators.growth import Stage, stage_at
from synthworth.generators.stylegan import layers_at
from synthworth.generators.training import batch_rows

GROWTH = [
    {"resolution": 8, "steps": 4, "batch_size": 8, "learning_rate": 1e-3},
    {"resolution": 16, "steps": 4, "batch_size": 8, "learning_rate": 2e-3},
    {"resolution": 32, "steps": None, "batch_size": 4, "learning_rate": 5e-4},
]
SETTINGS = CONTRACT["gan"] | {"growth": GROWTH, "fade": 0.5, "size": 32}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def pixels(channels=1):
    return np.random.default_rng(0).integers(0, 256, (10, 32, 32, channels), dtype=np.uint8)


def build(state=None, channels=1, growth=GROWTH, **training):
    settings = SETTINGS | {"growth": growth, "training": SETTINGS["training"] | training}
    data = TrainingSet(pixels(channels), np.arange(10), ["viral"] * 10, [""] * 10)
    return gan.build(data, settings, 7, state)


def conditions(*indices):
    return pd.DataFrame({"index": indices, "class": "viral", "seed": [index + 1000 for index in indices]})


def draw(folder, *indices, batch_size=8, size=32, **sampling):
    settings = {"size": size, "channels": 1, "sampling": SETTINGS["sampling"] | sampling}
    return np.concatenate(list(gan.sample(folder, conditions(*indices), settings, batch_size)))


def checkpoint(trainer, folder):
    trainer.save_checkpoint(folder)
    return folder


def state_of(trainer):
    """All tensors of a trainer's networks and optimisers."""
    tensors = {}
    for name in ("generator", "critic", "average"):
        tensors |= {f"{name}.{key}": tensor for key, tensor in getattr(trainer, name).state_dict().items()}
    for name in ("generator_optimizer", "critic_optimizer"):
        for index, entry in getattr(trainer, name).state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": tensor for key, tensor in entry.items()}
    return tensors


# Growth


def test_the_stage_is_a_function_of_the_step():
    found = [stage_at(GROWTH, 0.5, step) for step in (0, 3, 4, 5, 6, 7, 8, 9, 10, 1000)]
    assert [stage.resolution for stage in found] == [8, 8, 16, 16, 16, 16, 32, 32, 32, 32]
    assert [stage.alpha for stage in found] == [1, 1, 0, 0.5, 1, 1, 0, 0.5, 1, 1]
    assert [stage.batch_size for stage in found] == [8] * 6 + [4] * 4
    assert [stage.learning_rate for stage in found] == [1e-3] * 2 + [2e-3] * 4 + [5e-4] * 4


def test_without_fading_new_layers_count_at_once():
    assert {stage_at(GROWTH, 0.0, step).alpha for step in range(20)} == {1.0}
    assert stage_at(GROWTH[2:], 0.5, 0) == Stage(32, 1.0, 4, 5e-4)


def test_learning_rates_are_the_stages_and_the_mapping_networks_lower():
    trainer = build()
    rates = []
    for step in (4, 5, 9):
        gan.advance(trainer, step)
        groups = [*trainer.generator_optimizer.param_groups, *trainer.critic_optimizer.param_groups]
        rates.append([group["lr"] for group in groups])
    assert rates == [pytest.approx([rate, rate * 0.01, rate]) for rate in (1e-3, 2e-3, 5e-4)]
    mapping = {id(weight) for weight in trainer.generator.mapping.parameters()}
    synthesis, lowered = (
        {id(weight) for weight in group["params"]} for group in trainer.generator_optimizer.param_groups
    )
    assert lowered == mapping
    assert synthesis | mapping == {id(weight) for weight in trainer.generator.parameters()}


def test_real_images_are_blended_while_layers_fade_in():
    trainer = build()
    rows, flip = np.arange(4), torch.zeros(4, dtype=torch.bool)
    scaled = torch.from_numpy(pixels()[:4]).permute(0, 3, 1, 2) / 127.5 - 1
    coarse = scaled.unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5))
    fine = scaled.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    doubled = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for alpha, expected in ((1.0, fine), (0.25, 0.75 * doubled + 0.25 * fine)):
        torch.testing.assert_close(_real_images(trainer, Stage(16, alpha, 4, 1e-3), rows, flip), expected)


def test_flips_mirror_real_images_where_the_config_says_so():
    rows, flip, stage = np.arange(2), torch.tensor([True, False]), Stage(32, 1.0, 4, 1e-3)
    plain = _real_images(build(), stage, rows, flip)
    mirrored = _real_images(build(horizontal_flip=True), stage, rows, flip)
    torch.testing.assert_close(mirrored, torch.stack([plain[0].flip(2), plain[1]]))


# Losses


def test_the_penalty_of_a_linear_critic():
    # Its gradient is its weights, everywhere.
    weights = torch.randn(3, 4, 4)
    real, fake = torch.randn(2, 6, 3, 4, 4)
    penalty = gradient_penalty(lambda images: (images * weights).sum(dim=(1, 2, 3)), real, fake, torch.rand(6))
    torch.testing.assert_close(penalty, (weights.norm() - 1.0) ** 2)


def test_the_penalty_is_taken_between_real_and_fake():
    # The gradient of |x|^2 / 2 is x itself.
    real, fake = torch.randn(2, 6, 3, 4, 4)
    blend = torch.linspace(0, 1, 6)
    penalty = gradient_penalty(lambda images: images.square().sum(dim=(1, 2, 3)) / 2, real, fake, blend)
    points = real + blend[:, None, None, None] * (fake - real)
    torch.testing.assert_close(penalty, (points.flatten(1).norm(dim=1) - 1.0).square().mean())


def test_the_penalty_has_a_gradient():
    weights = torch.tensor([3.0, 4.0], requires_grad=True)
    real, fake = torch.randn(2, 5, 2, 1, 1)
    gradient_penalty(lambda images: images.flatten(1) @ weights, real, fake, torch.rand(5)).backward()
    # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|.
    torch.testing.assert_close(weights.grad, 2 * 4.0 * torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("policy", [[], ["color", "translation", "cutout"]])
def test_the_losses_are_those_of_the_papers(policy):
    trainer = build(augmentation=policy)
    rows, stage = np.arange(8), Stage(8, 1.0, 8, 1e-3)
    draws = _draw(trainer, stage, 0)

    def generated(inputs):
        return trainer.generator(inputs.latents, inputs.crossover, inputs.noise, 8, 1.0)

    def score(images):
        return trainer.critic(images, 8, 1.0)

    real = augment(_real_images(trainer, stage, rows, draws.flip), draws.real_augmentation, policy)
    fake = augment(generated(draws.critic_inputs).detach(), draws.fake_augmentation, policy)
    expected = (
        score(fake).mean()
        - score(real).mean()
        + 10.0 * gradient_penalty(score, real, fake, draws.blend)
        + 1e-3 * score(real).square().mean()
    )
    torch.testing.assert_close(_critic_loss(trainer, stage, rows, draws, slice(0, 8)), expected)
    seen = augment(generated(draws.generator_inputs), draws.generator_augmentation, policy)
    torch.testing.assert_close(_generator_loss(trainer, stage, draws, slice(0, 8)), -score(seen).mean())


def test_styles_are_mixed_for_a_share_of_the_images():
    stage = Stage(32, 1.0, 400, 1e-3)
    mixed = _draw(build(style_mixing=0.9), stage, 0).critic_inputs.crossover
    layers = layers_at(32)
    assert (mixed < layers).float().mean().item() == pytest.approx(0.9, abs=0.05)
    assert set(mixed.tolist()) == set(range(1, layers + 1))
    assert set(_draw(build(style_mixing=0.0), stage, 0).critic_inputs.crossover.tolist()) == {layers}


# Training


def test_the_average_after_some_steps_is_the_closed_form():
    model = torch.nn.Linear(2, 1)
    average = copy.deepcopy(model)
    first = model.weight.detach().clone()
    values = [torch.full((1, 2), float(step)) for step in range(1, 6)]
    for value in values:
        with torch.no_grad():
            model.weight.copy_(value)
        move_average(average, model, decay=0.9)
    expected = 0.9**5 * first + sum(0.1 * 0.9 ** (4 - step) * value for step, value in enumerate(values))
    torch.testing.assert_close(average.weight, expected)


@pytest.mark.parametrize("stop", [4, 9])
def test_a_resumed_training_is_the_same_bit_for_bit(stop, tmp_path):
    # Where the first stage ends, and while the layers of the last fade in.
    whole = build()
    gan.advance(whole, 11)
    first = build()
    gan.advance(first, stop)
    first.save_state(tmp_path / "state.safetensors")
    second = build(tmp_path / "state.safetensors")
    assert second.step == stop
    gan.advance(second, 11)
    expected, found = state_of(whole), state_of(second)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_portions_of_a_batch_give_the_same_training():
    one, other = build(), build(micro_batch_size=4)
    for trainer in (one, other):
        gan.advance(trainer, 3)
    assert one.losses == pytest.approx(other.losses, rel=1e-5)
    for weight, twin in zip(one.generator.parameters(), other.generator.parameters(), strict=True):
        torch.testing.assert_close(weight, twin, rtol=0, atol=1e-5)


def test_the_generators_step_leaves_the_critic_alone():
    one, other = build(), build()
    gan.advance(one, 1)
    stage, draws = other.stage(0), _draw(other, other.stage(0), 0)
    rows = batch_rows(7, 0, 8, 10)
    _descend(other, other.critic_optimizer, stage, partial(_critic_loss, other, stage, rows, draws))
    for weight, twin in zip(one.critic.parameters(), other.critic.parameters(), strict=True):
        assert torch.equal(weight, twin)
        assert weight.requires_grad
        assert (weight.grad is None) == (twin.grad is None)
        assert weight.grad is None or torch.equal(weight.grad, twin.grad)


def test_divergence_stops_the_training():
    trainer = build()
    with torch.no_grad():
        trainer.generator.constant.fill_(float("nan"))
    with pytest.raises(StudyError, match="diverged"):
        gan.advance(trainer, 1)


# Checkpoints and sampling


def test_a_checkpoint_holds_the_average_and_how_far_it_has_grown(tmp_path):
    trainer = build()
    gan.advance(trainer, 6)
    folder = checkpoint(trainer, tmp_path / "step-6")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "generator.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    # Of the last step that was taken, the sixth.
    assert (config["resolution"], config["alpha"]) == (16, 0.5)
    weights = load_file(folder / "generator.safetensors")
    assert torch.equal(weights["constant"], trainer.average.constant)
    assert not torch.equal(weights["constant"], trainer.generator.constant)
    assert weights.keys() == trainer.average.state_dict().keys()


@pytest.mark.parametrize(("step", "resolution"), [(0, 8), (4, 8), (8, 16), (9, 32)])
def test_images_of_all_resolutions_have_the_size_that_is_asked_for(step, resolution, tmp_path):
    trainer = build()
    gan.advance(trainer, step)
    images = draw(checkpoint(trainer, tmp_path / "a"), 0, 1)
    assert images.shape == (2, 32, 32, 1)
    # Pixels of coarser images are repeated, and those of no image are by chance the same.
    repeats = 32 // (resolution // 2 if step == 9 else resolution)
    squares = images.reshape(2, 32 // repeats, repeats, 32 // repeats, repeats)
    assert np.ptp(squares, axis=(2, 4)).max() == 0


def test_an_image_hangs_on_its_seed_alone(tmp_path):
    trainer = build(channels=3)
    gan.advance(trainer, 12)
    folder = checkpoint(trainer, tmp_path / "a")
    together = draw(folder, 0, 1, 2, 3, 4, batch_size=3)
    alone = draw(folder, 4, 2, batch_size=1)
    assert together.shape == (5, 32, 32, 3)
    assert together.dtype == np.uint8
    assert np.abs(together[[4, 2]].astype(int) - alone).max() <= 1
    assert np.abs(together[4].astype(int) - together[2]).mean() > 2


def test_truncation_draws_styles_to_the_mean(tmp_path):
    trainer = build()
    # Noise has no weight yet: images differ by their styles alone.
    folder = checkpoint(trainer, tmp_path / "a")
    whole, half, none = (draw(folder, *range(6), truncation=share).astype(float) for share in (None, 0.5, 0.0))
    assert np.abs(none - none[:1]).max() <= 1
    assert half.std(axis=0).mean() < 0.9 * whole.std(axis=0).mean()
    np.testing.assert_allclose(draw(folder, 0, 1, truncation=1.0), whole[:2], atol=1)
    # Half way between the whole style and the mean one.
    style = trainer.average.styles(torch.randn(4096, 8, generator=torch.Generator().manual_seed(0))).mean(dim=0)
    torch.testing.assert_close(load_file(folder / "generator.safetensors")["mean_style"], style)


def test_half_precision_draws_nearly_the_same_images(tmp_path):
    trainer = build()
    gan.advance(trainer, 12)
    folder = checkpoint(trainer, tmp_path / "a")
    full = draw(folder, 0, 1).astype(int)
    half = draw(folder, 0, 1, mixed_precision="bf16")
    assert 0 < np.abs(full - half).mean() < 4
