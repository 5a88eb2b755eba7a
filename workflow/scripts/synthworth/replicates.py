"""Replicates of a generator: trained anew with further seeds, each a generator of its own by name."""

import re
from collections.abc import Mapping
from typing import Any

# Entries of the user's own never end so (the schema sees to it).
SEEDED = re.compile(r"\.seed-\d+$")


def with_generator_seeds(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with an entry under `generators` for each of `seeds.generators`, right after the one of seed 1.

    `ddpm` becomes `ddpm`, `ddpm.seed-2`, ...: seed 1 keeps its name, and with it all that is made already. Images that
    someone else made (`method: folder`) cannot be made anew. A config that has these entries stays as it is.
    """
    generators: dict[str, Any] = {}
    for name, entry in config["generators"].items():
        generators |= dict.fromkeys((replicate(name, seed) for seed in generator_seeds(config, name)), entry)
    return {**config, "generators": generators}


def generator_seeds(config: Mapping[str, Any], generator: str) -> list[int]:
    """The seeds with which a generator is trained: 1 alone where nothing is trained, or for a replicate itself."""
    once = config["generators"][generator]["method"] == "folder" or SEEDED.search(generator)
    return [1] if once else list(config["seeds"]["generators"])


def replicate(name: str, seed: int) -> str:
    """The name of a thing under a generator seed: its own under the first."""
    return name if seed == 1 else f"{name}.seed-{seed}"


def original(generator: str) -> str:
    """The name of the entry that a generator is a replicate of, or its own."""
    return SEEDED.sub("", generator)
