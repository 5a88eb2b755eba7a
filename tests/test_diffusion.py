import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.optimization import get_cosine_schedule_with_warmup
from test_generators import SETTINGS

from synthworth import seeds
from synthworth.errors import StudyError
from synthworth.generators import TrainingSet, ddpm
from synthworth.generators.diffusion import SAMPLERS, _gradients, advance, learning_rate_factor, sampler
from synthworth.generators.training import batch_rows

NOISY = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def trainer(images=NOISY, state=None, noise=None, **changes):
    data = TrainingSet(images, np.arange(len(images)), ["viral"] * len(images), [""] * len(images))
    training = SETTINGS["ddpm"]["training"] | changes
    settings = SETTINGS["ddpm"] | {"training": training} | ({"noise": noise} if noise else {})
    return ddpm.build(data, settings, 1, state)


def weights(trained):
    return [parameter.detach().clone() for parameter in trained.trained().values()]


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
    assert [learning_rate_factor("constant", 4, None)(step) for step in (0, 2, 4, 99)] == [0.0, 0.5, 1.0, 1.0]


def test_the_loss_falls():
    trained = trainer(np.full((8, 16, 16, 1), 200, np.uint8), schedule_steps=120, learning_rate=2e-3)
    advance(trained, 100)
    assert len(trained.losses) == 2
    assert trained.losses[1] < 0.7 * trained.losses[0]


def test_divergence_stops_the_training_with_the_key_to_turn():
    trained = trainer()
    with torch.no_grad():
        next(iter(trained.model.parameters())).fill_(float("nan"))
    with pytest.raises(StudyError, match="diverged") as error:
        advance(trained, 1)
    assert "training.learning_rate" in str(error.value)
    assert "training.mixed_precision" in str(error.value)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_step_is_that_of_the_plain_formula(prediction):
    """The loss of Ho et al. 2020 and AdamW's update, written out with the same weights, batch, noise and timesteps."""
    noise = {"training_steps": 50, "beta_schedule": "linear", "prediction": prediction}
    constant = {"schedule": "constant", "warmup_steps": 0}
    ours = trainer(noise=noise, **constant)
    reference = trainer(noise=noise, **constant).model

    rows = batch_rows(1, 0, 4, len(NOISY))
    generator = torch.Generator().manual_seed(seeds.seed(1, "noise", 0))
    clean = torch.tensor(NOISY[rows]).permute(0, 3, 1, 2) / 127.5 - 1
    epsilon = torch.randn(clean.shape, generator=generator)
    timesteps = torch.randint(0, 50, (4,), generator=generator)
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 50), 0)[timesteps].view(-1, 1, 1, 1)
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * epsilon
    target = {
        "epsilon": epsilon,
        "v_prediction": kept.sqrt() * epsilon - (1 - kept).sqrt() * clean,
        "sample": clean,
    }[prediction]
    loss = ((reference(noisy, timesteps).sample - target) ** 2).mean()
    optimizer = torch.optim.AdamW(
        reference.parameters(), lr=1e-3, betas=(0.95, 0.999), eps=1e-8, weight_decay=1e-6, fused=False
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
    optimizer.step()

    advance(ours, 1)
    assert ours.losses == [pytest.approx(loss.item(), rel=1e-6)]
    for mine, theirs in zip(ours.trained().values(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_accumulation_gives_the_gradient_of_the_whole_batch():
    gradients = []
    for slices in ([slice(0, 4)], [slice(i, i + 1) for i in range(4)]):
        trained = trainer()
        loss = _gradients(trained, 0, slices)
        flat = torch.cat([parameter.grad.flatten() for parameter in trained.trained().values()])
        gradients.append((loss.item(), flat))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-5)
    difference = (gradients[0][1] - gradients[1][1]).norm() / gradients[0][1].norm()
    assert difference < 1e-5


def test_out_of_memory_trains_on_with_half_the_images_at_once(capsys):
    plain, starved = trainer(), trainer()
    original = starved.loss

    def loss(model, rows, generator, share):
        if share.stop - share.start > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(model, rows, generator, share)

    starved.loss = loss
    advance(plain, 1)
    advance(starved, 1)
    assert starved.losses == pytest.approx(plain.losses, rel=1e-5)
    assert "going on with 2 images at once" in capsys.readouterr().out


def test_checkpointing_turns_itself_on_last(capsys):
    starved = trainer(batch_size=1)
    original = starved.loss

    def loss(model, rows, generator, share):
        if not starved.model.is_gradient_checkpointing:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(model, rows, generator, share)

    starved.loss = loss
    advance(starved, 1)
    assert "Gradient checkpointing is on" in capsys.readouterr().out


def test_checkpointing_changes_no_gradient():
    kept, computed = trainer(), trainer(gradient_checkpointing=True)
    for trained in (kept, computed):
        _gradients(trained, 0, [slice(0, 4)])
    for one, other in zip(kept.trained().values(), computed.trained().values(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_averaged_weights_are_those_of_the_closed_form(tmp_path):
    """After n steps with decay d_k = min(d, (1 + k) / (10 + k)), as diffusers counts; and the checkpoint holds them."""
    plain, averaged = trainer(ema=None), trainer(ema=0.5)
    expected = weights(plain)
    for step in range(1, 5):
        advance(plain, step)
        # diffusers' EMAModel: its first step copies the weights.
        decay = min(0.5, step / (9 + step)) if step > 1 else 0.0
        now = weights(plain)
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, now, strict=True)]
    advance(averaged, 4)
    averaged.save_checkpoint(tmp_path / "checkpoint")
    saved = ddpm.UNet2DModel.from_pretrained(tmp_path / "checkpoint" / "unet")
    for one, other in zip(saved.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
    # Saving leaves the weights in training as they are.
    for one, other in zip(weights(averaged), weights(plain), strict=True):
        assert torch.equal(one, other)


def test_averaged_weights_are_resumed(tmp_path):
    whole, first = trainer(ema=0.5), trainer(ema=0.5)
    advance(whole, 4)
    advance(first, 2)
    first.save_state(tmp_path / "state.safetensors")
    second = trainer(ema=0.5, state=tmp_path / "state.safetensors")
    advance(second, 4)
    for one, other in zip(whole.ema.shadow_params, second.ema.shadow_params, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_the_noise_that_the_model_was_trained_with(name):
    trained = DDPMScheduler(num_train_timesteps=50, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    made = sampler(name, trained)
    assert made.config.num_train_timesteps == 50
    assert made.config.prediction_type == "v_prediction"
    torch.testing.assert_close(made.alphas_cumprod, trained.alphas_cumprod)
