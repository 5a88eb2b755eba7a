import numpy as np
import pytest
import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from test_generators import SETTINGS

from synthworth.errors import StudyError
from synthworth.generators import ddpm
from synthworth.generators.diffusion import advance, batch_rows, learning_rate_factor


def test_an_epoch_shows_every_image_once_and_epochs_differ():
    rows = np.concatenate([batch_rows(5, step, batch_size=4, images=10) for step in range(5)])
    first, second = rows[:10], rows[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_a_batch_is_a_function_of_seed_and_step():
    np.testing.assert_array_equal(batch_rows(5, 3, 4, 10), batch_rows(5, 3, 4, 10))
    assert list(batch_rows(6, 3, 4, 10)) != list(batch_rows(5, 3, 4, 10))


def test_the_cosine_is_that_of_diffusers():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=5, num_training_steps=40)
    factor = learning_rate_factor("cosine", 5, 40)
    for step in range(40):
        assert factor(step) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        reference.step()


def test_past_its_end_the_cosine_stays_at_zero():
    factor = learning_rate_factor("cosine", 5, 40)
    assert factor(40) == factor(60) == pytest.approx(0.0)


def test_a_constant_rate_rises_first():
    assert [learning_rate_factor("constant", 4, 10)(step) for step in (0, 2, 4, 99)] == [0.0, 0.5, 1.0, 1.0]


def test_the_loss_falls():
    images = np.full((8, 16, 16, 1), 200, np.uint8)
    training = SETTINGS["ddpm"]["training"] | {"schedule_steps": 120, "learning_rate": 2e-3}
    trainer = ddpm.build(images, ["viral"] * 8, SETTINGS["ddpm"] | {"training": training}, 1, None)
    advance(trainer, 100)
    assert len(trainer.losses) == 2
    assert trainer.losses[1] < 0.7 * trainer.losses[0]


def test_divergence_stops_the_training_with_the_key_to_turn():
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)
    trainer = ddpm.build(images, ["viral"] * 8, SETTINGS["ddpm"], 1, None)
    with torch.no_grad():
        next(iter(trainer.model.parameters())).fill_(float("nan"))
    with pytest.raises(StudyError, match="diverged") as error:
        advance(trainer, 1)
    assert "training.learning_rate" in str(error.value)
