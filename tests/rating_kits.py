"""Small rating kits, as tests need them: of drawn phantoms, or of noise."""

from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.phantoms import PATTERNS, draw_phantom, sample_anatomy, sample_exposure, sample_pathology
from synthworth.rating_kit.outputs import make_rating_kit
from synthworth.shards import write_shard

LABELS = {"healthy": "Healthy", "viral": "Viral pneumonia"}
SETTINGS = {"labels": LABELS, "images": 2, "real_share": 0.2, "repeat_share": 0.1, "size": 32}
SETTINGS |= {"passphrase": "open sesame", "seed": 1}


def noise(count: int, size: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def phantoms(count: int, size: int, name: str = "healthy", seed: int = 0) -> np.ndarray:
    """Drawn chest radiographs, uint8 [count, size, size, 1]."""
    generator = np.random.default_rng(seed)
    images = [
        draw_phantom(
            sample_anatomy(generator, 50, "F" if number % 2 else "M"),
            sample_pathology(generator, PATTERNS[name]),
            sample_exposure(generator),
            size,
        )
        for number in range(count)
    ]
    return np.stack(images)[..., None]


def write_images(folder: Path, real: dict[str, np.ndarray], synthetic: dict[str, dict[str, np.ndarray]]) -> dict:
    """Writes what `make_rating_kit` takes: `real[class]`, `synthetic[generator][class]`, uint8 [n, side, side, c]."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.concatenate(list(real.values())))
    rows = [{"image": f"{name}/{n}.png", "class": name} for name, images in real.items() for n in range(len(images))]
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    shards = []
    for generator, classes in synthetic.items():
        for name, images in classes.items():
            shards.append(folder / f"{generator}-{name}.parquet")
            table = {"label": name, "prompt": f"An X-ray of the lung, {name}", "generator": generator, "scope": name}
            numbers = range(len(images))
            write_shard(shards[-1], [images], pd.DataFrame({**table, "step": 1, "index": numbers, "seed": numbers}))
    return {"real_images": folder / "images.npy", "real_index": folder / "index.csv", "shards": shards}


def make_kit(folder: Path, inputs: dict, mode: str, **changes) -> pd.DataFrame:
    """Makes the kit `folder`/kit and returns its key."""
    make_rating_kit(**inputs, kit=folder / "kit", key=folder / "key.csv", mode=mode, **SETTINGS | changes)
    return pd.read_csv(folder / "key.csv", dtype=str, keep_default_na=False)
