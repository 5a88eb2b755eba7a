"""Fine-tuning, LoRA and DreamBooth against plain formulas, and what their checkpoints hold."""

import copy
import os

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file
from tiny_pipeline import tiny_pipeline
from transformers import CLIPTextModel, CLIPTokenizer

from synthworth import seeds
from synthworth.encodings import encode
from synthworth.errors import StudyError
from synthworth.generators import TrainingSet, dreambooth, finetune, lora
from synthworth.generators.stable_diffusion import LatentImages, embed_texts
from synthworth.generators.training import batch_rows

SEED = 7
CPU = torch.device("cpu")
PRIOR = {"images": 5, "prompt": "a lung", "weight": 0.7}
LORA = {"rank": 2, "alpha": 6, "targets": ["to_q", "to_k", "to_v", "to_out.0"]}
TRAINING = {
    "batch_size": 4,
    "micro_batch_size": None,
    "learning_rate": 1e-2,
    "betas": [0.9, 0.99],
    # As large as gradients: with a small one the first update is a mere sign, which rounding flips.
    "epsilon": 1e-3,
    "weight_decay": 0.1,
    "max_gradient_norm": 0.1,
    "schedule": "constant",
    "warmup_steps": 0,
    "schedule_steps": None,
    "ema": None,
    "gradient_checkpointing": False,
    "mixed_precision": "no",
}
SAMPLING = {"scheduler": "pndm", "steps": 4, "guidance_scale": 3.0, "mixed_precision": "no"}
METHODS = {"finetune": finetune, "lora": lora, "dreambooth": dreambooth}
EXTRA = {"finetune": {}, "lora": {"lora": LORA}, "dreambooth": {"prior": PRIOR}}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six images of a split of nine, a prior of five, and their base model."""
    folder = tmp_path_factory.mktemp("data")
    base = tiny_pipeline(folder / "base")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 1), dtype=np.uint8)
    encode(base, pixels, folder / "encodings.safetensors")
    encode(base, pixels[:5, ::-1].copy(), folder / "prior.safetensors")
    rows = np.array([1, 3, 4, 5, 7, 8])
    return TrainingSet(
        images=pixels[rows],
        rows=rows,
        classes=["viral", "healthy"] * 3,
        prompts=["an x-ray image, viral", "an x-ray image, healthy"] * 3,
        base=base,
        encodings=folder / "encodings.safetensors",
        prior=folder / "prior.safetensors",
    )


def build(name, data, **training):
    return METHODS[name].build(data, EXTRA[name] | {"training": TRAINING | training}, SEED, None)


def trained(name, data, folder, steps=3, **training):
    trainer = build(name, data, **training)
    METHODS[name].advance(trainer, steps)
    trainer.save_checkpoint(folder)
    return folder


def conditions(prompts=("an x-ray image, viral", "a lung", "an x-ray image, viral"), first=100):
    return pd.DataFrame({"prompt": prompts, "seed": range(first, first + len(prompts))})


def sample(name, checkpoint, rows=None, channels=3, batch_size=2, **sampling):
    settings = {"size": 32, "channels": channels, "sampling": SAMPLING | sampling}
    rows = conditions() if rows is None else rows
    return np.concatenate(list(METHODS[name].sample(checkpoint, rows, settings, batch_size))).astype(int)


# The plain formulas.


def reference_draw(data, encodings, rows, prompts, generator):
    """What the formula needs of some images: noisy latents, noise, timesteps and the prompts' embeddings."""
    posterior = load_file(encodings)
    deviation = torch.randn(len(rows), 4, 8, 8, generator=generator)
    noise = torch.randn(len(rows), 4, 8, 8, generator=generator)
    timesteps = torch.randint(0, 1000, (len(rows),), generator=generator)
    latents = 0.18215 * torch.stack(
        [posterior["mean"][row] + posterior["std"][row] * deviation[place] for place, row in enumerate(rows)]
    )
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = torch.cumprod(1 - betas, dim=0)[timesteps].reshape(-1, 1, 1, 1)
    noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
    tokens = CLIPTokenizer.from_pretrained(data.base / "tokenizer")(
        prompts, padding="max_length", max_length=16, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        texts = CLIPTextModel.from_pretrained(data.base / "text_encoder")(tokens.input_ids).last_hidden_state
    return noisy, noise, timesteps, texts


def reference_loss(name, data, unet):
    """The loss of the first step's batch; `unet(noisy, timesteps, texts)` predicts the noise."""
    generator = torch.Generator().manual_seed(seeds.seed(SEED, "noise", 0))
    rows = batch_rows(SEED, 0, 4, 6)
    noisy, noise, timesteps, texts = reference_draw(
        data, data.encodings, data.rows[rows], [data.prompts[row] for row in rows], generator
    )
    loss = ((unet(noisy, timesteps, texts) - noise) ** 2).mean()
    if name == "dreambooth":
        rows = torch.randint(0, 5, (4,), generator=generator).tolist()
        noisy, noise, timesteps, texts = reference_draw(data, data.prior, rows, ["a lung"] * 4, generator)
        loss = loss + 0.7 * ((unet(noisy, timesteps, texts) - noise) ** 2).mean()
    return loss


def reference_update(parameters):
    """The first step of AdamW (Loshchilov & Hutter 2019) after the gradients were clipped by their norm."""
    norm = torch.sqrt(sum((parameter.grad**2).sum() for parameter in parameters.values()))
    assert norm > TRAINING["max_gradient_norm"]
    updated = {}
    for name, parameter in parameters.items():
        gradient = parameter.grad * TRAINING["max_gradient_norm"] / norm
        decayed = parameter.detach() * (1 - TRAINING["learning_rate"] * TRAINING["weight_decay"])
        # At the first step both moments, freed of their bias, are those of this gradient.
        updated[name] = decayed - TRAINING["learning_rate"] * gradient / (gradient.abs() + TRAINING["epsilon"])
    return updated


def assert_step(name, trainer, loss, parameters):
    loss.backward()
    METHODS[name].advance(trainer, 1)
    assert trainer.losses == [pytest.approx(loss.item(), rel=1e-5)]
    now = trainer.trained()
    assert now.keys() == parameters.keys()
    for key, expected in reference_update(parameters).items():
        torch.testing.assert_close(now[key].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["finetune", "dreambooth"])
def test_a_step_is_that_of_the_formula(data, name):
    unet = UNet2DConditionModel.from_pretrained(data.base / "unet")
    loss = reference_loss(name, data, lambda noisy, timesteps, texts: unet(noisy, timesteps, texts).sample)
    assert_step(name, build(name, data), loss, dict(unet.named_parameters()))


def test_lora_names_the_layers_that_there_are(data):
    with pytest.raises(StudyError, match=r"no layer is named to_zz; there are .*to_out\.0, to_q"):
        lora.build(data, {"training": TRAINING, "lora": LORA | {"targets": ["to_q", "to_zz"]}}, 1, None)


def test_a_step_of_lora_is_that_of_the_formula(data):
    trainer = build("lora", data)
    generator = torch.Generator().manual_seed(1)
    for key, parameter in trainer.trained().items():
        # One of the two matrices starts at zero, which would hide the other's gradient.
        if "lora_B" in key:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    factors = {key: value.detach().clone().requires_grad_() for key, value in trainer.trained().items()}
    unet = UNet2DConditionModel.from_pretrained(data.base / "unet").requires_grad_(False)
    weights = dict(unet.named_parameters())
    for key, down in factors.items():
        if "lora_A" in key:
            up = factors[key.replace("lora_A", "lora_B")]
            name = key.replace(".lora_A.default", "")
            weights[name] = weights[name] + LORA["alpha"] / LORA["rank"] * up @ down
    # Three projections and one output in each attention: of images to themselves and to the text.
    assert len(factors) == 2 * 4 * sum(key.endswith("to_q.weight") for key in weights)

    def predict(noisy, timesteps, texts):
        return torch.func.functional_call(unet, weights, (noisy, timesteps, texts)).sample

    assert_step("lora", trainer, reference_loss("lora", data, predict), factors)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_four_and_four_of_one_give_the_same_gradient(data, name):
    gradients = []
    for size in (None, 1):
        trainer = build(name, data, micro_batch_size=size)
        METHODS[name].advance(trainer, 1)
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in trainer.trained().values()]))
    assert (gradients[0] - gradients[1]).norm() < 1e-5 * gradients[0].norm()


@pytest.mark.parametrize("name", METHODS)
def test_gradient_checkpointing_changes_no_gradient(data, name):
    gradients = []
    for checkpointing in (False, True):
        trainer = build(name, data, gradient_checkpointing=checkpointing)
        assert trainer.accelerator.unwrap_model(trainer.model).is_gradient_checkpointing == checkpointing
        METHODS[name].advance(trainer, 1)
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in trainer.trained().values()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_without_memory_for_one_image_gradients_are_checkpointed(data):
    trainer = build("finetune", data, micro_batch_size=1)
    loss = trainer.loss

    def hungry(model, *arguments):
        if not model.is_gradient_checkpointing:
            raise torch.OutOfMemoryError
        return loss(model, *arguments)

    trainer.loss = hungry
    finetune.advance(trainer, 1)
    assert trainer.step == 1


def test_without_a_prior_dreambooth_is_fine_tuning(data, tmp_path):
    plain = load_file(trained("finetune", data, tmp_path / "plain") / "unet/diffusion_pytorch_model.safetensors")
    trainer = dreambooth.build(data, {"training": TRAINING, "prior": None}, SEED, None)
    dreambooth.advance(trainer, 3)
    trainer.save_checkpoint(tmp_path / "off")
    off = load_file(tmp_path / "off/unet/diffusion_pytorch_model.safetensors")
    on = load_file(trained("dreambooth", data, tmp_path / "on") / "unet/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(plain[key], off[key]) for key in plain)
    assert not all(torch.equal(plain[key], on[key]) for key in plain)


def test_a_checkpoint_holds_the_averaged_weights(data, tmp_path):
    trainer = build("finetune", data, ema=0.3)
    average = {key: value.detach().clone() for key, value in trainer.trained().items()}
    for step in range(1, 6):
        finetune.advance(trainer, step)
        # diffusers' warm-up: the first step replaces the average, the decay then rises to its end.
        decay = 0.0 if step == 1 else min(step / (9 + step), 0.3)
        for key, value in trainer.trained().items():
            average[key] = decay * average[key] + (1 - decay) * value.detach()
    latest = {key: value.detach().clone() for key, value in trainer.trained().items()}
    trainer.save_checkpoint(tmp_path / "checkpoint")
    saved = load_file(tmp_path / "checkpoint/unet/diffusion_pytorch_model.safetensors")
    for key, expected in average.items():
        torch.testing.assert_close(saved[key], expected, rtol=1e-5, atol=1e-6)
    assert any((saved[key] - latest[key]).abs().max() > 1e-3 for key in saved)
    # The training goes on with its own weights.
    assert all(torch.equal(value, latest[key]) for key, value in trainer.trained().items())


def test_latents_are_drawn_anew_from_the_posterior_of_the_vae(data):
    images = LatentImages(data.base, data.encodings, data.rows, data.prompts, embedded(data), CPU)
    vae = AutoencoderKL.from_pretrained(data.base / "vae")
    pixels = torch.from_numpy(data.images[[2]]).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).float() / 127.5 - 1
    with torch.no_grad():
        posterior = vae.encode(pixels).latent_dist
    rows = np.full(20_000, 2)
    latents = images.batch(rows, torch.Generator().manual_seed(0), slice(0, 20_000), 1000)[0]
    # Five standard errors.
    torch.testing.assert_close(latents.mean(0) / 0.18215, posterior.mean[0], rtol=0, atol=5 * 1.2 / 20_000**0.5)
    torch.testing.assert_close(latents.std(0) / 0.18215, posterior.std[0], rtol=0.03, atol=0)
    other = images.batch(rows[:4], torch.Generator().manual_seed(1), slice(0, 4), 1000)[0]
    assert not torch.equal(latents[:4], other)


def test_a_share_of_a_batch_is_that_part_of_the_whole(data):
    images = LatentImages(data.base, data.encodings, data.rows, data.prompts, embedded(data), CPU)
    rows = np.array([5, 0, 3, 2])
    whole = images.batch(rows, torch.Generator().manual_seed(0), slice(0, 4), 1000)
    part = images.batch(rows, torch.Generator().manual_seed(0), slice(2, 4), 1000)
    assert all(torch.equal(one[2:], other) for one, other in zip(whole, part, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_training_needs_no_vae_and_keeps_no_text_encoder(data, name, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("the VAE was loaded")

    monkeypatch.setattr(AutoencoderKL, "from_pretrained", refuse)
    trainer = build(name, data)
    METHODS[name].advance(trainer, 1)
    networks = {type(thing) for thing in trainer.model.modules()}
    assert not networks & {AutoencoderKL, CLIPTextModel}


# Checkpoints.


@pytest.mark.parametrize("name", ["finetune", "dreambooth"])
def test_a_checkpoint_is_a_pipeline_that_draws_what_the_sampler_draws(data, name, tmp_path):
    checkpoint = trained(name, data, tmp_path / "checkpoint")
    drawn = sample(name, checkpoint)
    assert np.abs(drawn - plainly(StableDiffusionPipeline.from_pretrained(checkpoint))).max() <= 1
    assert np.abs(drawn - sample(name, data.base)).max() > 1


def test_a_lora_checkpoint_is_read_by_load_lora_weights(data, tmp_path):
    checkpoint = trained("lora", data, tmp_path / "checkpoint")
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    pipeline.load_lora_weights(checkpoint)
    drawn = sample("lora", checkpoint, scale=0.6)
    assert np.abs(drawn - plainly(pipeline, cross_attention_kwargs={"scale": 0.6})).max() <= 1
    assert np.abs(drawn - sample("lora", checkpoint, scale=1.0)).max() > 1


def test_what_lora_learnt_is_what_a_reader_gets(data, tmp_path):
    trainer = build("lora", data)
    lora.advance(trainer, 3)
    trainer.save_checkpoint(tmp_path / "checkpoint")
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "checkpoint")
    pipeline.load_lora_weights(tmp_path / "checkpoint")
    inputs = torch.ones(1, 4, 8, 8), torch.tensor(10), torch.ones(1, 16, 16)
    with torch.no_grad():
        learnt, read = (unet.eval()(*inputs).sample for unet in (trainer.model, pipeline.unet))
    torch.testing.assert_close(learnt, read)


def test_lora_leaves_the_base_and_at_scale_0_its_images(data, tmp_path):
    file = data.base / "unet/diffusion_pytorch_model.safetensors"
    before = file.read_bytes()
    trainer = build("lora", data)
    lora.advance(trainer, 3)
    trainer.save_checkpoint(tmp_path / "checkpoint")
    after = {key: value for key, value in trainer.model.state_dict().items() if "lora_" not in key}
    stored = load_file(file)
    assert len(after) == len(stored)
    assert all(torch.equal(value, stored[key.replace(".base_layer", "")]) for key, value in after.items())
    assert file.read_bytes() == before
    np.testing.assert_array_equal(sample("lora", tmp_path / "checkpoint", scale=0.0), sample("finetune", data.base))
    assert np.abs(sample("lora", tmp_path / "checkpoint", scale=1.0) - sample("finetune", data.base)).max() > 1


def test_the_state_of_a_lora_training_is_small(data, tmp_path):
    for name in ("lora", "finetune"):
        build(name, data).save_state(tmp_path / name)
    assert (tmp_path / "lora").stat().st_size < 0.3 * (tmp_path / "finetune").stat().st_size


@pytest.mark.parametrize("name", METHODS)
def test_frozen_parts_of_a_checkpoint_take_no_room(data, name, tmp_path):
    checkpoint = trained(name, data, tmp_path / "checkpoint", steps=1)
    own = [
        str(file.relative_to(checkpoint))
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file()
        and not ((other := data.base / file.relative_to(checkpoint)).exists() and file.samefile(other))
    ]
    unet = ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"]
    assert own == {"lora": ["pytorch_lora_weights.safetensors"]}.get(name, unet)


@pytest.mark.parametrize("name", METHODS)
def test_snakemakes_timestamp_of_the_base_is_not_shared(data, name, tmp_path):
    (data.base / ".snakemake_timestamp").touch()
    assert not (trained(name, data, tmp_path / "checkpoint", steps=0) / ".snakemake_timestamp").exists()


def test_where_files_cannot_be_linked_they_are_copied(data, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    checkpoint = trained("lora", data, tmp_path / "checkpoint", steps=1)
    assert (checkpoint / "unet/diffusion_pytorch_model.safetensors").stat().st_nlink == 1
    assert len(sample("lora", checkpoint, scale=1.0)) == 3


def test_a_seed_gives_the_first_weights_of_lora(data):
    settings = {"training": TRAINING, "lora": LORA}
    first, same, other = (lora.build(data, settings, seed, None).trained() for seed in (1, 1, 2))
    key = next(key for key in first if "lora_A" in key)
    assert torch.equal(first[key], same[key])
    assert not torch.equal(first[key], other[key])
    # Deviation 1 / rank.
    values = torch.cat([value.detach().flatten() for key, value in first.items() if "lora_A" in key])
    assert values.std() == pytest.approx(0.5, rel=0.15)


def embedded(data):
    return embed_texts(data.base, data.prompts, CPU)


def plainly(pipeline, rows=None, **keywords):
    """What a pipeline draws, called image by image as a user would."""
    rows = conditions() if rows is None else rows
    pipeline.set_progress_bar_config(disable=True)
    images = [
        pipeline(
            row.prompt,
            num_inference_steps=4,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(row.seed),
            **keywords,
        ).images[0]
        for row in rows.itertuples()
    ]
    return np.stack([np.asarray(image) for image in images]).astype(int)


def test_settings_are_not_changed(data):
    settings = copy.deepcopy(TRAINING)
    finetune.build(data, {"training": settings}, SEED, None)
    assert settings == TRAINING
