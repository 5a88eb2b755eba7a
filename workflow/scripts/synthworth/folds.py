"""Cross-validation: the parts of a study, one for each fold of each repeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A fold of a repeat, counted from 1: a study within the study, whose test images are those of the fold."""

    repeat: int
    fold: int
    folds: int

    @property
    def title(self) -> str:
        """What a reader calls it."""
        return f"fold {self.fold} of {self.folds}, repeat {self.repeat}"


def parts(config: Mapping[str, Any]) -> dict[str, Part]:
    """The parts by the names that the wildcard `study` has for them, repeat by repeat; none without folds."""
    folds = config["splits"]["folds"] or 0
    return {
        f"{config['study']}/repeat-{repeat}-fold-{fold}": Part(repeat, fold, folds)
        for repeat in range(1, config["splits"]["repeats"] + 1)
        for fold in range(1, folds + 1)
    }
