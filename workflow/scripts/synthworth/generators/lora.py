"""LoRA (Hu et al. 2021): the U-Net's weights stay; products of two thin matrices are trained beside those of attention.

Schaudt et al. 2023, section 3.2.4. A checkpoint is the base model's folder with `pytorch_lora_weights.safetensors`
in it, which `StableDiffusionPipeline.load_lora_weights` reads.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from synthworth import seeds
from synthworth.errors import StudyError
from synthworth.generators import TrainingSet
from synthworth.generators.diffusion import DiffusionTrainer, advance
from synthworth.generators.stable_diffusion import build_on_base, link_pipeline, load_unet
from synthworth.generators.stable_diffusion_sampling import draw

__all__ = ["advance", "build", "sample"]

WEIGHTS = "pytorch_lora_weights.safetensors"


def build(data: TrainingSet, settings: dict[str, Any], seed: int, state: Path | None) -> DiffusionTrainer:
    """A trainer over images of one or more classes, fresh or resumed from the file `state`.

    `settings` are a generator's keys `training` and `lora` (rank, alpha, targets).
    """
    unet = load_unet(data.base)
    lora = settings["lora"]
    _require_layers(unet, lora["targets"])
    torch.manual_seed(seeds.seed(seed, "weights"))
    # Freezes all other weights.
    unet.add_adapter(
        LoraConfig(
            r=lora["rank"],
            lora_alpha=lora["alpha"],
            target_modules=list(lora["targets"]),
            # Normal with deviation 1 / rank, as in diffusers' scripts; the other matrix is zero.
            init_lora_weights="gaussian",
        )
    )

    def save_checkpoint(folder: Path, unet: UNet2DConditionModel) -> None:
        link_pipeline(data.base, folder)
        StableDiffusionPipeline.save_lora_weights(
            folder,
            weight_name=WEIGHTS,
            unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(unet)),
            # Without it a reader takes alpha to be the rank.
            unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
        )

    return build_on_base(data, settings, seed, state, unet, save_checkpoint)


def sample(
    checkpoint: Path, conditions: pd.DataFrame, settings: dict[str, Any], batch_size: int
) -> Iterator[np.ndarray]:
    """Batches of images of the prompts in `conditions` (see `draw`).

    `sampling.scale` is the share of what was learnt that is added to the base model's weights: 0 is the base model.
    """

    def add_lora(pipeline: StableDiffusionPipeline) -> None:
        pipeline.load_lora_weights(checkpoint, weight_name=WEIGHTS, local_files_only=True)
        # Added to the weights once, it costs no time at each step.
        pipeline.fuse_lora(components=["unet"], lora_scale=settings["sampling"]["scale"])
        pipeline.unload_lora_weights()

    return draw(checkpoint, conditions, settings, batch_size, add_lora)


def _require_layers(unet: UNet2DConditionModel, targets: Sequence[str]) -> None:
    modules = dict(unet.named_modules())
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in modules)]
    if missing:
        linear = [name for name, module in modules.items() if isinstance(module, torch.nn.Linear)]
        # The last part of a name that is no number, with the numbers after it: to_q, to_out.0.
        known = ", ".join(sorted({re.sub(r".*\.(?=[a-z])", "", name) for name in linear}))
        raise StudyError(
            "LoRA has no such layers to adapt.",
            [f"generators.<name>.lora.targets: no layer is named {target}; there are {known}" for target in missing],
        )
