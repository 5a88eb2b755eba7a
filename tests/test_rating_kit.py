"""Kits for readers: what is drawn, that nothing but pixels tells where an image is from, and the sealed key."""

import hashlib
import re
import struct
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rating_kits import LABELS, SETTINGS, make_kit, noise, write_images

from synthworth.errors import StudyError
from synthworth.rating_kit.draw import DISTANCE, REAL, draw
from synthworth.rating_kit.seal import seal, unseal
from synthworth.resizing import resize

MODES = ["single", "pair", "prompt"]


def candidates(real=40, synthetic=60, generators=("ddpm", "lora"), classes=tuple(LABELS)):
    rows = [
        {"source": source, "class": name, "identity": f"{source}/{name}/{number}"}
        for source, count in ((REAL, real), *((generator, synthetic) for generator in generators))
        for name in classes
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def drawn(mode="single", images=20, real_share=0.2, repeat_share=0.1, seed=1, **changes):
    return draw(mode, candidates(**changes), images, real_share, repeat_share, seed)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Real images of 32 px, and synthetic ones of 32 and of 48 px, smooth and grainy."""
    real = {name: noise(6, 32, seed=place) for place, name in enumerate(LABELS)}
    synthetic = {
        "ddpm": {name: np.full((4, 32, 32, 1), 40 * place + 60, np.uint8) for place, name in enumerate(LABELS)},
        "lora": {name: noise(4, 48, seed=10 + place) for place, name in enumerate(LABELS)},
    }
    return write_images(tmp_path_factory.mktemp("images"), real, synthetic)


@pytest.mark.parametrize("seed", range(5))
def test_a_single_kit_has_its_share_of_real_images_in_each_class(seed):
    rows = drawn(seed=seed)
    first = rows[rows["repeats"] == ""]
    counts = first.groupby(["source", "class"]).size()
    assert all(counts[generator, name] == 20 for generator in ("ddpm", "lora") for name in LABELS)
    assert all(counts[REAL, name] == 10 for name in LABELS)
    assert not first["identity"].duplicated().any()
    assert set(drawn(seed=seed, real_share=0)["source"]) == {"ddpm", "lora"}


def test_fewer_images_than_asked_for_are_all_shown():
    rows = drawn(images=20, synthetic=7, real=2, repeat_share=0)
    assert rows.groupby(["source", "class"]).size().to_dict() == {
        (source, name): 2 if source == REAL else 7 for source in ("ddpm", "lora", REAL) for name in LABELS
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", MODES)
def test_a_share_of_the_items_comes_again_with_others_between(mode, seed):
    rows = drawn(mode, seed=seed)
    items = rows.drop_duplicates("item").set_index("item")
    assert items.index.tolist() == [f"{number:0{len(str(len(items)))}}" for number in range(1, len(items) + 1)]
    again = items[items["repeats"] != ""]
    once = len(items) - len(again)
    assert len(again) == round(0.1 * once)
    assert not again["repeats"].duplicated().any()
    shown = rows.groupby("item")["identity"].agg(list)
    for item, first in again["repeats"].items():
        assert shown[item] == shown[first]
        assert items.loc[first, "repeats"] == ""
        assert int(item) - int(first) > DISTANCE * once
    # And nothing else comes again.
    assert not shown[items["repeats"] == ""].map(tuple).duplicated().any()


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_of_one_class_with_the_real_image_on_either_side_equally_often(seed):
    rows = drawn("pair", images=21, real=8, seed=seed, repeat_share=0)
    left, right = (rows[rows["side"] == side].set_index("item") for side in ("left", "right"))
    assert (left["class"] == right["class"]).all()
    real_left = left["source"] == REAL
    assert ((right["source"] == REAL) != real_left).all()
    generator = left["source"].where(~real_left, right["source"])
    for _, own in real_left.groupby(generator):
        assert own.sum() == len(own) / 2 == 4 * len(LABELS) / 2
    # Each class has 8 real images: 4 pairs of each generator, for an image that came again would be the real one.
    assert not rows["identity"].duplicated().any()
    assert (rows.groupby(["source", "class"]).size() == [4, 4, 4, 4, 8, 8]).all()


def test_the_order_says_nothing_of_the_source():
    rows = drawn(images=60, real_share=0.5, real=200, repeat_share=0)
    real = (rows["source"] == REAL).to_numpy()
    assert real.mean() == 0.5
    # Of 480 coins in a row: runs, and heads in either half.
    assert abs(np.count_nonzero(np.diff(real)) - 240) < 50
    assert abs(real[:240].sum() - 120) < 30
    assert drawn(seed=1).equals(drawn(seed=1))
    assert not drawn(seed=1).equals(drawn(seed=2))


def test_another_generator_leaves_the_choice_of_the_others_as_it_is():
    def chosen(rows):
        return set(rows.loc[rows["source"] == "lora", "identity"])

    assert chosen(drawn()) == chosen(drawn(generators=("ddpm", "gan", "lora")))
    assert chosen(drawn()) != chosen(drawn(seed=2))
    assert chosen(drawn(images=10)) < chosen(drawn())


@pytest.mark.parametrize("mode", MODES)
def test_files_differ_in_their_pixels_alone(inputs, tmp_path, mode):
    key = make_kit(tmp_path, inputs, mode, images=3)
    kit = tmp_path / "kit"
    assert sorted(path.name for path in kit.iterdir()) == ["images", "index.html", "key.sealed"]
    files = sorted((kit / "images").iterdir())
    assert sorted(f"images/{path.name}" for path in files) == sorted(key["file"])
    assert all(re.fullmatch(r"[0-9a-f]{16}\.png", path.name) for path in files)
    assert len({path.stat().st_size for path in files}) == 1
    assert len({path.stat().st_mtime for path in kit.rglob("*") if path.is_file()}) == 1
    assert {tuple(chunks(path.read_bytes())) for path in files} == {("IHDR", "IDAT", "IEND")}
    assert {(Image.open(path).size, Image.open(path).mode) for path in files} == {((32, 32), "L")}
    page = (kit / "index.html").read_text()
    for word in ("ddpm", "lora", *(identity for identity in key["identity"]), "open sesame", "repeats"):
        assert word not in page


def chunks(data):
    """The kinds of a PNG's chunks, without those that follow one of their own kind."""
    kinds, place = [], 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        kinds += [kind.decode()] if kinds[-1:] != [kind.decode()] else []
        place += length + 12
    return kinds


@pytest.mark.parametrize("mode", MODES)
def test_the_key_names_what_each_file_shows(inputs, tmp_path, mode):
    key = make_kit(tmp_path, inputs, mode, images=3)
    real, index = np.load(inputs["real_images"]), pd.read_csv(inputs["real_index"])
    place = {image: number for number, image in enumerate(index["image"])}
    smooth = {name: np.full((32, 32), 40 * number + 60) for number, name in enumerate(LABELS)}
    grainy = {name: resize(noise(4, 48, seed=10 + number), 32) for number, name in enumerate(LABELS)}
    for row in key.to_dict("records"):
        name, number = row["class"], int(row["identity"].split("/")[1].removesuffix(".png"))
        if row["source"] == REAL:
            expected = real[place[row["identity"]], ..., 0]
        else:
            assert row["identity"] == f"{name}/{number}"
            expected = smooth[name] if row["source"] == "ddpm" else grainy[name][number, ..., 0]
        np.testing.assert_array_equal(Image.open(tmp_path / "kit" / row["file"]), expected)
    assert set(key["prompt"]) == ({f"An X-ray of the lung, {name}" for name in LABELS} if mode == "prompt" else {""})
    assert set(key["side"]) == ({"left", "right"} if mode == "pair" else {""})
    assert (REAL in set(key["source"])) == (mode != "prompt")
    digest = hashlib.sha256(key.drop(columns="kit").to_csv(index=False, lineterminator="\n").encode()).hexdigest()
    assert set(key["kit"]) == {digest[:12]}


def test_colours_stay_colours(tmp_path):
    real = {name: noise(3, 16, 3, seed=place) for place, name in enumerate(LABELS)}
    inputs = write_images(tmp_path, real, {"gan": {name: noise(3, 24, 3) for name in LABELS}})
    key = make_kit(tmp_path, inputs, "single", size=16)
    assert {Image.open(tmp_path / "kit" / file).mode for file in key["file"]} == {"RGB"}
    assert len({(tmp_path / "kit" / file).stat().st_size for file in key["file"]}) == 1


def test_a_kit_is_made_again_bit_for_bit_and_is_another_one_with_other_pixels(inputs, tmp_path):
    def contents(folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    key = make_kit(tmp_path / "a", inputs, "single")
    make_kit(tmp_path / "b", inputs, "single")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    images = np.load(inputs["real_images"])
    np.save(tmp_path / "other.npy", 255 - images)
    other = make_kit(tmp_path / "c", inputs | {"real_images": tmp_path / "other.npy"}, "single")
    assert set(other["kit"]).isdisjoint(key["kit"])
    assert other[["item", "source", "identity"]].equals(key[["item", "source", "identity"]])


def test_of_all_its_images_a_kit_holds_those_of_one_shard_in_memory(tmp_path):
    real = {name: noise(20, 128, 3, seed=place) for place, name in enumerate(LABELS)}
    shards = {f"gan-{number}": {name: noise(20, 128, 3) for name in LABELS} for number in range(10)}
    inputs = write_images(tmp_path, real, shards)
    tracemalloc.start()
    key = make_kit(tmp_path, inputs, "single", images=20, size=128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    image = 128 * 128 * 3
    assert len(key) > 450
    # Noise is as large encoded as decoded. Those of one shard are there as files, as images and as one array.
    assert peak < 5 * 20 * image
    assert sorted(path.name for path in (tmp_path / "kit").iterdir()) == ["images", "index.html", "key.sealed"]


def test_pairs_without_real_images_of_a_class_are_refused(tmp_path):
    inputs = write_images(tmp_path, {"healthy": noise(2, 32)}, {"gan": {name: noise(3, 32) for name in LABELS}})
    with pytest.raises(StudyError, match="viral: no image of this class was held out"):
        make_kit(tmp_path, inputs, "pair")
    assert not (tmp_path / "kit").exists()
    assert not (tmp_path / "key.csv").exists()
    assert set(make_kit(tmp_path, inputs, "single")["class"]) == set(LABELS)


def test_a_sealed_key_opens_with_its_passphrase_alone(inputs, tmp_path):
    key = make_kit(tmp_path, inputs, "pair")
    for path in (tmp_path / "kit", tmp_path / "kit" / "key.sealed"):
        pd.testing.assert_frame_equal(unseal(path, SETTINGS["passphrase"]), key)
    sealed = (tmp_path / "kit" / "key.sealed").read_text()
    assert seal(key, SETTINGS["passphrase"]) == sealed
    assert "ddpm" not in sealed
    with pytest.raises(StudyError, match=f"assessment.passphrase.*{key['kit'][0]}"):
        unseal(tmp_path / "kit", "open barley")
    # Nor with another kit's name on it, or with a letter changed.
    title, text = sealed.splitlines()
    for damaged in (f"{title[:-1]}x\n{text}\n", f"{title}\nAAAA{text[4:]}\n"):
        (tmp_path / "kit" / "key.sealed").write_text(damaged)
        with pytest.raises(StudyError, match="cannot be opened"):
            unseal(tmp_path / "kit", SETTINGS["passphrase"])
    for damaged in ("", "some text\nmore\n", f"{title}\nnot base64\n"):
        (tmp_path / "kit" / "key.sealed").write_text(damaged)
        with pytest.raises(StudyError, match="cannot be read"):
            unseal(tmp_path / "kit", SETTINGS["passphrase"])
    with pytest.raises(StudyError, match="There is no sealed key"):
        unseal(tmp_path / "nowhere", SETTINGS["passphrase"])


def test_names_of_classes_cannot_break_the_page(tmp_path):
    labels = {"healthy": "</script><b>&", "viral": 'ü "x"'}
    real = {name: noise(2, 32, seed=place) for place, name in enumerate(LABELS)}
    make_kit(tmp_path, write_images(tmp_path, real, {"gan": real}), "single", labels=labels)
    page = (tmp_path / "kit" / "index.html").read_text()
    assert "</script><b>" not in page
    assert page.count("</script>") == 2
    assert "http://" not in page and "https://" not in page
