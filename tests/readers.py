"""Kits of known origin, and simulated readers of known effects. For tests alone: a study has real readers or none."""

import hashlib

import numpy as np
import pandas as pd

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


def read(key, reader="Dr. A", effects=None, class_effects=None, bias=0.0, noise=0.5, spread=1.0, image_seed=0, seed=1):
    """What a reader exports of a kit: of each image a latent value (the effect of its source and class, and chance of
    `spread` that all readers see alike), seen with the reader's own `bias` and `noise`, and cut into scores.

    `effects` of a source is on how good it is; of a pair, it is what the real image is better by.
    """
    own, looks = np.random.default_rng(seed), np.random.default_rng(image_seed)
    mode = key["mode"].iloc[0]
    latent, rows = {}, []
    for item, images in key.groupby("item", sort=True):
        made = images[images["source"] != "real"] if mode == "pair" else images
        source, label, identity = made[["source", "class", "identity"]].iloc[0]
        if (source, identity) not in latent:
            latent[source, identity] = spread * looks.normal(size=2)
        row = {"kit": images["kit"].iloc[0], "mode": mode, "reader": reader, "item": item}
        for score, chance in zip(SCORES[mode], latent[source, identity], strict=False):
            value = (effects or {}).get(source, 0) + (class_effects or {}).get(label, 0) + chance
            value += bias + noise * own.normal()
            low, cuts = CUTS[score]
            # A preference is given for the right side.
            sign = -1 if mode == "pair" and made["side"].iloc[0] == "right" else 1
            row[score] = low + int(np.digitize(sign * value, cuts))
        rows.append(row | {"seconds": f"{own.gamma(4, 3):.1f}"})
    return pd.DataFrame(rows)


def joined(*frames, keys):
    """The rows of scores/rating_rows.csv of readers' frames, through the files' own path."""
    import tempfile
    from pathlib import Path

    from synthworth.ratings.exports import read_export
    from synthworth.ratings.joining import join_ratings

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{place}.csv" for place in range(len(frames))]
        for frame, path in zip(frames, paths, strict=True):
            frame.to_csv(path, index=False)
        return join_ratings([read_export(path) for path in paths], {key["kit"].iloc[0]: key for key in keys})
