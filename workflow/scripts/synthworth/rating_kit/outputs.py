"""A kit as files: the folder that is handed out, and the key that stays with the study."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.rating_kit import KEY
from synthworth.rating_kit.draw import draw
from synthworth.rating_kit.images import TIME, read_pixels, write_image
from synthworth.rating_kit.page import write_page
from synthworth.rating_kit.seal import seal
from synthworth.ratings.scales import REAL

COLUMNS = ["kit", "mode", "item", "side", "file", "source", "class", "identity", "prompt", "repeats"]


def make_rating_kit(
    real_images: str | Path,
    real_index: str | Path,
    shards: Sequence[str | Path],
    kit: str | Path,
    key: str | Path,
    mode: str,
    labels: Mapping[str, str],
    images: int,
    real_share: float,
    repeat_share: float,
    size: int,
    passphrase: str,
    seed: int,
) -> None:
    """Writes the folder `kit` (index.html, images/, key.sealed) and the open `key` (CSV).

    `real_images` is an array of images of `size` pixels a side, `real_index` its index (CSV), in the same order.
    `labels` are what readers know the classes by. `images`, `real_share` and `repeat_share` are as in `draw`. The kit's
    id is a hash of the key, and a file's name one of its pixels: another image anywhere makes another kit.
    """
    candidates = pd.concat([_real_candidates(real_index), _synthetic_candidates(shards)], ignore_index=True)
    _require(candidates, mode)
    rows = draw(mode, candidates, images, real_share, repeat_share, seed)
    with replacing(key) as temporary_key, replacing(kit) as folder:
        (folder / "images").mkdir(parents=True)
        pixels = read_pixels(rows, [real_images, *shards], size, folder.parent)
        names = zip(pixels, rows["item"], rows["side"], strict=True)
        rows["file"] = [f"images/{write_image(folder / 'images', image, [seed, *name])}" for image, *name in names]
        if mode != "prompt":
            rows["prompt"] = ""
        rows = rows.assign(mode=mode)[COLUMNS[1:]]
        identity = hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:12]
        rows.insert(0, "kit", identity)
        rows.to_csv(temporary_key, index=False, lineterminator="\n")
        (folder / KEY).write_text(seal(rows, passphrase), encoding="ascii")
        write_page(folder / "index.html", identity, mode, size, _items(rows, labels))
        for file in (folder / KEY, folder / "index.html"):
            os.utime(file, (TIME, TIME))
        print(rows["source"].value_counts().to_string(), flush=True)


def _real_candidates(index: str | Path) -> pd.DataFrame:
    rows = pd.read_csv(index, dtype=str, keep_default_na=False).rename(columns={"image": "identity"})
    return rows[["class", "identity"]].assign(source=REAL, prompt="", file=0, place=range(len(rows)))


def _synthetic_candidates(shards: Sequence[str | Path]) -> pd.DataFrame:
    """The images of the shards, which are the files after that of the real images."""
    frames = []
    for file, shard in enumerate(shards, start=1):
        rows = pq.read_table(shard, columns=["generator", "label", "index", "prompt"]).to_pandas()
        frames.append(
            rows.rename(columns={"generator": "source", "label": "class"}).assign(
                identity=rows["label"] + "/" + rows["index"].astype(str), file=file, place=range(len(rows))
            )
        )
    return pd.concat(frames, ignore_index=True)[["class", "identity", "source", "prompt", "file", "place"]]


def _require(candidates: pd.DataFrame, mode: str) -> None:
    """Raises StudyError where a pair would have no real image."""
    real = candidates["source"] == REAL
    lacking = sorted(set(candidates.loc[~real, "class"]) - set(candidates.loc[real, "class"]))
    if mode == "pair" and lacking:
        problem = "no image of this class was held out; give the split more patients, or take `pair` out of"
        problems = [f"{name}: {problem} `assessment.modes`" for name in lacking]
        raise StudyError("There are no real images for pairs.", problems)


def _items(rows: pd.DataFrame, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the page is told of each item: the finding that an image is meant to show, or its prompt, and no more."""
    items: dict[str, dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        shown = {"single": labels[row["class"]], "pair": None, "prompt": row["prompt"]}[row["mode"]]
        items.setdefault(row["item"], {"item": row["item"], "images": [], "shown": shown})["images"].append(row["file"])
    return list(items.values())
