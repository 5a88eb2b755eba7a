"""A generator that has learnt ten images by heart is caught; one that has learnt nothing, and real images, are not."""

import numpy as np
import pandas as pd
import pytest
import torch

from synthworth.generators import sample, train_generator
from synthworth.memorization.audit import audit
from synthworth.memorization.comparison import compare_real, compare_synthetic
from synthworth.memorization.sets import ImageSet
from synthworth.phantoms import PATTERNS, draw_phantom, sample_anatomy, sample_exposure, sample_pathology
from synthworth.resizing import resize

STEPS = 1300
SIZE = 16
IMAGES = 30
SETTINGS = {
    "training": {
        "batch_size": 10,
        "micro_batch_size": None,
        "learning_rate": 2e-3,
        "betas": [0.95, 0.999],
        "epsilon": 1e-8,
        "weight_decay": 1e-6,
        "max_gradient_norm": 1.0,
        "schedule": "cosine",
        "warmup_steps": 20,
        "schedule_steps": STEPS,
        "ema": None,
        "gradient_checkpointing": False,
        "mixed_precision": "no",
    },
    "model": {"block_out_channels": [16, 32, 64], "attention_blocks": [2], "layers_per_block": 1},
    "noise": {"training_steps": 1000, "beta_schedule": "squaredcos_cap_v2", "prediction": "v_prediction"},
}


def features_of(images):
    return resize(images, 8).reshape(len(images), -1).astype(np.float32)


def as_set(images, name):
    names = [f"{name} {place}" for place in range(len(images))]
    return ImageSet(features_of(images), images, names, names)


@pytest.fixture(scope="module")
def phantoms():
    random = np.random.default_rng(0)
    drawn = []
    for place in range(50):
        anatomy = sample_anatomy(random, int(random.integers(20, 80)), "FM"[place % 2])
        pathology = sample_pathology(random, PATTERNS["bacterial"])
        drawn.append(draw_phantom(anatomy, pathology, sample_exposure(random), 128))
    return resize(np.stack(drawn)[..., None], SIZE)


@pytest.fixture(scope="module")
def made(phantoms, tmp_path_factory):
    """Images of the same network before and after a very long training on ten images."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("copier")
    np.save(folder / "images.npy", phantoms[:10])
    pd.DataFrame({"image": range(10), "class": "a", "label": "a"}).to_csv(folder / "index.csv", index=False)
    rows = pd.DataFrame({"index": range(IMAGES), "class": "a", "label": "a", "prompt": "", "seed": range(IMAGES)})
    sampling = {"size": SIZE, "channels": 1, "sampling": {"scheduler": "ddim", "steps": 20, "mixed_precision": "no"}}
    images = {}
    for step in (0, STEPS):
        train_generator(
            images=str(folder / "images.npy"),
            index=str(folder / "index.csv"),
            state=None,
            checkpoint=str(folder / f"step-{step}"),
            next_state=str(folder / f"state-{step}.safetensors"),
            name="ddpm",
            classes=["a"],
            step=step,
            settings=SETTINGS,
            seed=1,
            memory={},
        )
        images[step] = np.concatenate(list(sample("ddpm", folder / f"step-{step}", rows, sampling, IMAGES)))
    return images


def test_a_copier_is_caught_and_others_are_not(phantoms, made):
    train, held_out, fresh = (as_set(phantoms[rows], str(rows)) for rows in (slice(10), slice(10, 30), slice(30, 50)))
    reference = compare_real(train, held_out, features_of, seed=1, sources=10)

    def scores(images):
        found = audit(compare_synthetic(images, train, held_out, seed=1), reference, seed=1)
        return found.summary().set_index("score")

    copier = scores(as_set(made[STEPS], "copier"))
    assert copier.loc["flagged", "value"] > 0.7
    assert copier.loc[["flagged", "c_t", "gap", "duplicates"], "beyond_real"].all()
    # Where ten real images are all that others can be nearest to, AuthPct is low for innocent ones, too.
    assert copier.loc["auth_pct", "value"] < copier.loc["auth_pct", "reference"]
    for images in (as_set(made[0], "untrained"), fresh):
        others = scores(images)
        assert others.loc["flagged", "value"] < 0.2
        # Duplicates are another matter: what an untrained network makes is all alike.
        assert not others.loc[["flagged", "auth_pct", "c_t", "gap"], "beyond_real"].any()
