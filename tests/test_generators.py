"""The contract of generators, held against every method that is trained, at 32 px and a few steps."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tiny_pipeline import tiny_pipeline

from synthworth.encodings import encode_images
from synthworth.errors import StudyError
from synthworth.generators import TRAINED, method, sample, train_generator
from synthworth.prior import sample_prior

DIFFUSION = {
    "batch_size": 4,
    "micro_batch_size": None,
    "learning_rate": 1e-3,
    "betas": [0.95, 0.999],
    "epsilon": 1e-8,
    "weight_decay": 1e-6,
    "max_gradient_norm": 1.0,
    "schedule": "cosine",
    "warmup_steps": 2,
    "schedule_steps": 6,
    "ema": None,
    "gradient_checkpointing": False,
    "mixed_precision": "no",
}
GUIDED = {"scheduler": "pndm", "steps": 4, "guidance_scale": 2.0, "mixed_precision": "no"}
SETTINGS = {
    "gan": {
        # The second of two segments of three steps begins amid the fading in of new layers.
        "growth": [
            {"resolution": 16, "steps": 2, "batch_size": 8, "learning_rate": 1e-3},
            {"resolution": 32, "steps": None, "batch_size": 8, "learning_rate": 1e-3},
        ],
        "fade": 1.0,
        "model": {"latent": 8, "mapping_layers": 2, "channels_base": 64, "channels_max": 8},
        "training": {
            "betas": [0.0, 0.99],
            "epsilon": 1e-8,
            "mapping_learning_rate": 0.01,
            "gradient_penalty": 10.0,
            "drift": 1e-3,
            "style_mixing": 0.9,
            "ema": 0.5,
            "augmentation": ["color", "translation", "cutout"],
            "horizontal_flip": False,
            "micro_batch_size": None,
            "mixed_precision": "no",
        },
        "sampling": {"truncation": None, "mixed_precision": "no"},
    },
    "ddpm": {
        "training": DIFFUSION,
        "model": {"block_out_channels": [8, 16], "attention_blocks": [1], "layers_per_block": 1},
        "noise": {"training_steps": 50, "beta_schedule": "linear", "prediction": "epsilon"},
        "sampling": {"scheduler": "ddpm", "steps": 5, "mixed_precision": "no"},
    },
    "finetune": {"training": DIFFUSION | {"ema": 0.5}, "sampling": GUIDED},
    "lora": {
        "training": DIFFUSION,
        "lora": {"rank": 2, "alpha": 2, "targets": ["to_q", "to_k", "to_v", "to_out.0"]},
        "sampling": GUIDED | {"scale": 1.0},
    },
    "dreambooth": {
        "training": DIFFUSION,
        "prior": {"images": 4, "prompt": "an x-ray", "weight": 1.0},
        "sampling": GUIDED,
    },
}
PROMPTS = {"source": "template", "template": "{label} lung", "classes": {}}
ADAPTING = ("finetune", "lora", "dreambooth")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model, and images that it made."""
    folder = tmp_path_factory.mktemp("base")
    tiny_pipeline(folder / "pipeline")
    sample_prior(
        folder / "pipeline",
        folder / "prior.parquet",
        folder / "prior.safetensors",
        prompt="an x-ray",
        images=4,
        generator="dreambooth",
        size=32,
        sampling=GUIDED,
        study_seed=1,
    )
    return folder


def write_split(folder, base):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 1), dtype=np.uint8)
    np.save(folder / "images.npy", pixels)
    rows = pd.DataFrame({"image": [f"{i}.png" for i in range(10)], "class": ["viral"] * 7 + ["healthy"] * 3})
    rows.assign(label=rows["class"]).to_csv(folder / "index.csv", index=False)
    (folder / "base").symlink_to(base)
    return folder


@pytest.fixture
def split(tmp_path, base):
    return write_split(tmp_path, base)


def arguments(split, name, step, state=None, folder="a", **changes):
    """What a segment of a training is told."""
    arguments = {
        "images": str(split / "images.npy"),
        "index": str(split / "index.csv"),
        "state": state and str(state),
        "checkpoint": str(split / folder / f"step-{step}"),
        "next_state": str(split / folder / f"state-{step}.safetensors"),
        "name": name,
        "classes": ["viral"],
        "step": step,
        "settings": SETTINGS[name],
        "seed": 7,
        "memory": {},
    }
    if name in ADAPTING:
        encodings = split / "encodings.safetensors"
        encode_images(split / "base" / "pipeline", split / "images.npy", encodings)
        arguments["settings"] = SETTINGS[name] | {"prompts": PROMPTS}
        arguments |= {"base": str(split / "base" / "pipeline"), "encodings": str(encodings)}
    if name == "dreambooth":
        arguments["prior"] = str(split / "base" / "prior.safetensors")
    return arguments | changes


def train(split, name, start, step, folder="a", **changes):
    state = None if start is None else split / folder / f"state-{start}.safetensors"
    train_generator(**arguments(split, name, step, state, folder, **changes))
    return split / folder / f"step-{step}"


def draw(name, checkpoint, rows, batch_size):
    settings = {"size": 32, "channels": 1, "sampling": SETTINGS[name]["sampling"]}
    return np.concatenate(list(sample(name, checkpoint, rows, settings, batch_size)))


def conditions(*indices):
    seeds = [index + 1000 for index in indices]
    return pd.DataFrame({"index": indices, "class": "viral", "label": "viral", "prompt": "viral lung", "seed": seeds})


def weights(checkpoint):
    files = sorted(checkpoint.rglob("*.safetensors"))
    assert files
    return {
        f"{file.relative_to(checkpoint)}:{name}": tensor for file in files for name, tensor in load_file(file).items()
    }


def assert_equal_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("name", TRAINED)
def test_two_segments_give_bit_for_bit_what_one_gives(split, name):
    whole = train(split, name, None, 6, folder="whole")
    first = train(split, name, None, 3, folder="parts")
    second = train(split, name, 3, 6, folder="parts")
    assert_equal_weights(whole, second)
    assert any(not torch.equal(weights(first)[key], tensor) for key, tensor in weights(second).items())


@pytest.mark.parametrize("name", TRAINED)
def test_a_segment_leaves_nothing_but_checkpoint_and_state(split, name):
    checkpoint = train(split, name, None, 1)
    assert sorted(path.name for path in (split / "a").iterdir()) == ["state-1.safetensors", "step-1"]
    # Nothing that is unpickled when it is loaded.
    assert not [path for path in checkpoint.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]


@pytest.mark.parametrize("name", TRAINED)
def test_an_image_is_the_same_whatever_batch_it_is_in(split, name):
    checkpoint = train(split, name, None, 2)
    together = draw(name, checkpoint, conditions(0, 1, 2, 3), batch_size=3)
    alone = np.concatenate([draw(name, checkpoint, conditions(i), batch_size=8) for i in (3, 0)])
    assert together.dtype == np.uint8
    assert together.shape == (4, 32, 32, 1)
    # Batches differ in the order of sums: one grey level of 255 at the most.
    assert np.abs(together[[3, 0]].astype(int) - alone).max() <= 1
    assert np.abs(together[0].astype(int) - together[1]).mean() > 1


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_sees_the_images_of_its_classes_only(split, name):
    before = weights(train(split, name, None, 3, folder="before"))
    images = np.load(split / "images.npy")
    images[7:] = 0
    np.save(split / "images.npy", images)
    after = weights(train(split, name, None, 3, folder="after"))
    assert all(torch.equal(before[key], after[key]) for key in before)
    images[:7] = 0
    np.save(split / "images.npy", images)
    blank = weights(train(split, name, None, 3, folder="blank"))
    assert any(not torch.equal(before[key], blank[key]) for key in before)


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_gives_another_model(split, name):
    one, other = (weights(train(split, name, None, 2, folder=str(seed), seed=seed)) for seed in (1, 2))
    assert any(not torch.equal(one[key], other[key]) for key in one)


TRAINING = """
import json, sys
import torch
from synthworth.generators import train_generator
torch.set_num_threads(1)
for told in json.loads(sys.argv[1]):
    print("training:", told["name"])
    train_generator(**told)
"""


@pytest.fixture(scope="module")
def trained_by_two(base, tmp_path_factory):
    """A folder with every method's training by two processes, and what each of them said.

    In a process of its own: accelerate's group is a fact of the whole process.
    """
    folder = write_split(tmp_path_factory.mktemp("two"), base)
    # Each process goes through its share in parts, a gan's of four images, of which its critic takes statistics.
    told = [
        arguments(folder, name, 3, folder=name, processes=2, memory={"micro_batch_size": 4 if name == "gan" else 1})
        for name in TRAINED
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-u", "-c", TRAINING, json.dumps(told)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return folder, dict(part.split("\n", 1) for part in output.split("training: ")[1:])


@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_give_the_training_of_one(split, trained_by_two, name, capfd):
    start = weights(train(split, name, None, 0, folder="0"))
    capfd.readouterr()
    train(split, name, None, 3, folder="1")
    one = capfd.readouterr().out
    folder, said = trained_by_two
    two = said[name]
    assert (folder / name / "step-3").is_dir()
    losses = [[json.loads(line)["loss"] for line in said.splitlines() if '"loss"' in line] for said in (one, two)]
    # One line each: the second process says nothing.
    assert len(losses[0]) == len(losses[1]) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    first, second = weights(split / "1" / "step-3"), weights(folder / name / "step-3")
    moved, apart = (
        sum((other[key] - tensor).square().sum().item() for key, tensor in first.items()) ** 0.5
        for other in (start, second)
    )
    # Where a gradient is next to nothing, Adam makes whole steps of its rounding.
    assert apart < 0.05 * moved


def test_an_error_of_a_process_comes_out_as_it_went_in(split):
    settings = SETTINGS["ddpm"] | {"training": DIFFUSION | {"learning_rate": float("inf"), "warmup_steps": 0}}
    told = arguments(split, "ddpm", 2, processes=2, settings=settings)
    code = TRAINING.replace(
        "    train_generator(", "    from synthworth.errors import StudyError\n    try:\n        train_generator("
    )
    code += "    except StudyError as error:\n        print('told:', error)\n"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, json.dumps([told])]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "told: Training diverged" in output


@pytest.mark.parametrize("name", TRAINED)
def test_weights_that_the_last_update_broke_are_no_checkpoint(split, name, monkeypatch):
    """The loss of a step is computed before its update: it says nothing of the last one."""
    module = method(name)
    original = module.advance

    def advance(trainer, step):
        original(trainer, step)
        with torch.no_grad():
            list(trainer.trained().values())[-1].fill_(float("nan"))

    monkeypatch.setattr(module, "advance", advance)
    with pytest.raises(StudyError, match="weights are not finite at step 1"):
        train(split, name, None, 1)
    assert not (split / "a").exists()


@pytest.mark.parametrize("name", ["ddpm", "lora"])
def test_bfloat16_trains_near_float32(split, name, capfd):
    losses = {}
    for precision in ("no", "bf16", "no"):
        # The precision is a fact of the process: a job has one only.
        AcceleratorState._reset_state(reset_partial_state=True)
        settings = arguments(split, name, 3)["settings"]
        settings = settings | {"training": settings["training"] | {"mixed_precision": precision}}
        train(split, name, None, 3, folder=precision, settings=settings)
        losses[precision] = [json.loads(line)["loss"] for line in capfd.readouterr().out.splitlines()][-1]
    assert losses["no"] != losses["bf16"]
    assert losses["no"] == pytest.approx(losses["bf16"], rel=0.02)


def test_an_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="no generator method 'vae'"):
        method("vae")


def test_a_ddpm_checkpoint_is_a_diffusers_pipeline(split):
    from diffusers import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(train(split, "ddpm", None, 1))
    assert pipeline.unet.config.sample_size == 32
    assert pipeline.unet.config.in_channels == 1
    assert pipeline.scheduler.config.num_train_timesteps == 50


def test_a_fast_sampler_of_the_ddpm_draws_by_seed_too(split):
    checkpoint = train(split, "ddpm", None, 1)
    settings = {"sampling": {"scheduler": "dpmsolver++", "steps": 5, "mixed_precision": "no"}}
    one, other = (next(sample("ddpm", checkpoint, conditions(*rows), settings, 4)) for rows in [(0, 1), (1,)])
    assert np.abs(one[1].astype(int) - other[0]).max() <= 1
