"""The contract of generators, held against every method at 32 px and a few steps."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from synthworth.generators import METHODS, method, sample, train_generator

SETTINGS = {
    "ddpm": {
        "training": {
            "batch_size": 4,
            "learning_rate": 1e-3,
            "betas": [0.95, 0.999],
            "epsilon": 1e-8,
            "weight_decay": 1e-6,
            "max_gradient_norm": 1.0,
            "schedule": "cosine",
            "warmup_steps": 2,
            "schedule_steps": 6,
            "mixed_precision": "no",
        },
        "model": {"block_out_channels": [8, 16], "attention_blocks": [1], "layers_per_block": 1},
        "noise": {"training_steps": 50, "beta_schedule": "linear", "prediction": "epsilon"},
        "sampling": {"steps": 5, "mixed_precision": "no"},
    }
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def split(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    rows = pd.DataFrame({"image": [f"{i}.png" for i in range(10)], "class": ["viral"] * 7 + ["healthy"] * 3})
    rows.to_csv(tmp_path / "index.csv", index=False)
    return tmp_path


def train(split, name, start, step, folder="a", processes=1, **changes):
    state = None if start is None else str(split / folder / f"state-{start}.pt")
    train_generator(
        images=str(split / "images.npy"),
        index=str(split / "index.csv"),
        state=state,
        checkpoint=str(split / folder / f"step-{step}"),
        next_state=str(split / folder / f"state-{step}.pt"),
        name=name,
        classes=["viral"],
        step=step,
        settings=SETTINGS[name] | changes,
        seed=7,
        processes=processes,
    )
    return split / folder / f"step-{step}"


def conditions(*indices):
    seeds = [index + 1000 for index in indices]
    return pd.DataFrame({"index": indices, "class": "viral", "label": "viral", "prompt": "", "seed": seeds})


def weights(checkpoint):
    files = sorted(checkpoint.rglob("*.safetensors"))
    assert files
    return {f"{file.name}:{name}": tensor for file in files for name, tensor in load_file(file).items()}


def assert_equal_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("name", METHODS)
def test_two_segments_give_bit_for_bit_what_one_gives(split, name):
    whole = train(split, name, None, 6, folder="whole")
    first = train(split, name, None, 3, folder="parts")
    second = train(split, name, 3, 6, folder="parts")
    assert_equal_weights(whole, second)
    assert any(not torch.equal(weights(first)[key], tensor) for key, tensor in weights(second).items())


@pytest.mark.parametrize("name", METHODS)
def test_a_segment_leaves_nothing_but_checkpoint_and_state(split, name):
    train(split, name, None, 1)
    assert sorted(path.name for path in (split / "a").iterdir()) == ["state-1.pt", "step-1"]


@pytest.mark.parametrize("name", METHODS)
def test_an_image_is_the_same_whatever_batch_it_is_in(split, name):
    checkpoint = train(split, name, None, 2)
    together = sample(name, checkpoint, conditions(0, 1, 2, 3), SETTINGS[name], batch_size=3)
    alone = np.concatenate([sample(name, checkpoint, conditions(i), SETTINGS[name], batch_size=8) for i in (3, 0)])
    assert together.dtype == np.uint8
    assert together.shape == (4, 32, 32, 1)
    # Batches differ in the order of sums: one grey level of 255 at the most.
    assert np.abs(together[[3, 0]].astype(int) - alone).max() <= 1
    assert np.abs(together[0].astype(int) - together[1]).mean() > 5


@pytest.mark.parametrize("name", METHODS)
def test_a_model_sees_the_images_of_its_classes_only(split, name):
    before = weights(train(split, name, None, 3, folder="before"))
    images = np.load(split / "images.npy")
    images[7:] = 0
    np.save(split / "images.npy", images)
    after = weights(train(split, name, None, 3, folder="after"))
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", METHODS)
def test_another_seed_gives_another_model_and_the_config_is_not_changed(split, name):
    settings = {name: SETTINGS[name]}
    module = method(name)
    images = np.load(split / "images.npy")[:7]
    one, other = (module.build(images, ["viral"] * 7, settings[name], seed, None) for seed in (1, 2))
    first = [next(iter(trainer.model.parameters())).detach() for trainer in (one, other)]
    assert not torch.equal(*first)


TRAINING = """
import json, sys
import torch
from synthworth.generators import train_generator
torch.set_num_threads(1)
train_generator(**json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_give_the_loss_curve_of_one(split, name):
    losses = []
    for processes in (1, 2):
        arguments = {
            "images": str(split / "images.npy"),
            "index": str(split / "index.csv"),
            "state": None,
            "checkpoint": str(split / str(processes) / "step-3"),
            "next_state": str(split / str(processes) / "state-3.pt"),
            "name": name,
            "classes": ["viral"],
            "step": 3,
            "settings": SETTINGS[name],
            "seed": 7,
            "processes": processes,
        }
        # A process of its own: accelerate's group is a fact of the whole process.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", TRAINING, json.dumps(arguments)]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        losses.append([json.loads(line)["loss"] for line in output.splitlines() if '"loss"' in line])
        assert (split / str(processes) / "step-3").is_dir()
    # One line each: the second process says nothing.
    assert len(losses[0]) == len(losses[1]) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_an_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="no generator method 'vae'"):
        method("vae")


def test_a_ddpm_checkpoint_is_a_diffusers_pipeline(split):
    from diffusers import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(train(split, "ddpm", None, 1))
    assert pipeline.unet.config.sample_size == 32
    assert pipeline.unet.config.in_channels == 1
    assert pipeline.scheduler.config.num_train_timesteps == 50
