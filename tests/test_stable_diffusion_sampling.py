import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from tiny_pipeline import tiny_pipeline

from synthworth.generators.diffusion import SAMPLERS
from synthworth.generators.stable_diffusion_sampling import draw, embed_prompts

SAMPLING = {"scheduler": "pndm", "steps": 5, "guidance_scale": 3.0, "mixed_precision": "no"}
ROWS = pd.DataFrame({"prompt": ["an x-ray, viral", "healthy", "an x-ray, viral"], "seed": [3, 1, 2]})
CLASSES = {
    "pndm": diffusers.PNDMScheduler,
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "dpmsolver++": diffusers.DPMSolverMultistepScheduler,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


def images(base, rows=ROWS, channels=3, batch_size=8, size=32, **sampling):
    settings = {"size": size, "channels": channels, "sampling": SAMPLING | sampling}
    return np.concatenate(list(draw(base, rows, settings, batch_size))).astype(int)


@pytest.mark.parametrize("scheduler", SAMPLERS)
def test_images_are_those_of_the_pipeline_alone_whatever_their_batch(base, scheduler):
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    # Latents have no bounds to clip at.
    pipeline.scheduler = CLASSES[scheduler].from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    alone = [
        pipeline(
            row.prompt,
            num_inference_steps=5,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(row.seed),
            output_type="np",
        ).images[0]
        for row in ROWS.itertuples()
    ]
    for batch_size in (1, 2, 3):
        drawn = images(base, batch_size=batch_size, scheduler=scheduler)
        assert np.abs(drawn / 255 - np.stack(alone)).max() < 0.5 / 255 + 1e-4


@pytest.mark.parametrize("scheduler", SAMPLERS)
def test_samplers_differ_and_seeds_matter(base, scheduler):
    drawn = images(base, scheduler=scheduler)
    assert np.abs(drawn[0] - drawn[2]).mean() > 5
    others = [images(base, scheduler=other) for other in SAMPLERS if other != scheduler]
    assert all(np.abs(drawn - other).max() > 1 for other in others)


def test_prompts_matter_and_more_so_with_guidance(base):
    pair = pd.DataFrame({"prompt": ["an x-ray, viral", "healthy"], "seed": [1, 1]})
    differences = [np.abs(np.diff(images(base, pair, guidance_scale=scale), axis=0)).mean() for scale in (1.0, 8.0)]
    assert 0 < differences[0] < differences[1]


def test_embeddings_are_those_of_the_pipeline(base, monkeypatch):
    prompts = ["an x-ray, viral", "healthy", "a prompt of far more than sixteen tokens, which is cut"]
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    expected = torch.cat([pipeline.encode_prompt(prompt, "cpu", 1, True)[0] for prompt in prompts])
    empty = pipeline.encode_prompt(prompts[0], "cpu", 1, True)[1]
    monkeypatch.setattr("synthworth.generators.stable_diffusion_sampling.PROMPTS_PER_BATCH", 2)
    embedded = embed_prompts(base, [*prompts, ""], "cpu")
    torch.testing.assert_close(embedded, torch.cat([expected, empty]))
    assert not embedded.requires_grad
    assert (embedded[0] - embedded[1]).abs().max() > 0.1


def test_each_prompt_is_encoded_once(base, monkeypatch):
    encoded = []

    def count(folder, prompts, device):
        encoded.extend(prompts)
        return embed_prompts(folder, prompts, device)

    monkeypatch.setattr("synthworth.generators.stable_diffusion_sampling.embed_prompts", count)
    images(base, batch_size=1)
    assert encoded == ["", "an x-ray, viral", "healthy"]


def test_grey_images_are_the_luma_of_coloured_ones(base):
    grey, coloured = images(base, channels=1), images(base, channels=3)
    assert grey.shape == (3, 32, 32, 1)
    expected = [np.asarray(Image.fromarray(image.astype(np.uint8)).convert("L")) for image in coloured]
    np.testing.assert_array_equal(grey[..., 0], expected)


def test_images_have_the_size_asked_for(base):
    assert images(base, size=48).shape == (3, 48, 48, 3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_changes_images_little(base, precision):
    exact, rough = images(base), images(base, mixed_precision=precision)
    assert 0 < np.abs(exact - rough).mean() < 1
