"""The GAN: a training step as a study takes it against a plain form, and images drawn together or one by one.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/gan.py [--size 256]

In the plain form the critic sees real and generated images in two passes, its weights get gradients in the generator's
step too, doubling or halving the resolution is an operation beside the convolution, and the binomial filter has the
derivatives that autograd finds. All give the same numbers, but for rounding. A CPU has narrow networks at 64 px, a GPU
those of `config/config.yaml` at 256 px.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from rounds import alternate, default_settings, machine, on_gpu, print_table
from torch import Tensor
from torch.nn import functional

from synthworth.generators import TrainingSet, gan, stylegan
from synthworth.generators.stylegan import Critic, DownsamplingConvolution, UpsamplingConvolution

MODELS = {
    "cpu": {"latent": 128, "mapping_layers": 8, "channels_base": 2048, "channels_max": 128},
    "gpu": {"latent": 512, "mapping_layers": 8, "channels_base": 8192, "channels_max": 512},
}
IMAGES = 8


def main() -> None:
    """Times the ways and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20 if on_gpu() else 5)
    parser.add_argument("--size", type=int, default=256 if on_gpu() else 64)
    parser.add_argument("--batch-size", type=int, default=16, help="of the training step")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    trainer = build(arguments.size, arguments.batch_size)
    print(f"{machine()}\n\n{arguments.size} px, {trainer.architecture}; {arguments.rounds} rounds")
    plain = {
        "real and generated images in two passes": partial(
            mock.patch.object, Critic, "forward", two_passes(Critic.forward)
        ),
        "gradients of the critic's weights in both steps": partial(
            mock.patch.object, trainer.critic, "requires_grad_", lambda flag=True: trainer.critic
        ),
        "resampling beside the convolution": resampling_alone,
        "autograd's derivatives of the filter": partial(mock.patch.object, stylegan, "blur", plain_blur),
    }
    ways = {"plain: all of the below": partial(step, trainer, list(plain.values()))}
    ways |= {f"{name}, else a study": partial(step, trainer, [form]) for name, form in plain.items()}
    ways["a study"] = partial(step, trainer, [])
    title = f"GAN, a training step of {arguments.batch_size} images"
    print_table(title, alternate(ways, arguments.rounds), arguments.batch_size)

    with tempfile.TemporaryDirectory() as folder:
        trainer.save_checkpoint(Path(folder))
        ways = {
            f"{batch_size} at a time, {precision}": drawing(Path(folder), arguments, batch_size, key)
            for batch_size, precision, key in (
                (1, "float32", "no"),
                (IMAGES, "float32", "no"),
                (IMAGES, "bfloat16", "bf16"),
            )
        }
        print_table("GAN, an image", alternate(ways, arguments.rounds), IMAGES)


def build(size: int, batch_size: int) -> gan.GanTrainer:
    """A trainer whose growth has come to `size`, over images of noise."""
    images = np.random.default_rng(0).integers(0, 256, (2 * batch_size, size, size, 1), dtype=np.uint8)
    settings = {
        "growth": [{"resolution": size, "steps": None, "batch_size": batch_size, "learning_rate": 1e-3}],
        "fade": 0.5,
        "model": MODELS["gpu" if on_gpu() else "cpu"],
        "training": default_settings("gan")["training"],
    }
    names = ["healthy"] * len(images)
    return gan.build(TrainingSet(images, np.arange(len(images)), names, [""] * len(images)), settings, 1, None)


def step(trainer: gan.GanTrainer, forms: list[Callable[[], contextlib.AbstractContextManager]]) -> None:
    """One step of critic and generator, in these forms."""
    with contextlib.ExitStack() as stack:
        for form in forms:
            stack.enter_context(form())
        gan.advance(trainer, trainer.step + 1)


def drawing(folder: Path, arguments: argparse.Namespace, batch_size: int, precision: str) -> Callable[[], None]:
    """A way that draws the next images, `batch_size` at a time, in a precision."""
    settings = {"size": arguments.size, "sampling": {"truncation": None, "mixed_precision": precision}}
    conditions = pd.DataFrame({"seed": range(IMAGES * (arguments.rounds + 1))})
    batches = gan.sample(folder, conditions, settings, batch_size)

    def way() -> None:
        for _ in range(IMAGES // batch_size):
            next(batches)

    return way


def two_passes(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A critic that goes through the halves of its images one after the other."""

    def halves(critic: Critic, images: Tensor, *arguments: object) -> Tensor:
        return torch.cat([forward(critic, half, *arguments) for half in images.chunk(2)])

    return halves


@contextlib.contextmanager
def resampling_alone() -> Iterator[None]:
    """Convolutions that double or halve the resolution do so in an operation of its own."""

    def up(layer: UpsamplingConvolution, features: Tensor) -> Tensor:
        doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
        return stylegan.blur(functional.conv2d(doubled, layer.weight * layer.scale, layer.bias, padding=1))

    def down(layer: DownsamplingConvolution, features: Tensor) -> Tensor:
        convolved = functional.conv2d(stylegan.blur(features), layer.weight * layer.scale, layer.bias, padding=1)
        return functional.avg_pool2d(convolved, 2)

    with (
        mock.patch.object(UpsamplingConvolution, "forward", up),
        mock.patch.object(DownsamplingConvolution, "forward", down),
    ):
        yield


def plain_blur(features: Tensor) -> Tensor:
    """`stylegan.blur` as one grouped convolution and no more."""
    line = torch.tensor([0.25, 0.5, 0.25], device=features.device)
    kernel = (line[:, None] * line).expand(features.shape[1], 1, 3, 3)
    return functional.conv2d(features, kernel, padding=1, groups=features.shape[1])


if __name__ == "__main__":
    main()
