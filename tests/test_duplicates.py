import io
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthworth.duplicates import NEAR_DISTANCE, PAIR_COLUMNS, near_duplicates
from synthworth.images import decode, perceptual_hash
from synthworth.ingestion import inspect_images
from synthworth.manifest import read_manifest

CXR4 = Path(__file__).parents[2] / "shared/data/cxr4"


def test_pairs_are_those_within_the_distance():
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (350, 256), dtype=np.uint8)
    bits[340] = bits[3]
    bits[340, :24] ^= 1
    bits[341] = bits[200]
    bits[341, 231:] ^= 1
    hashes = [np.packbits(row).tobytes().hex() for row in bits]
    index = pd.DataFrame(
        {"image": [f"{i:03d}" for i in range(350)], "patient": [f"p{i}" for i in range(350)], "hash": hashes}
    )
    assert near_duplicates(index).to_numpy().tolist() == [["003", "340", "p3", "p340", 24]]
    shuffled = near_duplicates(index.sample(frac=1, random_state=1), distance=100)
    first, second = np.triu_indices(350, 1)
    assert len(shuffled) == ((bits[first] != bits[second]).sum(axis=1) <= 100).sum()
    assert shuffled["distance"].head(2).tolist() == [24, 25]
    assert (shuffled["image_a"] < shuffled["image_b"]).all()
    assert list(near_duplicates(index.head(2))) == PAIR_COLUMNS


def test_ten_thousand_images_are_compared_in_seconds():
    generator = np.random.default_rng(0)
    names = [f"{i:05d}" for i in range(10_000)]
    index = pd.DataFrame({"image": names, "patient": names, "hash": [generator.bytes(32).hex() for _ in names]})
    start = time.monotonic()
    assert near_duplicates(index).empty
    assert time.monotonic() - start < 10


def altered(film):
    """Copies of a film as data sets hold them."""
    picture = Image.fromarray(film)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=50)
    yield np.asarray(Image.open(buffer))
    yield np.asarray(picture.resize((picture.width // 2, picture.height // 2)))
    for factor in (0.9, 1.1):
        yield np.clip(film * factor, 0, 255).astype(np.uint8)
        yield np.clip((film - film.mean()) * factor + film.mean(), 0, 255).astype(np.uint8)


@pytest.mark.skipif(not CXR4.is_dir(), reason="the real X-rays are not here")
def test_real_films_and_their_copies():
    frame = read_manifest(CXR4 / "manifest.csv")
    frame = pd.concat([frame[::6], frame[frame["label"] == "covid19"]]).drop_duplicates()
    index = inspect_images(frame, CXR4, {label: label for label in frame["label"].unique()}, threads=2)
    pairs = near_duplicates(index)
    # Two pictures that the source holds under two patients each; no two films of different people.
    assert set(pairs["patient_a"]) == {"covid-71ee1954", "covid-01a6e5b8"}
    distances = [
        (int(perceptual_hash(copy), 16) ^ int(digest, 16)).bit_count()
        for image, digest in zip(index["image"][::5], index["hash"][::5], strict=True)
        for copy in altered(decode(CXR4 / image))
    ]
    assert len(distances) > 100
    assert max(distances) <= NEAR_DISTANCE
