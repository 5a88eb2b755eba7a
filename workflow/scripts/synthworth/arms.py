"""Arms: what a classifier is trained on, from the entries of a config to an arm per dose, share and replicate.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthworth.cells import WITHOUT_COPIES
from synthworth.replicates import generator_seeds, original, replicate


@dataclass(frozen=True)
class Arm:
    """A recipe for a classifier's training data: the real training images and `per_class` added ones of each class.

    `name` stands in paths, and the seeds of its runs hang on it. `shared_name` is what statistics call it together with
    its replicates, which differ in the training of the generator (`generator_seed`) or in the images drawn from it
    (`draw`). docs/arms.md says what the other fields mean; `real_share` is a fraction in (0, 1].
    """

    name: str
    shared_name: str
    generator: str | None = None
    generator_seed: int = 1
    draw: int = 1
    per_class: int = 0
    regime: str = "mix"
    pretrain_share: float = 0.5
    balance: str = "none"
    loss: str = "cross_entropy"
    focal_gamma: float = 2.0
    mixing: str = "none"
    mixing_alpha: float = 1.0
    shuffled_labels: bool = False
    repeat_training_images: bool = False
    real_share: float = 1.0
    classifiers: tuple[str, ...] = ()

    @property
    def control(self) -> bool:
        """Whether it says nothing of synthetic images as they are: without them, mislabelled, or on fewer real ones."""
        return self.generator is None or self.shuffled_labels or self.real_share < 1

    @property
    def source(self) -> str:
        """Where statistics say that its images come from: the generator, whatever its seed; the arm, of a control."""
        return self.shared_name if self.generator is None or self.control else original(self.generator)

    @property
    def dose(self) -> int:
        """Synthetic images per class, as statistics count them: none for a control."""
        return 0 if self.control else self.per_class

    def like(self, other: "Arm") -> bool:
        """Whether it differs from another arm at most in its share of real images (and in who trains it)."""
        shared = {"name": "", "shared_name": "", "real_share": 1.0, "classifiers": ()}
        own, others = (replace(arm._in_effect(), **shared) for arm in (self, other))
        return own == others

    def adds_to(self, other: "Arm") -> bool:
        """Whether it is another arm with synthetic images added, as many of each class, and nothing else changed."""
        plain = {"generator": None, "generator_seed": 1, "draw": 1, "per_class": 0}
        return self.dose > 0 and replace(self, **plain).like(other) and self.real_share == other.real_share

    def differs_in_images_alone(self, other: "Arm") -> bool:
        """Whether it uses synthetic images, in whatever regime, and is trained as another arm otherwise.

        `to_majority` only says how many images each class gets. It leaves no imbalance that a `balance` of the other
        arm could mend, so it stands for that too.
        """
        balance = other.balance if self.balance == "to_majority" else self.balance
        return replace(self, regime=other.regime, balance=balance).adds_to(other)

    def _in_effect(self) -> "Arm":
        """The same arm without the numbers that nothing reads in it."""
        read = {
            "focal_gamma": self.loss == "focal",
            "mixing_alpha": self.mixing != "none",
            "pretrain_share": self.regime == "pretrain_then_finetune",
        }
        return replace(self, **{key: getattr(Arm, key) for key, used in read.items() if not used})

    @property
    def first(self) -> int:
        """The number of the first synthetic image of each class; a draw goes on where the one before it ends."""
        return (self.draw - 1) * self.per_class


def shared_names(arms: Iterable[Arm]) -> list[str]:
    """What statistics call the arms, replicates once."""
    return list(dict.fromkeys(arm.shared_name for arm in arms))


# What an entry of the config says that is not expanded, as fields of an arm.
PLAIN = [
    *("regime", "pretrain_share", "balance", "loss", "focal_gamma", "mixing", "mixing_alpha"),
    *("shuffled_labels", "repeat_training_images"),
]


def expand_arms(config: Mapping[str, Any]) -> dict[str, Arm]:
    """The arms of a config by name.

    A list of `per_class` makes an arm per number, `<entry>+<number>`; a list of `real_share` one per share,
    `<entry>@<share>`. Of each arm with synthetic images that is no control there is one for each of `seeds.generators`
    (`<entry>.seed-2+<number>`) and of `seeds.draws` (`<entry>+<number>.draw-2`).
    """
    return {arm.name: arm for entry, value in config["arms"].items() for arm in _expand(entry, value, config)}


def _expand(entry: str, value: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Arm]:
    plain = {key: value[key] for key in PLAIN if key in value}
    plain["classifiers"] = tuple(value.get("classifiers") or config["classifiers"])
    generator = value.get("generator")
    # Other training data, and so another arm, which says so.
    end = WITHOUT_COPIES if generator and config["memorization"]["filter_copies"] == "drop" else ""
    for dose, dose_name in _each(value.get("per_class", 0), "+"):
        for share, share_name in _each(value.get("real_share", 1.0), "@"):
            ending = f"{dose_name}{share_name}{end}"
            name = f"{entry}{ending}"
            arm = Arm(name, name, generator, per_class=dose, real_share=float(share), **plain)
            if arm.control:
                yield arm
                continue
            for seed in generator_seeds(config, generator):
                for draw in config["seeds"]["draws"]:
                    yield replace(
                        arm,
                        name=f"{replicate(entry, seed)}{ending}{'' if draw == 1 else f'.draw-{draw}'}",
                        generator=replicate(generator, seed),
                        generator_seed=seed,
                        draw=draw,
                    )


def _each(value: Any, mark: str) -> list[tuple[Any, str]]:
    """The values with the ends that they give names: a single one gives none."""
    return [(item, f"{mark}{item}") for item in value] if isinstance(value, list) else [(value, "")]
