"""Which images of a shard are copies, from its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from synthworth.features import load_extractor
from synthworth.memorization.copies import most_similar
from synthworth.memorization.outputs import named, read_reference, read_split, write_csv
from synthworth.memorization.power import calibrate
from synthworth.memorization.sets import ImageSet
from synthworth.shards import read_shard


def flag_shard(
    shard: str,
    train: Mapping[str, str],
    references: Sequence[str],
    weights: Path,
    output: str,
    names: Mapping[str, str],
    kind: str,
    rate: float,
) -> None:
    """Which images of a shard are copies: a CSV, after `names` index, similarity, similar_image and flagged.

    The alarm is that of the audit: the first two of `references` are the class's own, the others those of the others.
    """
    trained_on, _ = read_split(train)
    pixels, rows = read_shard(shard, columns=["index"])
    scores, places = most_similar(ImageSet(load_extractor(kind, weights)(pixels), pixels), trained_on)
    known = [read_reference(*files) for files in zip(references[::2], references[1::2], strict=True)]
    own, *others = (reference.of_kind("held_out") for reference in known)
    threshold = calibrate(own, others, rate).threshold
    frame = pd.DataFrame(
        {
            "index": rows["index"],
            "similarity": scores,
            "similar_image": [trained_on.names[place] for place in places],
            "flagged": scores > threshold,
        }
    )
    write_csv(named(frame, names), output)
