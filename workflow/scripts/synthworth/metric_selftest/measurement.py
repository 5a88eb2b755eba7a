"""The self-test of the metrics that look through one extractor, or of those that look at images, on a study's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.files import replacing
from synthworth.metric_selftest.responses import selftest


def measure(
    images: str | Path,
    index: str | Path,
    output: str | Path,
    metrics: Sequence[str],
    images_per_half: int,
    seed: int,
    extractor: str = "",
    kind: str = "",
    weights: Path | None = None,
) -> None:
    """Writes the frame of `responses.selftest` as CSV, for metrics of features of one extractor, or of images.

    `images` (uint8 array file) and `index` (CSV) are of the training split. An extractor has a name, a kind and the
    folder of its weights; of metrics of images these are empty.
    """
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    extractors = {}
    if weights is not None:
        from synthworth.features import load_extractor

        extractors[extractor] = load_extractor(kind, weights)
    values = selftest(
        np.load(images),
        rows["class"].to_numpy(),
        rows["patient"].to_numpy(),
        metrics,
        extractors,
        seed=seed,
        images_per_half=images_per_half,
    )
    with replacing(output) as temporary:
        values.to_csv(temporary, index=False)
