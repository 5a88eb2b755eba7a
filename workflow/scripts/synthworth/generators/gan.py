"""The GAN of the critical assessment: a StyleGAN trained as a WGAN-GP on differentiably augmented images.

Networks and their growth are in `stylegan`, the augmentation in `differentiable_augmentation`. The losses: Gulrajani
et al. 2017 (WGAN-GP), with the drift term of Karras et al. 2018, whose loss StyleGAN's WGAN-GP is. A step is one
optimiser step of the critic and one of the generator.

A checkpoint is a folder: `generator.safetensors` (the averaged weights and the mean style) and `config.json` (the
arguments of `stylegan.Generator`, and the resolution and alpha that the growth had come to).
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from synthworth import seeds
from synthworth.generators import TrainingSet
from synthworth.generators.differentiable_augmentation import Draws, augment, draw
from synthworth.generators.gan_sampling import CONFIG, WEIGHTS, sample
from synthworth.generators.growth import GROUP, Stage, stage_at
from synthworth.generators.states import load_state, save_state
from synthworth.generators.stylegan import Critic, Generator, layers_at, noise_shapes
from synthworth.generators.training import LossCurve, MicroBatches, batch_rows, share_of
from synthworth.progress import progress

__all__ = ["advance", "build", "sample"]

# A critic's loss that works is within some hundreds; one that has run away has no bound.
LARGEST_LOSS = 1e4
REMEDIES = ("lower the learning rates in this generator's `growth`",)

# Latents whose styles are averaged for truncation.
MEAN_STYLE_LATENTS = 4096


@dataclass
class GanTrainer:
    """A generator and its critic in training, at step `step`.

    `average` is the generator whose weights are the moving average that images are drawn from; `images` are uint8
    [n, size, size, channels]; `architecture` the arguments of the `Generator`.
    """

    accelerator: Accelerator
    generator: Generator
    critic: Critic
    average: Generator
    architecture: dict[str, int]
    images: np.ndarray
    settings: dict[str, Any]
    seed: int
    generator_optimizer: torch.optim.Optimizer = field(init=False)
    critic_optimizer: torch.optim.Optimizer = field(init=False)
    curve: LossCurve = field(init=False)
    step: int = 0
    # By resolution: memory that sufficed for small images may not for large ones.
    portions: dict[int, MicroBatches] = field(default_factory=dict)

    def __post_init__(self) -> None:
        training = self.settings["training"]
        mapping = self.generator.mapping.parameters()
        synthesis = [weight for name, weight in self.generator.named_parameters() if not name.startswith("mapping.")]
        adam = {"betas": tuple(training["betas"]), "eps": training["epsilon"], "fused": True}
        self.generator_optimizer = torch.optim.Adam(
            [{"params": synthesis, "factor": 1.0}, {"params": mapping, "factor": training["mapping_learning_rate"]}],
            **adam,
        )
        self.critic_optimizer = torch.optim.Adam([{"params": self.critic.parameters(), "factor": 1.0}], **adam)

    @property
    def model(self) -> Generator:
        """The network whose images are wanted."""
        return self.generator

    @property
    def losses(self) -> list[float]:
        """The critic's mean losses since the training was taken up."""
        return self.curve.losses

    def trained(self) -> dict[str, Tensor]:
        """The weights of both networks and of the average, by name."""
        networks = {"generator": self.generator, "critic": self.critic, "average": self.average}
        return {
            f"{network}.{name}": weights
            for network, module in networks.items()
            for name, weights in module.named_parameters()
        }

    def save_checkpoint(self, folder: Path) -> None:
        """Writes the averaged generator and how far it has grown."""
        # The last step that was taken: the layers of a stage that is about to begin know nothing yet.
        stage = self.stage(max(0, self.step - 1))
        weights = {name: tensor.contiguous().cpu() for name, tensor in self.average.state_dict().items()}
        weights["mean_style"] = _mean_style(self.average)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / WEIGHTS)
        config = {"architecture": self.architecture, "resolution": stage.resolution, "alpha": stage.alpha}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    def save_state(self, file: Path) -> None:
        """Writes all that `load_state` needs to go on as if nothing had happened."""
        tree: dict[str, Any] = {name: getattr(self, name).state_dict() for name in ("generator", "critic", "average")}
        # Without the groups' settings: they are the config's.
        tree["generator_optimizer"] = self.generator_optimizer.state_dict()["state"]
        tree["critic_optimizer"] = self.critic_optimizer.state_dict()["state"]
        save_state(file, tree | {"step": self.step})

    def load_state(self, file: Path) -> None:
        """Takes up the training where `save_state` left it."""
        tree = load_state(file)
        for name in ("generator", "critic", "average"):
            getattr(self, name).load_state_dict(tree[name])
        for optimizer, name in (
            (self.generator_optimizer, "generator_optimizer"),
            (self.critic_optimizer, "critic_optimizer"),
        ):
            optimizer.load_state_dict(optimizer.state_dict() | {"state": tree[name]})
        self.step = tree["step"]

    def stage(self, step: int) -> Stage:
        """Where the growth stands at a step."""
        return stage_at(self.settings["growth"], self.settings["fade"], step)


def build(data: TrainingSet, settings: dict[str, Any], seed: int, state: Path | None) -> GanTrainer:
    """A trainer over the images of one class, fresh or resumed from the file `state`.

    `settings` are a generator's keys `growth`, `fade`, `model` and `training`. The growth ends at the images' size,
    and each process has a multiple of four images of a batch.
    """
    # The penalty differentiates twice: accelerate's wrapper for several processes does not go along with that, so
    # gradients are averaged here, and the networks stay as they are.
    accelerator = Accelerator(mixed_precision="no")
    size, channels = data.images.shape[1], data.images.shape[3]
    torch.manual_seed(seeds.seed(seed, "weights"))
    architecture = {"size": size, "channels": channels, **settings["model"]}
    generator = Generator(**architecture).to(accelerator.device)
    widths = {key: settings["model"][key] for key in ("channels_max", "channels_base")}
    trainer = GanTrainer(
        accelerator=accelerator,
        generator=generator,
        critic=Critic(size, channels, **widths).to(accelerator.device),
        average=copy.deepcopy(generator).requires_grad_(False),
        architecture=architecture,
        images=data.images,
        settings=settings,
        seed=seed,
    )
    if state is not None:
        trainer.load_state(state)
    trainer.curve = LossCurve(accelerator, trainer.step, LARGEST_LOSS, REMEDIES)
    return trainer


def advance(trainer: GanTrainer, step: int) -> None:
    """Trains up to step `step` (nothing to do where it is reached already)."""
    for current in progress(range(trainer.step, step), "training", total=step, initial=trainer.step):
        stage = trainer.stage(current)
        rows = batch_rows(trainer.seed, current, stage.batch_size, len(trainer.images))
        draws = _draw(trainer, stage, current)

        # The critic learns to tell real images from generated ones, then the generator from the critic.
        loss = _descend(trainer, trainer.critic_optimizer, stage, partial(_critic_loss, trainer, stage, rows, draws))
        # No gradients of the critic's weights: they would be a third of the generator's step.
        trainer.critic.requires_grad_(False)
        _descend(trainer, trainer.generator_optimizer, stage, partial(_generator_loss, trainer, stage, draws))
        trainer.critic.requires_grad_(True)
        move_average(trainer.average, trainer.generator, trainer.settings["training"]["ema"])

        trainer.step = current + 1
        trainer.curve.add(
            trainer.step, loss, last=trainer.step == step, resolution=stage.resolution, alpha=round(stage.alpha, 4)
        )


def gradient_penalty(score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, blend: Tensor) -> Tensor:
    """The mean of (|gradient of the score| - 1)^2 at points between real and fake images (Gulrajani 2017, Alg. 1).

    `blend` [batch] in [0, 1) is the share of the fake one in each.
    """
    between = torch.lerp(real, fake, blend[:, None, None, None]).requires_grad_()
    (gradient,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1.0).square().mean()


@torch.no_grad()
def move_average(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Moves the averaged weights towards the model's: `decay` times themselves plus 1 - `decay` times these."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1.0 - decay)


@dataclass(frozen=True)
class _Inputs:
    """What a generator makes a batch of images of; a slice of it makes the same slice of the batch."""

    latents: Tensor  # [batch, 2, latent]
    crossover: Tensor  # [batch], the layer from which the second latent steers
    noise: list[Tensor]  # per layer [batch, 1, side, side]

    def __getitem__(self, part: slice) -> "_Inputs":
        return _Inputs(self.latents[part], self.crossover[part], [noise[part] for noise in self.noise])


@dataclass(frozen=True)
class _StepDraws:
    """All that is random in a step, for the whole batch."""

    flip: Tensor
    blend: Tensor
    critic_inputs: _Inputs
    real_augmentation: Draws
    fake_augmentation: Draws
    generator_inputs: _Inputs
    generator_augmentation: Draws


def _draw(trainer: GanTrainer, stage: Stage, step: int) -> _StepDraws:
    random = torch.Generator(trainer.accelerator.device).manual_seed(seeds.seed(trainer.seed, "step", step))
    count, device = stage.batch_size, random.device
    flip, blend = torch.rand((2, count), generator=random, device=device)
    return _StepDraws(
        flip=flip < 0.5,
        blend=blend,
        critic_inputs=_draw_inputs(trainer, stage, random),
        real_augmentation=draw(count, stage.resolution, random),
        fake_augmentation=draw(count, stage.resolution, random),
        generator_inputs=_draw_inputs(trainer, stage, random),
        generator_augmentation=draw(count, stage.resolution, random),
    )


def _draw_inputs(trainer: GanTrainer, stage: Stage, random: torch.Generator) -> _Inputs:
    """Latents, noise and where styles change: within the layers for a share `style_mixing` of images, else nowhere."""
    count, layers = stage.batch_size, layers_at(stage.resolution)
    shapes = [
        (count, 2, trainer.architecture["latent"]),
        *((count, *shape) for shape in noise_shapes(stage.resolution)),
    ]
    latents, *noise = (torch.randn(shape, generator=random, device=random.device) for shape in shapes)
    crossover = torch.randint(1, layers, (count,), generator=random, device=random.device)
    mixed = torch.rand(count, generator=random, device=random.device) < trainer.settings["training"]["style_mixing"]
    return _Inputs(latents, torch.where(mixed, crossover, layers), noise)


def _critic_loss(trainer: GanTrainer, stage: Stage, rows: np.ndarray, draws: _StepDraws, part: slice) -> Tensor:
    training = trainer.settings["training"]
    real = _real_images(trainer, stage, rows[part], draws.flip[part])
    with torch.no_grad():
        fake = _generate(trainer.generator, draws.critic_inputs[part], stage)
    real = augment(real, draws.real_augmentation[part], training["augmentation"])
    fake = augment(fake, draws.fake_augmentation[part], training["augmentation"])

    def score(images: Tensor) -> Tensor:
        return trainer.critic(images, stage.resolution, stage.alpha)

    # Real and fake in one pass: groups of images that are compared lie in one or the other.
    real_scores, fake_scores = score(torch.cat([real, fake])).chunk(2)
    penalty = gradient_penalty(score, real, fake, draws.blend[part])
    # WGAN's loss has no level of its own: the drift term keeps scores of real images near zero (Karras 2018, appendix
    # A.1, the loss that StyleGAN's WGAN-GP runs follow).
    drift = real_scores.square().mean()
    return fake_scores.mean() - real_scores.mean() + training["gradient_penalty"] * penalty + training["drift"] * drift


def _generator_loss(trainer: GanTrainer, stage: Stage, draws: _StepDraws, part: slice) -> Tensor:
    fake = _generate(trainer.generator, draws.generator_inputs[part], stage)
    fake = augment(fake, draws.generator_augmentation[part], trainer.settings["training"]["augmentation"])
    return -trainer.critic(fake, stage.resolution, stage.alpha).mean()


def _generate(generator: Generator, inputs: _Inputs, stage: Stage) -> Tensor:
    return generator(inputs.latents, inputs.crossover, inputs.noise, stage.resolution, stage.alpha)


def _real_images(trainer: GanTrainer, stage: Stage, rows: np.ndarray, flip: Tensor) -> Tensor:
    """Training images [n, channels, resolution, resolution] in [-1, 1].

    While layers fade in, they are blended with their own coarser version as the generator's are (Karras 2018,
    Figure 2).
    """
    images = torch.from_numpy(trainer.images[rows]).to(flip.device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    images = functional.avg_pool2d(images, images.shape[-1] // stage.resolution)
    if stage.alpha < 1.0:
        coarser = functional.interpolate(functional.avg_pool2d(images, 2), scale_factor=2, mode="nearest")
        images = torch.lerp(coarser, images, stage.alpha)
    if trainer.settings["training"]["horizontal_flip"]:
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
    return images


def _descend(
    trainer: GanTrainer, optimizer: torch.optim.Optimizer, stage: Stage, loss: Callable[[slice], Tensor]
) -> Tensor:
    """One optimiser step down the mean of `loss` over the batch; that mean over this process's share.

    Adam's moments live through the stages: with betas (0, 0.99) they forget within some hundred steps, layers that
    join begin with none, and those that are not in use are passed over.
    """
    accelerator = trainer.accelerator
    share = share_of(stage.batch_size, accelerator)
    micro_batch_size = trainer.settings["training"]["micro_batch_size"]
    portions = trainer.portions.setdefault(stage.resolution, MicroBatches(share, micro_batch_size, GROUP))

    def gradients(slices: list[slice]) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=accelerator.device)
        for part in slices:
            weighted = loss(part) * ((part.stop - part.start) / (share.stop - share.start))
            weighted.backward()
            total += weighted.detach()
        return total

    total = portions.attempt(gradients, accelerator)
    _average_gradients(optimizer, accelerator)
    for group in optimizer.param_groups:
        group["lr"] = stage.learning_rate * group["factor"]
    optimizer.step()
    return total


def _average_gradients(optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> None:
    """Puts the mean over all processes in place of each gradient, in one message."""
    if accelerator.num_processes == 1:
        return
    gradients = [
        weight.grad for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None
    ]
    mean = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
    for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def _mean_style(generator: Generator) -> Tensor:
    latent = generator.mean_style.shape[0]
    latents = torch.randn((MEAN_STYLE_LATENTS, latent), generator=torch.Generator("cpu").manual_seed(0))
    return generator.styles(latents.to(generator.mean_style.device)).mean(dim=0).cpu()
