"""Kits of known origin, and simulated readers of known effects. For tests alone: a study has real readers or none."""

import hashlib

import numpy as np
import pandas as pd

from synthworth.ratings.exports import COLUMNS, Export
from synthworth.ratings.joining import join_ratings

KEY = ["kit", "mode", "item", "side", "file", "source", "class", "identity", "prompt", "repeats"]
# Where a latent value of mean 0 and spread about 1 is cut into scores.
CUTS = {
    "quality": (1, [-1.2, -0.4, 0.4, 1.2]),
    "plausibility": (1, [-0.6, 0.6]),
    "preference": (-2, [-1.2, -0.4, 0.4, 1.2]),
    "agreement": (-2, [-1.2, -0.4, 0.4, 1.2]),
}
SCORES = {"single": ["quality", "plausibility"], "pair": ["preference"], "prompt": ["agreement"]}


def make_key(
    mode="single", generators=("gan", "ddpm"), classes=("healthy", "viral"), images=5, real=0, repeats=0, seed=0
):
    """A kit's key as in key.csv: so many `images` of each generator and class, `real` ones of each class."""
    rng = np.random.default_rng(seed)
    shown = [(name, label, f"{label}/{place}") for name in generators for label in classes for place in range(images)]
    if mode != "pair":
        shown += [("real", label, f"{label}-{place}.png") for label in classes for place in range(real)]
    shown = [shown[place] for place in rng.permutation(len(shown))]
    again = [""] * len(shown) + [f"{place + 1:03}" for place in range(repeats)]
    shown += shown[:repeats]
    rows = []
    for place, (source, label, identity) in enumerate(shown):
        row = {"mode": mode, "item": f"{place + 1:03}", "class": label, "repeats": again[place]}
        row["prompt"] = f"an X-ray, {label}" if mode == "prompt" else ""
        own = row | {"side": "", "file": f"images/{place + 1:03}.png", "source": source, "identity": identity}
        if mode != "pair":
            rows.append(own)
            continue
        # A repeated pair has its sides the other way round.
        left, right = (
            ("left", "right") if (int(again[place] or place + 1) + bool(again[place])) % 2 else ("right", "left")
        )
        partner = {"source": "real", "identity": f"{source}-{identity}.png", "file": f"images/{place + 1:03}r.png"}
        rows += sorted([own | {"side": left}, own | partner | {"side": right}], key=lambda image: image["side"])
    frame = pd.DataFrame(rows)
    kit = hashlib.sha256(frame.to_csv().encode()).hexdigest()[:12]
    return frame.assign(kit=kit)[KEY]


def look(latent, score, noise, rng):
    """The scores that a reader gives for latent values [n], which `noise` of the reader's own blurs."""
    low, cuts = CUTS[score]
    return low + np.digitize(latent + noise * rng.normal(size=np.shape(latent)), cuts)


def read(key, reader="Dr. A", effects=None, class_effects=None, bias=0.0, noise=0.5, spread=1.0, image_seed=0, seed=1):
    """What a reader exports of a kit: of each image a latent value (the effect of its source and class, and chance of
    `spread` that all readers see alike), seen with the reader's own `bias` and `noise`, and cut into scores.

    `effects` of a source is on how good it is; of a pair, it is what the real image is better by.
    """
    own, looks = np.random.default_rng(seed), np.random.default_rng(image_seed)
    mode = key["mode"].iloc[0]
    items = (key[key["source"] != "real"] if mode == "pair" else key).reset_index(drop=True)
    image = items.groupby(["source", "identity"], sort=False).ngroup().to_numpy()
    chance = spread * looks.normal(size=(len(SCORES[mode]), image.max() + 1))
    mean = items["source"].map(effects or {}).fillna(0) + items["class"].map(class_effects or {}).fillna(0)
    # A preference is given for the right side.
    sign = np.where(items["side"] == "right", -1, 1)
    given = {"kit": items["kit"], "mode": mode, "reader": reader, "item": items["item"]}
    for score, of_image in zip(SCORES[mode], chance, strict=True):
        given[score] = look(sign * (mean + of_image[image] + bias), score, noise, own)
    return pd.DataFrame(given | {"seconds": own.gamma(4, 3, len(items)).round(1)})


def joined(*frames, keys):
    """The rows of scores/rating_rows.csv of readers' frames."""
    exports = [
        Export("reader", list(frame), frame.astype(str).reindex(columns=COLUMNS, fill_value="").assign(row=0), [])
        for frame in frames
    ]
    return join_ratings(exports, {key["kit"].iloc[0]: key for key in keys})
