"""The sheet of the closest pairs, from its files."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthworth.figure_style import save_figure
from synthworth.memorization.outputs import read_table
from synthworth.memorization.sheets import closest_pairs
from synthworth.protocols import provenance
from synthworth.selected import read_selection
from synthworth.shards import read_shard


def draw_closest_pairs(
    audited: str,
    alarms: str,
    selected: str,
    samples: Sequence[str],
    images: str,
    index: str,
    png: str,
    pdf: str,
    study: str,
    protocol: str,
) -> None:
    """The chosen checkpoints' images that are most like a training image, each beside it, over all classes.

    `audited` and `alarms` are tables of `audit_generator`, `samples` the shards of all checkpoints, `images` and
    `index` those of the training split.
    """
    chosen = {(name, choice["scope"], choice["step"]) for name, choice in read_selection(selected).items()}
    table = read_table(audited)
    pixels: dict[tuple[str, str], np.ndarray] = {}
    for shard in samples:
        # Most checkpoints were not chosen: their images need not be decoded.
        of_checkpoint = pd.read_parquet(shard, columns=["label", "scope", "step"])
        if not chosen.intersection(of_checkpoint.itertuples(index=False, name=None)):
            continue
        found, rows = read_shard(shard)
        for place, row in enumerate(rows.itertuples()):
            if (row.label, row.scope, row.step) in chosen:
                pixels[row.label, str(row.index)] = found[place]
    synthetic = np.stack([pixels[key] for key in zip(table["class"], table["image"], strict=True)])
    names = pd.read_csv(index, dtype=str, keep_default_na=False)["image"]
    trained_on = np.load(images, mmap_mode="r")
    wanted = set(table["similar_image"])
    training = {name: trained_on[place] for place, name in enumerate(names) if name in wanted}
    own = read_table(alarms).query("images == 'own'")
    generator = table["generator"].iloc[0]
    flags = ", ".join(f"{value:.2f} ({name})" for value, name in zip(own["threshold"], own["class"], strict=True))
    note = f"Flagged: a copy score above {flags}. {provenance(study, protocol)}"
    figure = closest_pairs(table, synthetic, training, title=f"Closest pairs ({generator})", note=note)
    save_figure(figure, png, pdf)
