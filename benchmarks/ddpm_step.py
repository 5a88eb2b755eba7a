"""A training step of the DDPM in float32 and in bfloat16, and whether the loss falls alike.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/ddpm_step.py [--size 256 --channels ...]
       OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/ddpm_step.py --curves docs/ddpm_bf16.png

The first form times steps on images of noise: of a network half as wide and two levels shorter than the study's at
64 px on a CPU, of the study's at 256 px on a GPU. The second trains the demo's network on phantoms of 32 px twice, with
the same seeds, and draws both losses.
"""

import argparse
import contextlib
import io
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from accelerate.state import AcceleratorState
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rounds import alternate, default_settings, machine, on_gpu, print_table

from synthworth.figure_style import DOTS_PER_INCH, GENERATOR_COLOURS, GREY, STYLE
from synthworth.files import replacing
from synthworth.generators import TrainingSet, ddpm
from synthworth.generators.diffusion import DiffusionTrainer, advance
from synthworth.phantoms import draw_phantoms

BATCH = 8
CHANNELS = {"cpu": [64, 128, 256, 256], "gpu": [128, 128, 256, 256, 512, 512]}
# The demo's.
SMALL = {"block_out_channels": [16, 32, 64, 64], "attention_blocks": [3], "layers_per_block": 1}
# Means over so many steps are drawn.
SMOOTHED = 20


def main() -> None:
    """Times steps and prints the table, or draws the loss curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50 if on_gpu() else 5)
    parser.add_argument("--size", type=int, default=256 if on_gpu() else 64)
    parser.add_argument("--channels", type=int, nargs="+", default=CHANNELS["gpu" if on_gpu() else "cpu"])
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, which takes minutes")
    parser.add_argument("--curves", type=Path, help="PNG of the losses over --steps steps, instead of timing")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.curves:
        draw_curves(arguments.curves, arguments.steps)
    else:
        time_steps(arguments)


def time_steps(arguments: argparse.Namespace) -> None:
    """Times a step of the same network in several forms."""
    model = {
        "block_out_channels": arguments.channels,
        "attention_blocks": [len(arguments.channels) - 2],
        "layers_per_block": 2,
    }
    size, batch_size = arguments.size, arguments.batch_size
    images = np.random.default_rng(0).integers(0, 256, (4 * batch_size, size, size, 1), dtype=np.uint8)
    forms = [("no", False, False), ("no", True, False), ("bf16", False, False), ("bf16", True, False)]
    if arguments.compile:
        forms += [("no", False, True), ("bf16", True, True)]
    trainers = {}
    for precision, channels_last, compiled in forms:
        trainer = build(images, model, precision, batch_size)
        if channels_last:
            trainer.model.to(memory_format=torch.channels_last)
        if compiled:
            trainer.model.compile()
        name = {"no": "float32", "bf16": "bfloat16"}[precision]
        name += ", channels last" * channels_last + ", compiled" * compiled
        trainers[name] = trainer

    weights = sum(parameter.numel() for parameter in trainer.trained().values()) / 1e6
    print(f"{machine()}\n\n{size} px, channels {arguments.channels}, {weights:.1f} M weights, ", end="")
    print(f"batch {batch_size}; {arguments.rounds} rounds")
    ways = {name: partial(step, trainer) for name, trainer in trainers.items()}
    print_table("DDPM, a training step", alternate(ways, arguments.rounds), batch_size)


def draw_curves(file: Path, steps: int) -> None:
    """Trains twice on the same batches, noise and timesteps, and draws the losses."""
    images = phantoms()
    losses = {}
    for precision, name in (("no", "float32"), ("bf16", "bfloat16")):
        trainer = build(images, SMALL, precision, BATCH)
        # One call per step: its line of the loss curve is then that of one step.
        with contextlib.redirect_stdout(io.StringIO()):
            for _ in range(steps):
                step(trainer)
        losses[name] = np.array(trainer.losses)
        print(f"{name}: mean loss of the last {steps // 4} steps {losses[name][-steps // 4 :].mean():.4f}")
    exact, rounded = losses.values()
    print(f"correlation of the steps' losses {np.corrcoef(exact, rounded)[0, 1]:.4f}")
    print(f"median difference, of a step's loss: {np.median(np.abs(rounded / exact - 1)):.1%}")

    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 2.6), layout="constrained")
        axes = figure.subplots()
        for (name, values), colour, line in zip(losses.items(), GENERATOR_COLOURS, ("-", "--"), strict=False):
            smooth = pd.Series(values).rolling(SMOOTHED).mean()
            axes.plot(np.arange(1, steps + 1), smooth, line, color=colour, linewidth=1.2, label=name)
        axes.set(yscale="log", xlabel="optimiser step", ylabel="loss", xlim=(0, steps))
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "1235" else ""))
        axes.legend()
        note = f"DDPM on phantoms of 32 px, batch {BATCH}; means over {SMOOTHED} steps"
        figure.supxlabel(note, fontsize=7, color=GREY)
        with replacing(file) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def phantoms() -> np.ndarray:
    """Images of phantoms with one disease, uint8 [n, 32, 32, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.csv"
        draw_phantoms(manifest, Path(folder) / "images", {"bacterial": 60}, seed=1, size=64)
        files = [manifest.parent / image for image in pd.read_csv(manifest)["image"]]
        pictures = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    return np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures])[..., None]


def build(images: np.ndarray, model: dict, mixed_precision: str, batch_size: int) -> DiffusionTrainer:
    """A study's trainer over `images`; `model` is a generator's key of that name."""
    # accelerate keeps one precision per process; here trainers of two live side by side.
    AcceleratorState._reset_state(reset_partial_state=True)
    names = ["bacterial"] * len(images)
    default = default_settings("ddpm")
    brief = {"learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 20, "schedule_steps": None}
    training = default["training"] | brief | {"batch_size": batch_size, "mixed_precision": mixed_precision}
    settings = {"training": training, "model": model, "noise": default["noise"]}
    return ddpm.build(TrainingSet(images, np.arange(len(images)), names, [""] * len(images)), settings, 1, None)


def step(trainer: DiffusionTrainer) -> None:
    """One optimiser step."""
    advance(trainer, trainer.step + 1)


if __name__ == "__main__":
    main()
