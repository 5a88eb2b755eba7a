import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from synthworth.base_models import fetch_base_model
from synthworth.errors import StudyError
from synthworth.phantoms import PATTERNS, draw_phantom, sample_anatomy, sample_exposure, sample_pathology
from synthworth.tiny_base_model import train_base_model

SIZE = 16
TEXT_ENCODER = {
    "words": ["an X-ray image of the lung"],
    "tokens": 32,
    "hidden_size": 32,
    "layers": 1,
    "heads": 2,
    "weight_scale": 3.0,
    "output_scale": 3.0,
}
VAE = {
    "block_out_channels": [16, 16],
    "latent_channels": 4,
    "edge_weight": 10.0,
    "divergence_weight": 1e-6,
    "steps": 160,
    "batch_size": 8,
    "learning_rate": 4e-3,
}
UNET = {
    "block_out_channels": [32, 32],
    "attention_heads": 2,
    "prediction": "v_prediction",
    "caption_dropout": 0.1,
    "steps": 120,
    "batch_size": 8,
    "learning_rate": 3e-3,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Phantoms of two classes, as an array file of grey images."""
    generator = np.random.default_rng(0)
    phantoms = [
        draw_phantom(
            sample_anatomy(generator, 50, "M"),
            sample_pathology(generator, PATTERNS[name]),
            sample_exposure(generator),
            SIZE,
        )
        for name in ["healthy", "bacterial"] * 10
    ]
    file = tmp_path_factory.mktemp("split") / "images.npy"
    np.save(file, np.stack(phantoms)[..., None])
    return file


def train(images, output, seed=1, vae=None, unet=None, **changes):
    settings = {
        "pictures": 60,
        "text_encoder": TEXT_ENCODER,
        "vae": VAE | (vae or {}),
        "unet": UNET | (unet or {}),
    }
    train_base_model(str(images), str(output), seed=seed, **settings | changes)
    return output


@pytest.fixture(scope="module")
def base(images, tmp_path_factory):
    torch.set_num_threads(1)
    return train(images, tmp_path_factory.mktemp("base") / "pipeline")


def weights(folder):
    files = sorted(Path(folder).rglob("*.safetensors"))
    return {f"{file.parent.name}.{name}": value for file in files for name, value in load_file(file).items()}


def test_it_is_a_stable_diffusion_pipeline(base):
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None, local_files_only=True)
    assert type(pipeline.tokenizer) is CLIPTokenizer
    assert type(pipeline.text_encoder) is CLIPTextModel
    assert type(pipeline.vae) is AutoencoderKL
    assert type(pipeline.unet) is UNet2DConditionModel
    assert type(pipeline.scheduler) is PNDMScheduler
    schedule = pipeline.scheduler.config
    assert (schedule.beta_schedule, schedule.beta_start, schedule.beta_end) == ("scaled_linear", 0.00085, 0.012)
    assert (schedule.steps_offset, schedule.skip_prk_steps, schedule.prediction_type) == (1, True, "v_prediction")
    assert pipeline.unet.config.sample_size * pipeline.vae_scale_factor == SIZE
    assert not list(base.rglob("*.bin")), "weights are safetensors"


def test_it_is_taken_as_a_base_model(base, tmp_path):
    fetch_base_model(str(base), tmp_path / "copy", "base_models.phantom")
    assert weights(tmp_path / "copy").keys() == weights(base).keys()


def test_the_vae_gives_images_back(base, images):
    vae = AutoencoderKL.from_pretrained(base / "vae")
    pixels = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()
        errors = (vae.decode(latents).sample - pixels).abs().mean()
    assert errors < 0.5 * (pixels - pixels.mean(0)).abs().mean()
    # The pictures' latents have variance 1; those of the images alone, not far from it.
    assert 0.5 < (latents * vae.config.scaling_factor).std() < 2


def test_words_of_captions_matter_and_guide(base):
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)

    def brightness(exposure):
        drawn = pipeline(
            [f"a {exposure} picture, without spots"] * 6,
            num_inference_steps=8,
            guidance_scale=2.0,
            generator=torch.Generator().manual_seed(1),
            output_type="np",
        ).images
        return drawn.mean(axis=(1, 2, 3))

    dark, clear, pale = (brightness(name) for name in ("dark", "clear", "pale"))
    assert dark.max() < clear.min()
    assert clear.max() < pale.min()


def test_it_is_a_function_of_images_settings_and_seed(images, tmp_path):
    few = {"vae": {"steps": 4}, "unet": {"steps": 4}}
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    one = train(images, tmp_path / "one", **few)
    assert torch.random.get_rng_state().equal(before)
    torch.manual_seed(456)
    again, other = train(images, tmp_path / "again", **few), train(images, tmp_path / "other", seed=2, **few)
    assert (one / "vae/config.json").read_text() == (again / "vae/config.json").read_text()
    first, second, third = weights(one), weights(again), weights(other)
    assert first.keys() == second.keys() == third.keys()
    for name, value in first.items():
        assert value.equal(second[name]), name
    for part in ("text_encoder.", "vae.", "unet."):
        assert any(not first[name].equal(third[name]) for name in first if name.startswith(part)), part


def test_images_may_be_in_colour_and_the_network_may_predict_noise(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8))
    unet = {"steps": 2, "prediction": "epsilon"}
    folder = train(tmp_path / "images.npy", tmp_path / "base", vae={"steps": 2}, unet=unet, pictures=5)
    assert json.loads((folder / "scheduler/scheduler_config.json").read_text())["prediction_type"] == "epsilon"


@pytest.mark.parametrize("size", [18, 4])
def test_a_size_that_does_not_fit_is_named(tmp_path, size):
    np.save(tmp_path / "images.npy", np.zeros((3, size, size, 1), np.uint8))
    with pytest.raises(StudyError, match=rf"dataset.size is {size}: .* multiple of 4 from 8 on"):
        train(tmp_path / "images.npy", tmp_path / "base")
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_training_that_diverges_names_what_to_lower(images, tmp_path, part):
    changes = {"vae": {"steps": 2}, "unet": {"steps": 2}}
    changes[part] = {"steps": 10, "learning_rate": 1e6}
    with pytest.raises(StudyError, match=rf"{part} diverged(?s:.*)`{part}.learning_rate`"):
        train(images, tmp_path / "base", **changes)
    assert not (tmp_path / "base").exists()
