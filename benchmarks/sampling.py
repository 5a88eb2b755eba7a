"""Sampling: one image at a time in float32, as the published scripts do, against a study's batches and precisions.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/sampling.py [--only ddpm|stable-diffusion|solver]

Three tables: a step of the DDPM's sampler (64 px on a CPU, 256 px on a GPU); a call of Stable Diffusion's U-Net under
guidance (a quarter of its width at 256 px on a CPU, all of it at 512 px on a GPU); an image by 250 steps of DDPM and
by 25 of DPM-Solver++. Weights are random. All images are those that a study would draw: by `sample` of the methods.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from ddpm_step import CHANNELS, SMALL, build
from diffusers import StableDiffusionPipeline
from rounds import alternate, machine, now, on_gpu, print_table
from scaled_pipeline import PROMPTS, scaled_pipeline

from synthworth.generators import ddpm
from synthworth.generators.stable_diffusion_sampling import draw

BATCH = 8
# Images at a time and precision.
WAYS = {
    "one at a time, float32 (as published)": (1, "no"),
    f"{BATCH} at a time, float32": (BATCH, "no"),
    f"{BATCH} at a time, bfloat16": (BATCH, "bf16"),
}


def main() -> None:
    """Times the ways and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["ddpm", "stable-diffusion", "solver"])
    parser.add_argument("--rounds", type=int, default=10 if on_gpu() else 3)
    parser.add_argument("--steps", type=int, default=50 if on_gpu() else 2, help="steps in the first two tables")
    parser.add_argument("--ddpm-size", type=int, default=256 if on_gpu() else 64)
    parser.add_argument("--width", type=float, default=1.0 if on_gpu() else 0.25)
    parser.add_argument("--size", type=int, default=512 if on_gpu() else 256, help="of Stable Diffusion's images")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    print(f"{machine()}\n\n{arguments.rounds} rounds of {BATCH} images")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "ddpm"):
            time_ddpm(Path(folder), arguments.ddpm_size, arguments.steps, arguments.rounds)
        if arguments.only in (None, "stable-diffusion"):
            base = scaled_pipeline(Path(folder) / "base", arguments.width, arguments.size)
            time_stable_diffusion(base, arguments.size, arguments.steps, arguments.rounds)
        if arguments.only in (None, "solver"):
            time_solvers(Path(folder), arguments.rounds)


def time_ddpm(folder: Path, size: int, steps: int, rounds: int) -> None:
    """The DDPM's ways, per step and image."""
    channels = CHANNELS["gpu" if on_gpu() else "cpu"]
    model = {"block_out_channels": channels, "attention_blocks": [len(channels) - 2], "layers_per_block": 2}
    checkpoint = ddpm_checkpoint(folder / "ddpm", model, size)
    conditions = conditions_of(rounds)
    ways = {}
    for name, (batch_size, precision) in WAYS.items():
        settings = {"sampling": {"scheduler": "ddpm", "steps": steps, "mixed_precision": precision}}
        ways[name] = drawing(ddpm.sample(checkpoint, conditions, settings, batch_size), BATCH // batch_size)
    print_table(f"DDPM, {size} px, channels {channels}: a step", alternate(ways, rounds), BATCH, steps)


def time_stable_diffusion(base: Path, size: int, steps: int, rounds: int) -> None:
    """Stable Diffusion's ways, per call of the U-Net and image (two latents, for guidance)."""
    conditions = conditions_of(rounds)
    ways = {}
    for name, (batch_size, precision) in WAYS.items():
        sampling = {"scheduler": "ddim", "steps": steps, "guidance_scale": 7.5, "mixed_precision": precision}
        calls = UnetCalls()
        settings = {"size": size, "channels": 3, "sampling": sampling}
        images = draw(base, conditions, settings, batch_size, calls.watch)
        ways[name] = drawing(images, BATCH // batch_size, calls)
    print_table(f"Stable Diffusion, {size} px: a call of the U-Net", alternate(ways, rounds), BATCH, steps)


def time_solvers(folder: Path, rounds: int) -> None:
    """An image by DDPM's 250 steps and by 25 of a solver, from loading the checkpoint to its pixels."""
    checkpoint = ddpm_checkpoint(folder / "small", SMALL, 32)

    def way(scheduler: str, steps: int) -> Callable[[], object]:
        settings = {"sampling": {"scheduler": scheduler, "steps": steps, "mixed_precision": "no"}}
        return lambda: list(ddpm.sample(checkpoint, conditions_of(0), settings, BATCH))

    ways = {"DDPM, 250 steps (as published)": way("ddpm", 250), "DPM-Solver++, 25 steps": way("dpmsolver++", 25)}
    print_table("DDPM of the demo, 32 px: an image", alternate(ways, rounds), BATCH)


class UnetCalls:
    """The time that a pipeline spends in its U-Net."""

    def __init__(self) -> None:
        self.seconds = self.start = 0.0

    def watch(self, pipeline: StableDiffusionPipeline) -> None:
        """Has the U-Net's calls timed."""
        pipeline.unet.register_forward_pre_hook(self._begin)
        pipeline.unet.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self.start = now()

    def _end(self, *_: object) -> None:
        self.seconds += now() - self.start


def drawing(batches: Iterator[np.ndarray], count: int, calls: UnetCalls | None = None) -> Callable[[], float | None]:
    """A way that draws the next `count` batches; with `calls` its time is the one spent in them."""

    def way() -> float | None:
        before = calls.seconds if calls else 0.0
        for _ in range(count):
            next(batches)
        return calls.seconds - before if calls else None

    return way


def conditions_of(rounds: int) -> pd.DataFrame:
    """What is asked of a sampler over so many rounds and the one before them."""
    count = BATCH * (rounds + 1)
    return pd.DataFrame({"prompt": [PROMPTS[i % len(PROMPTS)] for i in range(count)], "seed": range(count)})


def ddpm_checkpoint(folder: Path, model: dict, size: int) -> Path:
    """A checkpoint of a DDPM before its first step."""
    trainer = build(np.zeros((BATCH, size, size, 1), dtype=np.uint8), model, "no", BATCH)
    trainer.save_checkpoint(folder)
    return folder


if __name__ == "__main__":
    main()
