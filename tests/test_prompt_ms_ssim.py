"""MS-SSIM within prompt, against the package whose numbers RoentGen prints, and against what can be worked out."""

from itertools import combinations
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from pytorch_msssim import ms_ssim as by_package
from scipy.stats import t as student

from synthworth.errors import StudyError
from synthworth.fidelity import measure_floor, metric_module, score, score_checkpoint
from synthworth.fidelity.prompt_ms_ssim import on_subsets, prompt_ms_ssim
from synthworth.fidelity.selection import collect_curves
from synthworth.metric_selftest.expectations import EXPECTATIONS
from synthworth.metric_selftest.responses import judge, selftest
from synthworth.shards import write_shard

HOUSE = Path(__file__).parents[1]
XRAYS = HOUSE.parent / "shared/data/cxr4"
SCHEMA = yaml.safe_load((HOUSE / "workflow/schemas/config.schema.yaml").read_text())
NAMES = {"generator": "lora", "scope": "all", "step": 300}


def package(images):
    """The package's value of each pair of uint8 images [n, 512, 512, 1]."""
    pixels = torch.from_numpy(images[..., 0].astype(np.float32))[:, None] / 255
    pairs = combinations(range(len(images)), 2)
    return np.array([float(by_package(pixels[i : i + 1], pixels[j : j + 1], data_range=1)) for i, j in pairs])


def prompted(images, prompts):
    rows = np.empty(len(images), [("image", np.uint8, images.shape[1:]), ("prompt", "<U40")])
    rows["image"], rows["prompt"] = images, prompts
    return rows


def pictures(n, size=512, channels=1):
    rng = np.random.default_rng(0)
    shared, *own = (cv2.GaussianBlur(rng.normal(size=(size, size, channels)), (0, 0), size / 20) for _ in range(n + 1))
    images = np.stack([shared / shared.std() + (0.3 + i) * image / image.std() for i, image in enumerate(own)])
    return np.clip(120 + 50 * images.reshape(n, size, size, channels), 0, 255).astype(np.uint8)


def flat(*levels, size=16):
    return np.stack([np.full((size, size, 1), level, np.uint8) for level in levels])


def of_flat(x, y):
    """Of two constant images: every contrast is 1, so the last scale's luminance alone is left."""
    x, y = x / 255, y / 255
    return ((2 * x * y + 0.01**2) / (x * x + y * y + 0.01**2)) ** 0.1333


def test_is_the_mean_over_prompts_of_the_packages_pairs():
    images = pictures(5)
    order = [3, 0, 4, 1, 2]
    prompts = np.array(["a", "a", "a", "b", "b"])
    expected = (package(images[:3]).mean() + package(images[3:]).mean()) / 2
    assert prompt_ms_ssim(prompted(images[order], prompts[order])) == pytest.approx(expected, abs=2e-5)
    assert prompt_ms_ssim(images) == pytest.approx(package(images).mean(), abs=2e-5)


@pytest.mark.skipif(not XRAYS.is_dir(), reason="no X-rays on this machine")
def test_equals_the_package_on_xrays():
    files = sorted((XRAYS / "images").iterdir())[::120]
    images = np.stack([np.asarray(Image.open(file).convert("L").resize((512, 512))) for file in files])[..., None]
    values = package(images)
    assert np.ptp(values) > 0.05
    for place, pair in enumerate(combinations(images, 2)):
        # The package's kernel is of single precision, which costs it up to 1e-5.
        assert prompt_ms_ssim(np.stack(pair)) == pytest.approx(values[place], abs=2e-5)


def test_each_prompt_counts_once_and_images_without_company_do_not():
    images = flat(50, 50, 50, 40, 200, 90)
    rows = prompted(images, ["a", "a", "a", "b", "b", "c"])
    assert prompt_ms_ssim(rows) == pytest.approx((1 + of_flat(40, 200)) / 2, abs=1e-6)
    assert prompt_ms_ssim(rows[3:]) == pytest.approx(of_flat(40, 200), abs=1e-6)
    assert prompt_ms_ssim(images[3:5]) == pytest.approx(of_flat(40, 200), abs=1e-6)
    assert score("prompt_ms_ssim", rows) == {"prompt_ms_ssim": prompt_ms_ssim(rows)}


def test_subsets_are_scored_as_they_are_alone():
    rows = prompted(pictures(6, size=64), ["a", "b", "a", "b", "a", "c"])
    value = on_subsets(rows)
    for subset in ([0, 1, 2, 3, 4, 5], [4, 0], [1, 3, 4, 2]):
        assert value(np.array(subset)) == pytest.approx(prompt_ms_ssim(rows[subset]), abs=1e-9)


def test_colour_is_compared_by_its_grey_levels():
    colour = pictures(2, channels=3)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in colour])[..., None]
    assert prompt_ms_ssim(colour) == pytest.approx(prompt_ms_ssim(grey), abs=1e-3)
    assert abs(prompt_ms_ssim(colour) - prompt_ms_ssim(colour[..., :1])) > 0.01
    assert prompt_ms_ssim(np.repeat(grey, 3, axis=-1)) == prompt_ms_ssim(grey)


@pytest.mark.parametrize("images", [flat(1)[:0], flat(1), prompted(flat(1, 2), ["a", "b"])])
def test_without_two_images_of_a_prompt_there_is_no_score(images):
    two_channels = np.zeros((3, 40, 40, 2), np.uint8)
    with pytest.raises(ValueError, match=r"\[n, height, width, 1 or 3\], not uint8 \(3, 40, 40, 2\)"):
        prompt_ms_ssim(two_channels)
    with pytest.raises(StudyError, match="no two of the images share their prompt"):
        prompt_ms_ssim(images)


def test_a_checkpoint_is_scored_by_its_shard_and_whole_prompts_are_left_out(tmp_path):
    levels = {"a": (50, 60), "b": (20, 200), "c": (90, 100), "d": (10, 40)}
    pairs = [(text, level) for text, both in levels.items() for level in both]
    # A prompt of its own, a class of one prompt, one without any, and one with nothing to compare.
    pairs += [("alone", 1)] + [("", 90), ("", 100), ("", 130)] + [("e", 1), ("f", 2)]
    labels = ["NA"] * 9 + ["flat"] * 3 + ["no"] * 2
    rows = pd.DataFrame({"label": labels, "prompt": [text for text, _ in pairs]}).assign(**NAMES, index=0, seed=0)
    write_shard(tmp_path / "shard.parquet", [flat(*(level for _, level in pairs))], rows)
    output = tmp_path / "score.csv"
    classes = ["NA", "flat", "no"]
    score_checkpoint(
        "prompt_ms_ssim", tmp_path / "shard.parquet", None, None, output, NAMES, classes, None, 0.95, 20, 1
    )
    scores = collect_curves([output]).set_index("class").loc[classes]
    values = np.array([of_flat(*both) for both in levels.values()])
    reach = student.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert list(scores["n_synthetic"]) == [8, 3, 0]
    assert list(scores["n_reference"]) == [0, 0, 0]
    three = np.array([of_flat(90, 100), of_flat(90, 130), of_flat(100, 130)])
    expected = [values.mean(), three.mean(), np.nan]
    assert scores["value"].tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    first = [max(0, values.mean() - reach), min(1, values.mean() + reach)]
    assert first[0] > 0
    assert scores.loc["NA", ["low", "high"]].tolist() == pytest.approx(first, abs=1e-6)
    # Of one prompt images are left out: each time one pair stays.
    reach = student.ppf(0.975, 2) * three.std() * np.sqrt(2)
    assert scores.loc["flat", ["low", "high"]].tolist() == pytest.approx([three.mean() - reach, 1], abs=1e-6)
    assert scores.loc["no", ["low", "high"]].isna().all()


def test_the_floor_is_among_real_images_of_a_class(tmp_path):
    np.save(tmp_path / "images.npy", flat(50, 50, 50, 10, 250, size=32))
    index = pd.DataFrame({"class": ["a"] * 3 + ["b"] * 2, "patient": list("vwxyz")})
    index.to_csv(tmp_path / "index.csv", index=False)
    asked = {"classes": ["a", "b"], "synthetic_images": 2, "reference_images": None, "replicates": 3, "seed": 0}
    paths = [tmp_path / name for name in ("images.npy", "index.csv", "floor.csv")]
    measure_floor("prompt_ms_ssim", *paths[:2], None, None, paths[2], {}, **asked)
    floors = pd.read_csv(paths[2])
    assert floors["floor"].tolist() == pytest.approx([1, of_flat(10, 250)], abs=1e-6)
    assert floors["floor_n_synthetic"].tolist() == [2, 2]


def test_the_self_test_sees_dropped_modes():
    images = pictures(12, size=48)
    asked = {"seed": 0, "severities": (0.5, 1), "images_per_half": 4, "repetitions": 2}
    values = selftest(images, np.full(12, "a"), np.arange(12), ["prompt_ms_ssim"], {}, **asked)
    assert judge(values).set_index("degradation").loc["mode_drop", "responds"] == "yes"


def test_a_config_can_ask_for_it_of_images_alone():
    metrics = SCHEMA["properties"]["fidelity"]["properties"]["metrics"]
    grammar = jsonschema.Draft202012Validator({"$defs": SCHEMA["$defs"]} | metrics)
    assert grammar.is_valid({"prompts": {"metric": "prompt_ms_ssim"}})
    assert not grammar.is_valid({"prompts": {"metric": "prompt_ms_ssim", "extractor": "inception"}})
    for name in metrics["additionalProperties"]["properties"]["metric"]["enum"]:
        assert set(metric_module(name).NAMES) <= set(EXPECTATIONS)
