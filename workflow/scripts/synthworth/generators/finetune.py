"""Fine-tuning: all weights of Stable Diffusion's U-Net go on being trained, on the images and their prompts.

Schaudt et al. 2023, section 3.2.3; the checkpoint holds the averaged weights where there is an EMA. A checkpoint is a
folder that `StableDiffusionPipeline.from_pretrained` loads.
"""

from functools import partial
from pathlib import Path
from typing import Any

from synthworth.generators import TrainingSet
from synthworth.generators.diffusion import DiffusionTrainer, advance
from synthworth.generators.stable_diffusion import build_on_base, load_unet, save_pipeline
from synthworth.generators.stable_diffusion_sampling import draw as sample

__all__ = ["advance", "build", "sample"]


def build(data: TrainingSet, settings: dict[str, Any], seed: int, state: Path | None) -> DiffusionTrainer:
    """A trainer over images of one or more classes, fresh or resumed from the file `state`.

    `settings` are a generator's key `training`.
    """
    return build_on_base(data, settings, seed, state, load_unet(data.base), partial(save_pipeline, data.base))
