"""The growth of a GAN: at which resolution it trains at a step, and how far its newest layers have faded in."""

from dataclasses import dataclass
from typing import Any

# Images over which the critic compares features (Karras 2018, section 3): what a batch is dealt out in.
GROUP = 4


@dataclass(frozen=True)
class Stage:
    """Where the growth stands: `alpha` in [0, 1] is the share of the newest layers in the result."""

    resolution: int
    alpha: float
    batch_size: int
    learning_rate: float


def stage_at(growth: list[dict[str, Any]], fade: float, step: int) -> Stage:
    """The stage at a step (counted from 0).

    `growth` lists resolution, steps, batch_size and learning_rate in order; training stays at the last entry, whose
    steps are None. Over a share `fade` of an entry's steps (the last one: of those of the entry before it) its new
    layers fade in linearly (Karras 2018, Figure 2); the first entry has no layers before it to fade from.
    """
    index = 0
    while index + 1 < len(growth) and step >= growth[index]["steps"]:
        step -= growth[index]["steps"]
        index += 1
    entry = growth[index]
    fading = fade * (entry["steps"] or growth[index - 1]["steps"]) if index else 0
    return Stage(
        resolution=entry["resolution"],
        alpha=min(1.0, step / fading) if fading else 1.0,
        batch_size=entry["batch_size"],
        learning_rate=entry["learning_rate"],
    )
