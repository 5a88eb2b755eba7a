from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold, cross_val_score

from synthworth.errors import StudyError
from synthworth.phantom_anatomy import Anatomy, Exposure, Frame, Opacity, Pathology
from synthworth.phantoms import PATTERNS, draw_phantom, draw_phantoms, sample_pathology

PLAIN = Exposure(noise=0.0, vignette=0.0, marker=None)


def draw(folder: Path, patients: dict[str, int], seed: int = 1, **options) -> pd.DataFrame:
    draw_phantoms(folder / "manifest.csv", folder / "images", patients, seed, **options)
    return pd.read_csv(folder / "manifest.csv", keep_default_na=False, na_values=[""])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((folder / "images").iterdir())}


def patch(image: np.ndarray, frame: Frame, x: float, y: float) -> float:
    """Mean grey value around a point in body coordinates."""
    column, row = (frame.place(np.array([[x, y]]))[0] * len(image)).astype(int)
    return float(image[row - 3 : row + 4, column - 3 : column + 4].mean())


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A balanced set of one image per patient: pixels [150, 64, 64], and the manifest."""
    folder = tmp_path_factory.mktemp("cohort")
    manifest = draw(folder, dict.fromkeys(PATTERNS, 30), seed=5, size=64, images_per_patient=1)
    return np.stack([np.asarray(Image.open(folder / name)) for name in manifest["image"]]), manifest


def test_the_manifest_lists_what_was_written(tmp_path):
    manifest = draw(tmp_path, {"healthy": 2, "fungal": 3}, size=40, images_per_patient=2)
    assert sorted(Path(name).name for name in manifest["image"]) == sorted(contents(tmp_path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["images", "manifest.csv"]
    assert manifest.groupby("label")["patient"].nunique().to_dict() == {"healthy": 2, "fungal": 3}
    assert set(manifest["view"]) <= {"AP", "PA"} and set(manifest["sex"]) <= {"F", "M"}
    for name in manifest["image"]:
        with Image.open(tmp_path / name) as image:
            assert (image.mode, image.size) == ("L", (40, 40))


def test_a_manifest_elsewhere_still_finds_its_images(tmp_path):
    draw_phantoms(tmp_path / "lists" / "manifest.csv", tmp_path / "images", {"viral": 1}, 1, size=32)
    name = pd.read_csv(tmp_path / "lists" / "manifest.csv")["image"][0]
    assert (tmp_path / "lists" / name).is_file()


def test_the_same_seed_draws_the_same_bytes_and_another_does_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw(tmp_path / name, {"covid19": 2}, seed, size=32)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a/manifest.csv").read_bytes() == (tmp_path / "b/manifest.csv").read_bytes()
    assert not set(contents(tmp_path / "a").values()) & set(contents(tmp_path / "c").values())


def test_more_patients_and_images_leave_those_before_them_as_they_were(tmp_path):
    draw(tmp_path / "few", {"viral": 2}, size=32, images_per_patient=1)
    draw(tmp_path / "many", {"healthy": 2, "viral": 3}, size=32, images_per_patient=2.5)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    assert len(few) == 2 and len(many) > 5
    assert few.items() <= many.items()


def test_images_of_one_patient_share_anatomy_and_differ_in_exposure(tmp_path):
    manifest = draw(tmp_path, {"bacterial": 4}, size=32, images_per_patient=3)
    shared = ["age", "sex", "heart_width", "lung_height", "opacity_count", "opacity_side", "opacity_radius"]
    assert len(manifest[["patient", *shared]].drop_duplicates()) == 4 < len(manifest)
    assert manifest["heart_width"].nunique() == 4
    assert manifest["magnification"].nunique() == len(manifest) == len(set(contents(tmp_path).values()))


def test_what_cannot_be_drawn_is_named(tmp_path):
    with pytest.raises(StudyError) as error:
        draw(tmp_path, {"healthy": 1, "asthma": 2, "viral": -1}, images_per_patient=0.5)
    text = str(error.value)
    assert "'asthma'" in text and all(name in text for name in PATTERNS)
    assert "-1 patients" in text and "0.5" in text
    assert not (tmp_path / "images").exists()


def test_the_thorax_is_in_order():
    for view in ("PA", "AP"):
        exposure = replace(PLAIN, view=view)
        frame = Frame(Anatomy(), exposure)
        image = draw_phantom(Anatomy(), Pathology(), exposure)
        lungs = [patch(image, frame, *frame.lung_point(side, 0.6, 0.6)) for side in (-1, 1)]
        heart = patch(image, frame, 0.08, frame.dome(1) - 0.06)
        liver = patch(image, frame, -0.15, frame.dome(-1) + 0.10)
        outside = image[-3:, :3].mean()
        assert outside < min(lungs) - 10 and max(lungs) < 110 and heart > 150 and liver > 170
        # The heart lies mostly on the image's right.
        assert patch(image, frame, 0.16, frame.dome(1) - 0.06) > 40 + patch(image, frame, -0.16, frame.dome(1) - 0.06)


def test_a_picture_is_the_same_at_every_size():
    large, small = (draw_phantom(Anatomy(), Pathology(), Exposure(), size) for size in (256, 64))
    reduced = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert small.shape == (64, 64) and small.dtype == np.uint8
    assert np.abs(reduced.astype(int) - small).max() <= 1
    assert draw_phantom(Anatomy(), Pathology(), Exposure(), 320).shape == (320, 320)


@pytest.mark.parametrize("side", [-1, 1])
def test_an_opacity_lies_where_its_factors_say(side):
    exposure = replace(PLAIN, shift_x=0.03, rotation=5.0, magnification=1.1)
    opacity = Opacity(side, depth=0.5, level=0.5, radius=0.05, density=0.4, irregularity=0.0)
    healthy = draw_phantom(Anatomy(), Pathology(), exposure).astype(float)
    ill = draw_phantom(Anatomy(), Pathology((opacity,)), exposure) - healthy
    denser = draw_phantom(Anatomy(), Pathology((replace(opacity, density=0.8),)), exposure) - healthy
    ill[ill < 2] = 0
    rows, columns = np.mgrid[:256, :256]
    centre = (columns * ill).sum() / ill.sum() / 256, (rows * ill).sum() / ill.sum() / 256
    assert np.allclose(centre, Frame(Anatomy(), exposure).opacity_position(opacity), atol=0.012)
    assert 1.5 * ill.sum() < denser.sum()


def test_each_class_has_the_pattern_of_its_disease():
    found = {
        name: [sample_pathology(np.random.default_rng(i), pattern) for i in range(30)]
        for name, pattern in PATTERNS.items()
    }
    lungs = {name: {len({o.side for o in p.opacities}) for p in those} for name, those in found.items()}
    assert lungs == {"healthy": {0}, "bacterial": {1}, "viral": {2}, "covid19": {2}, "fungal": {2}}
    mean = {
        name: {
            key: np.mean([getattr(o, key) for p in those for o in p.opacities]) for key in ("depth", "level", "radius")
        }
        for name, those in found.items()
        if name != "healthy"
    }
    assert {opacity.side for p in found["bacterial"] for opacity in p.opacities} == {-1, 1}
    assert mean["viral"]["depth"] < 0.35 and mean["covid19"]["depth"] > 0.7
    assert mean["fungal"]["level"] < 0.45 and mean["covid19"]["level"] > 0.6
    assert mean["fungal"]["radius"] < 0.5 * min(mean[name]["radius"] for name in ("bacterial", "viral", "covid19"))


def test_the_manifest_says_on_which_side_of_the_patient(tmp_path):
    manifest = draw(tmp_path, {"bacterial": 8, "covid19": 2, "healthy": 2}, size=32, images_per_patient=1)
    sides = manifest.groupby("label")["opacity_side"].agg(set)
    assert sides["bacterial"] == {"left", "right"} and sides["covid19"] == {"both"} and sides["healthy"] == {"none"}
    one_sided = manifest[manifest["label"] == "bacterial"]
    assert ((one_sided["opacity_x"] < 0.5) == (one_sided["opacity_side"] == "right")).all()
    assert manifest.loc[manifest["label"] == "healthy", ["opacity_x", "opacity_radius"]].isna().all(axis=None)


def test_no_two_patients_are_near_duplicates(cohort):
    hashes = [imagehash.phash(Image.fromarray(image), hash_size=16) for image in cohort[0]]
    assert min(a - b for a, b in combinations(hashes, 2)) > 20


def test_the_classes_can_be_learned_but_not_trivially(cohort):
    images, manifest = cohort
    pixels = np.stack([cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images])
    forest = RandomForestClassifier(100, random_state=0)
    accuracy = cross_val_score(forest, pixels, manifest["label"], groups=manifest["patient"], cv=GroupKFold(4)).mean()
    # The majority rate is 0.20.
    assert 0.35 < accuracy < 0.90
