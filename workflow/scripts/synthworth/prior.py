"""DreamBooth's class images: what the base model makes of the class's prompt, so that training does not unlearn it.

Ruiz et al. 2023, section 3.2: the prior-preservation loss is taken on samples of the frozen model itself.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from synthworth import seeds
from synthworth.encodings import encode
from synthworth.generators.stable_diffusion_sampling import draw
from synthworth.shards import read_shard, write_shard

# In a shard's column of names: the base model before any training.
SCOPE, STEP = "prior", 0


def sample_prior(
    base: Path,
    shard: Path,
    encodings: Path,
    prompt: str,
    images: int,
    generator: str,
    size: int,
    sampling: dict[str, Any],
    study_seed: int,
    batch_size: int = 8,
) -> None:
    """Draws `images` images of `prompt` from the pipeline folder `base`, writes them as a shard and encodes them.

    Image i hangs on (study seed, generator, i) alone, so that a larger number keeps the ones before. They stay in
    colour, as the base model sees them; `encodings` is a file as `encodings.encode` writes. `sampling` is a
    generator's key of that name.
    """
    rows = pd.DataFrame(
        {
            "index": range(images),
            "label": SCOPE,
            "prompt": prompt,
            "generator": generator,
            "scope": SCOPE,
            "step": STEP,
            "seed": [seeds.seed(study_seed, "prior", generator, index) for index in range(images)],
        }
    )
    settings = {"size": size, "channels": 3, "sampling": sampling}
    write_shard(shard, draw(base, rows, settings, batch_size), rows)
    encode(base, read_shard(shard, columns=())[0], encodings)
