"""Images that someone else made, in place of a model's: what is sampled are the imported images, one after another.

So what a user has of an outside generator (RoentGen, medigan, anything) goes the way of the study's own images.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.outside_images import IMAGES, REMEDY

__all__ = ["sample"]


def sample(
    checkpoint: Path, conditions: pd.DataFrame, settings: Mapping[str, Any], batch_size: int
) -> Iterator[np.ndarray]:
    """Batches of uint8 images [b, size, size, channels]: of each row of `conditions` the image of its `index`.

    StudyError where there are not as many.
    """
    images = np.load(Path(checkpoint) / IMAGES, mmap_mode="r")
    if (last := conditions["index"].max()) >= len(images):
        problem = f"class {conditions['class'].iloc[0]}: {len(images)} images, but {last + 1} are needed; {REMEDY}"
        raise StudyError("There are fewer images than the study asks for.", [problem])
    for first in range(0, len(conditions), batch_size):
        yield images[conditions["index"].to_numpy()[first : first + batch_size]]
