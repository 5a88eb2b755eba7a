"""The study that a config describes: its classes, models, shards, arms and runs, by name.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from synthworth.arms import Arm, expand_arms
from synthworth.contradictions import contradictions
from synthworth.errors import StudyError
from synthworth.findings import phantom_labels
from synthworth.folds import Part, parts
from synthworth.manifest import EXAMPLE, derive_classes, list_folder, read_manifest
from synthworth.ratings.exports import rated_modes
from synthworth.replicates import with_generator_seeds


@dataclass(frozen=True)
class Run:
    """One classifier trained on one arm with one seed."""

    classifier: str
    arm: Arm
    seed: int


@dataclass(frozen=True)
class Study:
    """A composed and valid config, and what follows from it. `root` is where relative dataset paths start.

    Its `config` has an entry for each training of a generator (`replicates`): what reads it sees plain generators.
    """

    config: Mapping[str, Any]
    root: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        problems = list(contradictions(self.config, self.root))
        if problems:
            raise StudyError("The config cannot be used:", problems)
        object.__setattr__(self, "config", with_generator_seeds(self.config))

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
        dataset = self.config["dataset"]
        if self.source == "manifest":
            path = self.root / dataset["manifest"]
            return read_manifest(path, findings=self.findings, unmentioned=dataset["unmentioned"])
        if self.source == "folder":
            return list_folder(self.root / dataset["folder"])
        return None

    @property
    def findings(self) -> list[str]:
        """What is found in an image, any number of them; none where each image has one class and that is learnt."""
        return list(self.config["dataset"]["findings"] or [])

    @cached_property
    def classes(self) -> dict[str, str]:
        """{name: label} of the classes, in the order of the config; sorted labels of the images where it gives none."""
        given = self.config["dataset"].get("classes")
        if isinstance(given, Mapping):
            return dict(given)
        if given is not None:
            return derive_classes(given)
        if self.source == "phantoms":
            drawn = self.config["dataset"]["phantoms"]["patients"]
            return derive_classes(phantom_labels(drawn, self.findings).values())
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
        self._require_texts()

    @property
    def splits(self) -> list[str]:
        """The splits that images fall into: train, select (not in the published protocol) and test."""
        shares = self.config["splits"]["fractions"]
        return [split for split in ("train", "select", "test") if shares.get(split, 0) > 0]

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The parts of a cross-validation, as of `folds.parts`."""
        return parts(self.config)

    @cached_property
    def external(self) -> dict[str, str]:
        """The manifests of the external test sets by the names that the wildcard `study` has for them."""
        given = self.config["dataset"]["external"]
        return {f"{self.name}/external/{name}": manifest for name, manifest in given.items()}

    @property
    def ratings(self) -> dict[str, str | None]:
        """The files that readers exported, each with the folder of its kit where that was handed out and is to be
        opened; None where the kit is the study's own.
        """
        entries = self.config["assessment"]["ratings"]
        named = [entry if isinstance(entry, Mapping) else {"file": entry, "kit": None} for entry in entries]
        return {entry["file"]: entry["kit"] for entry in named}

    def rated_modes(self, own: bool | None = None) -> list[str]:
        """The modes that readers rated: in kits of the study's `own`, in those that were handed out, or in any."""
        files = [file for file, kit in self.ratings.items() if own in (None, kit is None)]
        return rated_modes(self.root / file for file in files)

    def pools(self, name: str) -> bool:
        """Whether the wildcard `study` means the study itself where its scores are those of its parts together."""
        return name == self.name and bool(self.parts)

    @property
    def selection_split(self) -> str:
        """The split that chooses a classifier's epoch: `select`; `test` under the published protocol."""
        return "test" if self.config["protocol"] == "paper" else "select"

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The arms by the names that they have in paths."""
        return expand_arms(self.config)

    @property
    def drops_copies(self) -> bool:
        """Whether images that are copies of training images are kept from the classifiers."""
        return self.config["memorization"]["filter_copies"] == "drop"

    @cached_property
    def runs(self) -> list[Run]:
        """Every run of the study: each arm with each of its classifiers and each seed."""
        return [
            Run(classifier, arm, seed)
            for arm in self.arms.values()
            for classifier in arm.classifiers
            for seed in self.config["seeds"]["runs"]
        ]

    @property
    def baseline(self) -> Arm:
        """The arm that all others are compared with."""
        return self.arms[self.config["statistics"]["baseline"]]

    def learning_curve(self) -> list[Arm]:
        """The baseline and the arms that differ from it in the share of real training images alone."""
        return [arm for arm in self.arms.values() if arm.like(self.baseline)]

    def scopes(self, generator: str) -> list[str]:
        """What each model of a generator is trained on: the classes, or `all` for one joint model."""
        return ["all"] if self.config["generators"][generator].get("scope") == "all" else list(self.classes)

    def classes_of(self, scope: str) -> list[str]:
        """The classes that a model of a scope makes images of."""
        return list(self.classes) if scope == "all" else [scope]

    def scope(self, generator: str, name: str) -> str:
        """The scope of the model that makes images of the class `name`."""
        return "all" if self.scopes(generator) == ["all"] else name

    def size(self, generator: str) -> int:
        """The side of a generator's images, in pixels."""
        return self.config["generators"][generator]["size"] or self.config["dataset"]["size"]

    @property
    def kit_size(self) -> int:
        """The side of all images of a rating kit, in pixels: none is enlarged, which readers would see."""
        sizes = [self.config["dataset"]["size"], *(self.size(name) for name in self.config["generators"])]
        return self.config["assessment"]["size"] or min(sizes)

    def outside(self) -> list[str]:
        """The generators whose images someone else made: nothing is trained for them."""
        return [name for name, entry in self.config["generators"].items() if entry["method"] == "folder"]

    def base_models(self, own: bool) -> list[str]:
        """The base models that the study makes of its own training images, or those that it takes from elsewhere."""
        return [name for name, source in self.config["base_models"].items() if isinstance(source, str) != own]

    def steps(self, generator: str) -> list[int]:
        """The optimiser steps at which a generator's checkpoints are kept; step 0 alone where nothing is trained."""
        if generator in self.outside():
            return [0]
        checkpoints = self.config["generators"][generator]["checkpoints"]
        return list(range(checkpoints["every"], checkpoints["last"] + 1, checkpoints["every"]))

    def previous_step(self, generator: str, step: int) -> int | None:
        """The checkpoint that training goes on from to reach `step`; None for the first."""
        every = self.config["generators"][generator]["checkpoints"]["every"]
        return step - every if step > every else None

    def synthesising(self) -> list[str]:
        """The generators whose images some arm asks for."""
        return [name for name in self.config["generators"] if self.shards(name)]

    def shards(self, generator: str, count: int | None = None, start: int = 0) -> list[tuple[int, int]]:
        """First and last image number (both included) of the shards with `count` images of a class from `start` on.

        None: as many as the generator's arms ask for. Shards are whole: a larger dose adds shards. Of images that
        someone else made there may be just so many: their shards end with the doses.
        """
        arms = [arm for arm in self.arms.values() if arm.generator == generator]
        end = max((arm.first + arm.per_class for arm in arms), default=0)
        count = end - start if count is None else count
        if generator in self.outside():
            doses = {arm.per_class for arm in arms}
            # Further draws add shards after those of the first, and leave these as they are.
            ends = sorted(doses | set(range(max(doses, default=1), end, max(doses, default=1))) | {end})
            return [(first, last - 1) for first, last in pairwise([0, *ends]) if first < start + count and last > start]
        size = self.config["synthesis"]["shard_size"]
        return [(first, first + size - 1) for first in range(start // size * size, start + count, size)]

    def drawn(self, generator: str) -> int:
        """How many images of each class the study asks a generator for."""
        return max([self.config["fidelity"]["images"], *(last + 1 for _, last in self.shards(generator))])

    def _require_texts(self) -> None:
        """Raises a StudyError where a generator is to learn from texts that the manifest does not have."""
        entries = self.config["generators"].items()
        asking = [name for name, entry in entries if (entry.get("prompts") or {}).get("source") == "text"]
        if not asking:
            return
        remedy = f"or set generators.{asking[0]}.prompts.source to template"
        if self.manifest is None or "text" not in self.manifest:
            raise StudyError("The images have no texts.", [f"give the manifest a column `text`, {remedy}"])
        empty = self.manifest[(self.manifest["text"] == "") & self.manifest["label"].isin(self.classes.values())]
        if len(empty):
            rows = ", ".join(str(row) for row in empty["row"][:10]) + (", …" if len(empty) > 10 else "")
            raise StudyError("Some images have no text.", [f"rows {rows} of the manifest: fill in `text`, {remedy}"])
