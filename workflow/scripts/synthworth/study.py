"""The study that a config describes: its classes, models, shards, arms and runs, by name.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from synthworth.errors import StudyError
from synthworth.manifest import EXAMPLE, derive_classes, list_folder, read_manifest


@dataclass(frozen=True)
class Arm:
    """What a classifier is trained on: the real training images and `dose` synthetic ones per class."""

    name: str
    generator: str | None = None
    dose: int = 0
    balance: str = "none"
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One classifier trained on one arm with one seed."""

    classifier: str
    arm: Arm
    seed: int


@dataclass(frozen=True)
class Study:
    """A composed and valid config, and what follows from it. `root` is where relative dataset paths start."""

    config: Mapping[str, Any]
    root: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise StudyError("The config cannot be used:", problems)

    @property
    def name(self) -> str:
        """The study's name: all it makes lies under `results/<name>/`."""
        return self.config["study"]

    @property
    def source(self) -> str | None:
        """Where the images come from: `manifest`, `folder`, `phantoms`, or None where the config names nothing."""
        return next((key for key in ("manifest", "folder", "phantoms") if self.config["dataset"].get(key)), None)

    @cached_property
    def manifest(self):
        """The user's manifest as a frame (a folder is listed as one); empty for phantoms, which are yet to be drawn."""
        if self.source == "manifest":
            return read_manifest(self.root / self.config["dataset"]["manifest"])
        if self.source == "folder":
            return list_folder(self.root / self.config["dataset"]["folder"])
        return None

    @cached_property
    def classes(self) -> dict[str, str]:
        """{name: label} of the classes, in the order of the config; sorted labels of the images where it gives none."""
        given = self.config["dataset"].get("classes")
        if isinstance(given, Mapping):
            return dict(given)
        if given is not None:
            return derive_classes(given)
        if self.source == "phantoms":
            return {name: name for name in self.config["dataset"]["phantoms"]["patients"]}
        return {} if self.manifest is None else derive_classes(sorted(set(self.manifest["label"])))

    def require_dataset(self) -> None:
        """Raises a StudyError that says how to name one's images, where the config names none."""
        if self.source is None:
            raise StudyError(
                "This study has no images: the config key `dataset.manifest` (or `dataset.folder`) is not set.",
                [
                    "write a manifest. " + EXAMPLE,
                    "run it: snakemake --cores all --config dataset='{manifest: path/to/manifest.csv}'",
                    "or a folder with one sub-folder of images per class: --config dataset='{folder: path/to/folder}'",
                    "or see a study of drawn images first: make demo",
                ],
            )
        if len(self.classes) < 2:
            raise StudyError("A study needs at least two classes.", [f"classes found: {', '.join(self.classes)}"])

    @property
    def splits(self) -> list[str]:
        """The splits that images fall into: train, select (not in the published protocol) and test."""
        shares = self.config["splits"]["fractions"]
        return [split for split in ("train", "select", "test") if shares.get(split, 0) > 0]

    @property
    def selection_split(self) -> str:
        """The split that chooses a classifier's epoch: `select`; `test` under the published protocol."""
        return "test" if self.config["protocol"] == "paper" else "select"

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The arms by name; an entry with a list of doses is one arm per dose, `<entry>+<dose>`."""
        arms = {}
        for entry, value in self.config["arms"].items():
            doses = value.get("per_class", 0)
            shared = {
                "generator": value.get("generator"),
                "balance": value.get("balance", "none"),
                "classifiers": tuple(value.get("classifiers") or self.config["classifiers"]),
            }
            if isinstance(doses, list):
                arms |= {f"{entry}+{dose}": Arm(f"{entry}+{dose}", dose=dose, **shared) for dose in doses}
            else:
                arms[entry] = Arm(entry, dose=doses, **shared)
        return arms

    @cached_property
    def runs(self) -> list[Run]:
        """Every run of the study: each arm with each of its classifiers and each seed."""
        return [
            Run(classifier, arm, seed)
            for arm in self.arms.values()
            for classifier in arm.classifiers
            for seed in self.config["seeds"]["runs"]
        ]

    def scopes(self, generator: str) -> list[str]:
        """What each model of a generator is trained on: the classes, or `all` for one joint model."""
        return ["all"] if self.config["generators"][generator]["scope"] == "all" else list(self.classes)

    def scope(self, generator: str, name: str) -> str:
        """The scope of the model that makes images of the class `name`."""
        return "all" if self.scopes(generator) == ["all"] else name

    def steps(self, generator: str) -> list[int]:
        """The optimiser steps at which a generator's checkpoints are kept."""
        checkpoints = self.config["generators"][generator]["checkpoints"]
        return list(range(checkpoints["every"], checkpoints["last"] + 1, checkpoints["every"]))

    def previous_step(self, generator: str, step: int) -> int | None:
        """The checkpoint that training goes on from to reach `step`; None for the first."""
        every = self.config["generators"][generator]["checkpoints"]["every"]
        return step - every if step > every else None

    def shards(self, generator: str, count: int | None = None) -> list[tuple[int, int]]:
        """First and last image number (both included) of the shards with the first `count` images of a class.

        None: as many as the largest dose of the generator's arms. Shards are whole: a larger dose adds shards.
        """
        size = self.config["synthesis"]["shard_size"]
        doses = [arm.dose for arm in self.arms.values() if arm.generator == generator]
        count = max(doses, default=0) if count is None else count
        return [(first, first + size - 1) for first in range(0, count, size)]

    def _problems(self) -> Iterator[str]:
        config = self.config
        if self.name == "published":
            yield "study: `published` holds the papers' own tables; choose another name"
        sources = [key for key in ("manifest", "folder", "phantoms") if config["dataset"].get(key)]
        if len(sources) > 1:
            yield f"dataset: give one of {', '.join(sources)}, and set the others to null"
        if "all" in (config["dataset"].get("classes") or []):
            yield "dataset.classes: `all` is no name for a class; rename it: {every: all}"
        given = config["dataset"].get("classes")
        if isinstance(given, Mapping) and len(set(given.values())) < len(given):
            yield "dataset.classes: two names have the same label; give each label one name"
        cached = config["cached_scores"]
        if cached and Path(cached).resolve() == Path("results", self.name, "scores").resolve():
            yield "cached_scores: these scores are this study's own; copy the folder, or give the study another name"
        fractions = config["splits"]["fractions"]
        if abs(sum(fractions.values()) - 1) > 1e-9:
            yield f"splits.fractions: they add up to {sum(fractions.values()):g}, not to 1"
        if config["protocol"] == "honest" and not fractions.get("select"):
            yield (
                "splits.fractions.select: the honest protocol chooses epochs on a `select` split; give it a share "
                "(train: 0.6, select: 0.2, test: 0.2), or say `protocol: paper`"
            )
        if config["protocol"] == "paper" and fractions.get("select"):
            yield "splits.fractions.select: the published protocol has no such split; set it to 0"
        yield from self._unknown_names()
        for name, generator in config["generators"].items():
            checkpoints = generator["checkpoints"]
            if checkpoints["last"] % checkpoints["every"]:
                yield f"generators.{name}.checkpoints.last: {checkpoints['last']} is no multiple of `every`"
            training = generator["training"]
            halved = 2 ** (len(generator["model"]["block_out_channels"]) - 1)
            if config["dataset"]["size"] % halved:
                yield (
                    f"dataset.size: {config['dataset']['size']} px cannot be halved as often as the blocks of "
                    f"generators.{name}.model ask for; choose a multiple of {halved}"
                )
            if training["schedule"] == "cosine" and checkpoints["last"] > training["schedule_steps"]:
                yield (
                    f"generators.{name}.checkpoints.last: past training.schedule_steps ({training['schedule_steps']}) "
                    "the cosine's learning rate is 0; raise both, which trains anew, or choose `schedule: constant`"
                )
            if training["batch_size"] % generator["gpus"]:
                yield f"generators.{name}.training.batch_size: must be a multiple of `gpus` ({generator['gpus']})"
        if not any(arm.get("generator") for arm in config["arms"].values()):
            yield "arms: none has synthetic images; add one with a generator and `per_class`"
        baseline = config["arms"].get(config["statistics"]["baseline"])
        if baseline is not None and baseline.get("generator"):
            yield "statistics.baseline: the baseline arm must be without synthetic images"

    def _unknown_names(self) -> Iterator[str]:
        config = self.config
        yield from _check("statistics.baseline", [config["statistics"]["baseline"]], "arms", config["arms"])
        metrics = config["fidelity"]["metrics"]
        yield from _check("fidelity.selection", [config["fidelity"]["selection"]], "fidelity.metrics", metrics)
        extractors = config["fidelity"]["extractors"]
        for name, metric in metrics.items():
            used = [metric["extractor"]] if "extractor" in metric else []
            yield from _check(f"fidelity.metrics.{name}.extractor", used, "fidelity.extractors", extractors)
        for name, arm in config["arms"].items():
            generators = [arm["generator"]] if arm.get("generator") else []
            yield from _check(f"arms.{name}.generator", generators, "generators", config["generators"])
            chosen = arm.get("classifiers") or []
            yield from _check(f"arms.{name}.classifiers", chosen, "classifiers", config["classifiers"])


def _check(key: str, names: list[str], section: str, entries: Mapping[str, Any]) -> Iterator[str]:
    for name in names:
        if name not in entries:
            yield f"{key}: there is no `{name}` under `{section}` ({', '.join(entries) or 'it is empty'})"
