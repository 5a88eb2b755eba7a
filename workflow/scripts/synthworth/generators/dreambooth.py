"""DreamBooth (Ruiz et al. 2023): fine-tuning on one subject, here a class, that keeps what the base model knew of it.

Beside the class's images the U-Net is trained on images that the base model made of a broader prompt (`prior`). Text
encoder and VAE stay frozen, as in Schaudt et al. 2023, section 3.2.5. A checkpoint is a folder that
`StableDiffusionPipeline.from_pretrained` loads.
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
    """A trainer over the images of a class and those of `data.prior`, fresh or resumed from the file `state`.

    `settings` are a generator's keys `training` and `prior` (prompt, weight); None is plain fine-tuning.
    """
    return build_on_base(
        data, settings, seed, state, load_unet(data.base), partial(save_pipeline, data.base), settings["prior"]
    )
