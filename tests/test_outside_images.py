"""Images that someone else made: how they may lie on the disk, and what is made of them."""

import hashlib
import io
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synthworth.errors import StudyError
from synthworth.images import decode, fit_image, perceptual_hash
from synthworth.outside_images import import_images
from synthworth.outside_sources import find_class, source_files
from synthworth.phantoms import draw_phantoms
from synthworth.shards import write_shard

CLASSES = {"healthy": "healthy", "covid19": "COVID-19"}


def picture(number: int, side: int = 24, channels: int = 1) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def film(number: int, side: int = 96) -> np.ndarray:
    """A picture as smooth as an X-ray is: noise keeps nothing of itself in a JPEG."""
    coarse = np.random.default_rng(number).integers(0, 256, (12, 12), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_folder(root, counts, side=24):
    """A sub-folder per name; image i of the place p is `picture(100 * p + i)`."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:03d}.png").write_bytes(encoded(picture(100 * place + number, side)))
    return root


def write_parquet(path, images, labels, features=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    pq.write_table(pa.table({"image": images, "label": labels}, metadata=metadata), path)
    return path


@pytest.fixture
def index(tmp_path):
    """The index of a study with a real image in each split, `real/<split>.png`, of which that of training is noise.

    The other two are `film(1)` (select) and `film(2)` (test).
    """
    pixels = {"train": picture(9999), "select": film(1), "test": film(2)}
    rows = [
        {"image": f"real/{split}.png", "patient": split, "class": "healthy", "hash": perceptual_hash(image)}
        | {"sha256": hashlib.sha256(encoded(image)).hexdigest(), "width": 24, "height": 24}
        for split, image in pixels.items()
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    for row in rows[:2]:
        pd.DataFrame([row | {"split": row["patient"]}]).to_csv(tmp_path / f"{row['patient']}.csv", index=False)
    return tmp_path / "index.csv"


@pytest.fixture
def bring_in(tmp_path, index):
    """Imports a class and returns its images and what is recorded of them."""
    splits = [tmp_path / "train.csv", tmp_path / "select.csv"]

    def function(source, **changes):
        arguments = {"name": "healthy", "classes": CLASSES, "size": 24, "fit": "stretch", "channels": 1}
        arguments |= {"seed": 1, "needed": 1} | changes
        others = arguments.pop("splits", splits)
        import_images(source, index, others, tmp_path / "step-0", **arguments)
        rows = pd.read_csv(tmp_path / "step-0" / "images.csv", dtype={"sha256": str, "hash": str})
        return np.load(tmp_path / "step-0" / "images.npy"), rows

    return function


def problems(bring_in, source, **changes):
    with pytest.raises(StudyError) as error:
        bring_in(source, **changes)
    return error.value.problems


def test_images_are_fitted_as_the_real_ones(tmp_path, bring_in):
    source = tmp_path / "source"
    for name in CLASSES:
        (source / name).mkdir(parents=True)
    colours = np.random.default_rng(0).integers(0, 256, (40, 20, 3), dtype=np.uint8)
    Image.fromarray(colours).save(source / "healthy" / "scan.tiff")
    Image.fromarray(colours).save(source / "covid19" / "scan.bmp")
    for fit in ("stretch", "pad", "crop"):
        for channels in (1, 3):
            images, rows = bring_in(source, size=16, fit=fit, channels=channels)
            np.testing.assert_array_equal(images, fit_image(colours, 16, fit, channels)[None])
    digest = hashlib.sha256((source / "healthy" / "scan.tiff").read_bytes()).hexdigest()
    record = {"image": "healthy/scan.tiff", "sha256": digest, "hash": perceptual_hash(colours)}
    assert rows.to_dict("records") == [record | {"width": 20, "height": 40}]


def test_the_order_is_drawn_from_the_seed(tmp_path, bring_in):
    source = write_folder(tmp_path / "source", {"healthy": 30, "covid19": 1})
    images, rows = bring_in(source)
    numbers = [int(name[-7:-4]) for name in rows["image"]]
    assert sorted(numbers) == list(range(30)) != numbers
    for image, number in zip(images, numbers, strict=True):
        np.testing.assert_array_equal(image[..., 0], picture(number))
    assert bring_in(source, threads=3)[1]["image"].tolist() == rows["image"].tolist()
    assert bring_in(source, seed=2)[1]["image"].tolist() != rows["image"].tolist()


def test_a_sub_folder_has_the_name_or_the_label_of_a_class(tmp_path, bring_in, capsys):
    source = write_folder(tmp_path / "source", {"COVID-19": 2, "fungal": 1, "healthy": 3, ".hidden": 1})
    (source / "README.md").write_text("made by someone")
    (source / "healthy" / ".DS_Store").write_text("")
    assert len(bring_in(source, name="covid19")[0]) == 2
    assert (
        "Ignored, no class of this study: fungal/\nIgnored, no class of this study: README.md"
        in capsys.readouterr().out
    )
    assert len(bring_in(source)[0]) == 3
    (source / "COVID-19").rename(source / "covid-19")
    text = "no sub-folder is called `covid19` or `COVID-19` (there are: `covid-19`, `fungal`, `healthy`)"
    assert text in problems(bring_in, source)[0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), "names"])
def test_parquet_as_hugging_face_writes_it(tmp_path, bring_in, kind):
    labels = ["covid19", "healthy", "COVID-19", "fungal", "healthy"]
    images = [{"bytes": encoded(picture(number)), "path": f"{number}.png"} for number in range(5)]
    if kind == "names":
        names = ["fungal", "COVID-19", "covid19", "healthy"]
        column, features = pa.array([names.index(label) for label in labels]), {"label": {"names": names}}
    else:
        column, features = pa.array(labels).cast(kind), None
    write_parquet(tmp_path / "source" / "data" / "train-0.parquet", pa.array(images), column, features)
    last = pa.array([encoded(picture(5))])
    write_parquet(tmp_path / "source" / "data" / "train-1.parquet", last, pa.array(["healthy"]))
    (tmp_path / "source" / "README.md").write_text("a data set")
    shown = {}
    for name in CLASSES:
        pixels, rows = bring_in(tmp_path / "source", name=name)
        shown[name] = {row: image[..., 0].tolist() for row, image in zip(rows["image"], pixels, strict=True)}
    file = "data/train-0.parquet, row {}".format
    expected = {
        "covid19": {file(0): 0, file(2): 2},
        "healthy": {file(1): 1, file(4): 4, "data/train-1.parquet, row 0": 5},
    }
    assert shown == {name: {row: picture(n).tolist() for row, n in rows.items()} for name, rows in expected.items()}


def test_many_rows_come_in_batches(tmp_path, bring_in):
    images = [
        encoded(np.stack([np.arange(24), np.full(24, 1 + number // 3)] * 12).astype(np.uint8)) for number in range(600)
    ]
    labels = ["healthy" if number % 3 else "covid19" for number in range(600)]
    write_parquet(tmp_path / "s.parquet", pa.array(images), pa.array(labels))
    pixels, rows = bring_in(tmp_path / "s.parquet")
    numbers = [int(name.removeprefix("s.parquet, row ")) for name in rows["image"]]
    assert sorted(numbers) == [number for number in range(600) if number % 3]
    assert pixels[:, 1, 0, 0].tolist() == [1 + number // 3 for number in numbers]


def test_our_own_shards_are_a_source(tmp_path, bring_in):
    for place, name in enumerate(CLASSES):
        images = np.stack([picture(10 * place + number)[..., None] for number in range(4)])
        rows = pd.DataFrame({"index": range(4), "seed": 0, "label": name, "prompt": "", "generator": "ddpm"})
        shard = tmp_path / "synthesis" / name / "images-0-3.parquet"
        write_shard(shard, [images], rows.assign(scope=name, step=10))
    pixels, rows = bring_in(tmp_path / "synthesis", name="covid19")
    numbers = [int(name[-1]) for name in rows["image"]]
    np.testing.assert_array_equal(pixels[..., 0], np.stack([picture(10 + number) for number in numbers]))


def test_the_log_says_what_the_images_are_like(tmp_path, bring_in, capsys):
    source = write_folder(tmp_path / "source", {"healthy": 2, "covid19": 1})
    Image.fromarray(picture(7, side=40)[:30]).save(source / "healthy" / "other.png")
    Image.fromarray(picture(7, side=40)[:30]).save(source / "healthy" / "copy.png")
    bring_in(source, size=28)
    assert capsys.readouterr().out.splitlines() == [
        "4 images of class healthy.",
        "  24 to 40 px wide, 24 to 30 px high",
        "  2 are smaller than 28 px and are enlarged",
        "  1 are copies, byte for byte, of others among them",
    ]


def test_all_problems_are_listed_at_once(tmp_path, bring_in):
    source = write_folder(tmp_path / "source", {"healthy": 3, "COVID-19": 1})
    (source / "healthy" / "notes.txt").write_text("no image")
    (source / "healthy" / "broken.png").write_bytes(encoded(picture(0))[:200])
    (source / "healthy" / "copy.png").write_bytes(encoded(picture(9999)))
    (source / "healthy" / "gone.png").symlink_to("nowhere.png")
    (source / "healthy" / "more").mkdir()
    found = problems(bring_in, source, needed=8)
    expected = [
        "healthy/more: a folder within a class's folder; move its images up, or remove it",
        "class covid19: 1 images, but 8 are needed; add images, or lower `fidelity.images` and `per_class`",
        "healthy/broken.png: truncated or damaged file",
        "healthy/copy.png: the file is a real image of the study itself, real/train.png; remove it here",
        "healthy/gone.png: cannot be opened (No such file or directory)",
        "healthy/notes.txt: no image that can be read",
    ]
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found
    assert not (tmp_path / "step-0").exists()


def test_too_few_images_are_said_of_every_class(tmp_path, bring_in):
    source = write_folder(tmp_path / "source", {"healthy": 3, "covid19": 2})
    assert len(bring_in(source, needed=2)[0]) == 3
    assert [line.split(";")[0] for line in problems(bring_in, source, needed=4)] == [
        "class healthy: 3 images, but 4 are needed",
        "class covid19: 2 images, but 4 are needed",
    ]


def test_a_real_image_in_parquet_is_a_leak(tmp_path, bring_in):
    images = [encoded(picture(number)) for number in (1, 9999, 2)]
    write_parquet(tmp_path / "s.parquet", pa.array(images), pa.array(["healthy", "healthy", "covid19"]))
    text = "s.parquet, row 1: the file is a real image of the study itself, real/train.png; remove it here"
    assert problems(bring_in, tmp_path / "s.parquet") == [text]


def test_a_test_image_saved_again_is_a_leak(tmp_path, bring_in):
    source = write_folder(tmp_path / "source", {"healthy": 2, "covid19": 1})
    for name, pixels, kind in [
        ("fresh.png", film(3), "PNG"),
        ("again.jpg", film(2), "JPEG"),
        ("small.png", film(2)[::2, ::2], "PNG"),
        ("bright.png", film(2) // 10 * 9 + 25, "PNG"),
    ]:
        (source / "healthy" / name).write_bytes(encoded(pixels, kind))
    (source / "healthy" / "broken.png").write_bytes(b"")
    found = problems(bring_in, source)
    assert found[0].startswith("healthy/broken.png: ")
    text = "nearly the same picture as the study's own real/test.png, a test image"
    assert sorted(line.split(" (")[0] for line in found[1:]) == [
        f"healthy/{name}: {text}" for name in ("again.jpg", "bright.png", "small.png")
    ]
    assert all(line.endswith("of 256 bits differ); remove it here") for line in found[1:])
    for name in ("again.jpg", "small.png", "bright.png", "broken.png"):
        (source / "healthy" / name).unlink()
    assert len(bring_in(source)[0]) == 3


def test_images_near_those_of_other_splits_stay_and_the_log_names_those_of_select(tmp_path, bring_in, capsys):
    source = write_folder(tmp_path / "source", {"healthy": 1, "covid19": 1})
    (source / "healthy" / "seen.jpg").write_bytes(encoded(film(1), "JPEG"))
    # Of a training image: for the audit of memorisation to find.
    (source / "healthy" / "trained_on.png").write_bytes(encoded(picture(9999).repeat(2, axis=0)))
    assert len(bring_in(source)[0]) == 3
    named = [line for line in capsys.readouterr().out.splitlines() if "nearly" in line]
    assert len(named) == 1
    assert named[0].startswith("  healthy/seen.jpg is nearly the same picture as the study's own real/select.png, by ")


def test_where_every_image_is_a_test_image_of_some_fold_all_leaks_are_told_at_once(tmp_path, bring_in):
    source = write_folder(tmp_path / "source", {"healthy": 1, "covid19": 1})
    for name, pixels in (("seen", film(1)), ("tested", film(2)), ("trained_on", picture(9999))):
        (source / "healthy" / f"{name}.png").write_bytes(encoded(pixels.repeat(2, axis=0)))
    assert len(problems(bring_in, source, splits=[])) == 3


def test_further_phantoms_are_none_of_the_study_s(tmp_path, bring_in, index):
    shown = {"healthy": 40, "viral": 40}
    for name, seed in (("own", 3), ("further", 1003)):
        folder = tmp_path / name
        draw_phantoms(folder / "m.csv", folder / "images", shown, seed=seed, size=32, images_per_patient=1)
    own, further = (pd.read_csv(tmp_path / name / "m.csv") for name in ("own", "further"))
    hashes = [perceptual_hash(decode(tmp_path / "own" / image)) for image in own["image"]]
    own.assign(sha256=own["image"], hash=hashes, width=32, height=32).to_csv(index, index=False)
    for image, label in zip(further["image"], further["label"], strict=True):
        (tmp_path / "source" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy2(tmp_path / "further" / image, tmp_path / "source" / label)
    for name in shown:
        assert len(bring_in(tmp_path / "source", name=name, classes={each: each for each in shown})[0]) == 40


def test_parquet_files_of_another_layout_are_refused(tmp_path, bring_in):
    good = [encoded(picture(0))]
    source = tmp_path / "source"
    write_parquet(source / "a.parquet", pa.array(["x.png"]), pa.array(["healthy"]))
    write_parquet(source / "b.parquet", pa.array(good), pa.array([1]))
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    write_parquet(source / "c.parquet", pa.array([{"bytes": None, "path": "x.png"}], kind), pa.array(["healthy"]))
    (source / "d.parquet").write_text("no parquet")
    pq.write_table(pa.table({"img": pa.array(good)}), source / "e.parquet")
    write_parquet(source / "f.parquet", pa.array(good), pa.array([None], pa.string()))
    found = problems(bring_in, source)
    expected = [
        "a.parquet: column `image` is string, not bytes",
        "b.parquet: column `label` holds numbers without their names",
        "d.parquet: cannot be read as Parquet",
        "e.parquet: no column `image` and `label` (columns: img); rename them",
        "c.parquet, row 0: a path without bytes",
    ]
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("kind", ["folder", "parquet", "flat", "missing"])
def test_a_class_that_is_not_there(tmp_path, bring_in, kind):
    source = tmp_path / "source"
    if kind == "folder":
        write_folder(source, {"healthy": 2})
    elif kind == "parquet":
        write_parquet(source / "a.parquet", pa.array([encoded(picture(0))]), pa.array(["healthy"]))
    elif kind == "flat":
        source.mkdir()
        (source / "a.png").write_bytes(encoded(picture(0)))
    expected = {
        "folder": ["no sub-folder is called `covid19` or `COVID-19` (there are: `healthy`)"],
        "parquet": ["no row has the label `covid19` or `COVID-19` (there are: `healthy`)"],
        "flat": ["is called `healthy` (there are: none)", "is called `covid19` or `COVID-19` (there are: none)"],
        "missing": ["there is no such file or folder; correct the path"],
    }[kind]
    found = problems(bring_in, source)
    assert all(text in line for line, text in zip(found, expected, strict=True)), found


def test_the_files_of_a_source_are_listed_in_order(tmp_path):
    source = write_folder(tmp_path / "source", {"b": 2, "a": 1, ".c": 1})
    (source / "a" / ".hidden.png").touch()
    (source / "README.md").touch()
    assert [path.relative_to(source).as_posix() for path in source_files(source)] == [
        "a/000.png",
        "b/000.png",
        "b/001.png",
    ]
    assert source_files(str(source), ["a", "A"]) == [source / "a" / "000.png"]
    assert source_files(source / "README.md") == [source / "README.md"]
    assert source_files(tmp_path / "nowhere") == []
    (source / "z").mkdir()
    for file in ("z/2.parquet", "1.parquet", ".cache.parquet"):
        (source / file).touch()
    assert source_files(source, ["a"]) == [source / "1.parquet", source / "z" / "2.parquet"]


def test_accents_may_be_written_either_way(tmp_path):
    source = write_folder(tmp_path / "source", {"fie\u0300vre": 2})
    assert find_class(source, "fi\u00e8vre", {"fi\u00e8vre": "x"}).count == 2
    assert len(source_files(source, ["fi\u00e8vre"])) == 2
