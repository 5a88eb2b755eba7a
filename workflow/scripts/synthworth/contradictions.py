"""What a config that keeps to the grammar can still get wrong: names that lead nowhere, numbers that do not fit.

The Snakefile reads this module while it is parsed, so nothing heavy is imported here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synthworth.arm_contradictions import arm_contradictions
from synthworth.assessment_contradictions import assessment_contradictions
from synthworth.findings import JOINT, NO_FINDING
from synthworth.generators.growth import GROUP
from synthworth.manifest import RESERVED as RESERVED_COLUMNS
from synthworth.manifest import USED
from synthworth.pipeline_folder import SIDES, check_folder, is_hub_id
from synthworth.prompts import PLACEHOLDER

Config = Mapping[str, Any]
# In place of a metric's name in `fidelity.selection`: the last checkpoint.
LAST = "last"
# Images of a class that prdc needs: five neighbours and the image itself.
LEAST_NEIGHBOURS = 6
# Files of scores without which there is no report.
CACHED = ("cells.csv", "comparisons.csv", "generators.csv", "verdict.json")
# Folders beside those of the generators.
RESERVED = ("extractors", "floors", "reference", "selftest")
# Metrics of which lower is better.
SELECTING = ("fid", "kid")


def contradictions(config: Config, root: Path) -> Iterator[str]:
    """The problems of a composed config, a line each that names key and remedy. Relative paths start at `root`."""
    if config["study"] == "published":
        yield "study: `published` holds the papers' own tables; choose another name"
    cached = config["cached_scores"]
    if cached and Path(cached).resolve() == Path("results", config["study"], "scores").resolve():
        yield "cached_scores: these scores are this study's own; copy the folder, or give the study another name"
    elif cached and not (root / cached).is_dir():
        yield f"cached_scores: there is no folder {cached}; give that with a study's scores, `results/<study>/scores`"
    elif cached:
        yield from (f"cached_scores: {cached} has no {name}" for name in CACHED if not (root / cached / name).is_file())
    yield from _dataset(config["dataset"])
    yield from _findings(config["dataset"])
    yield from _external(config, root)
    yield from _splits(config)
    yield from _unknown_names(config)
    yield from _names(config)
    for name, generator in config["generators"].items():
        yield from _generator(f"generators.{name}", generator, config, root)
    if not config["cached_scores"]:
        yield from _base_models(config, root)
    yield from arm_contradictions(config)
    yield from assessment_contradictions(config, root)


def _dataset(dataset: Config) -> Iterator[str]:
    sources = [key for key in ("manifest", "folder", "phantoms") if dataset.get(key)]
    if len(sources) > 1:
        yield f"dataset: give one of {', '.join(sources)}, and set the others to null"
    given = dataset.get("classes")
    if "all" in (given or []):
        yield "dataset.classes: `all` is no name for a class; rename it: {every: all}"
    if isinstance(given, Mapping) and len(set(given.values())) < len(given):
        yield "dataset.classes: two names have the same label; give each label one name"


def _findings(dataset: Config) -> Iterator[str]:
    findings, phantoms = dataset["findings"] or [], dataset.get("phantoms") or {}
    for name in findings:
        if name in (*USED, *RESERVED_COLUMNS, "all"):
            yield f"dataset.findings: the column `{name}` has another meaning; rename it in the manifest"
        elif name.casefold().replace(" ", "_") == NO_FINDING:
            yield f"dataset.findings: `{name}` is no finding but the absence of all others; take it out"
    if findings and dataset.get("folder"):
        yield "dataset.findings: a folder per class says nothing of findings; write a manifest (dataset.manifest)"
    drawn = {part for name in phantoms.get("patients", {}) for part in name.split(JOINT)}
    if phantoms:
        yield from (f"dataset.findings: no phantom patient has `{name}`" for name in findings if name not in drawn)
    for key in ("uncertain_share", "unmentioned_share"):
        if phantoms.get(key) and not findings:
            yield f"dataset.phantoms.{key}: of which findings? name them in dataset.findings, or set it to 0"


def _external(config: Config, root: Path) -> Iterator[str]:
    sets = config["dataset"]["external"]
    if sets and config["splits"]["folds"]:
        yield "dataset.external: with folds a run is several models, and none is to be tested; set splits.folds to null"
    for name, manifest in sets.items():
        if not config["cached_scores"] and not (root / manifest).is_file():
            yield f"dataset.external.{name}: there is no file {manifest}; give the manifest of that test set"


def _splits(config: Config) -> Iterator[str]:
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
    if config["protocol"] == "paper" and config["splits"]["folds"]:
        yield "splits.folds: the published protocol has one split; set it to null, or say `protocol: honest`"
    if config["splits"]["repeats"] > 1 and not config["splits"]["folds"]:
        yield "splits.repeats: without folds there is nothing to repeat; set splits.folds (5, say), or repeats to 1"
    if config["splits"]["folds"] and config["statistics"]["primary_metric"] == "macro_auroc":
        yield (
            "statistics.primary_metric: macro_auroc would rank images of all folds together, but each fold has "
            "classifiers of its own, whose probabilities cannot be compared; choose balanced_accuracy, accuracy or "
            "macro_f1, or set splits.folds to null"
        )


def _names(config: Config) -> Iterator[str]:
    for name in config["generators"]:
        if name in RESERVED:
            yield f"generators.{name}: a folder of this name holds other things; choose another name"


def _generator(key: str, generator: Config, config: Config, root: Path) -> Iterator[str]:
    if generator["method"] == "folder":
        if not config["cached_scores"] and not (root / generator["images"]).exists():
            yield f"{key}.images: there is no {generator['images']}"
        return
    checkpoints = generator["checkpoints"]
    if checkpoints["last"] % checkpoints["every"]:
        yield f"{key}.checkpoints.last: {checkpoints['last']} is no multiple of `every`"
    size = generator["size"] or config["dataset"]["size"]
    if generator["method"] == "gan":
        yield from _growth(key, generator, size)
        return
    training = generator["training"]
    if training["batch_size"] % generator["gpus"]:
        yield f"{key}.training.batch_size: must be a multiple of `gpus` ({generator['gpus']})"
    if training["schedule"] == "cosine" and training["schedule_steps"] is None:
        yield f"{key}.training.schedule_steps: a cosine needs its end; give the number of steps"
    elif training["schedule"] == "cosine" and checkpoints["last"] > training["schedule_steps"]:
        yield (
            f"{key}.checkpoints.last: past training.schedule_steps ({training['schedule_steps']}) "
            "the cosine's learning rate is 0; raise both, which trains anew, or choose `schedule: constant`"
        )
    if generator["method"] == "ddpm":
        halved = 2 ** (len(generator["model"]["block_out_channels"]) - 1)
        if size % halved:
            yield (
                f"{key}.size: {size} px cannot be halved as often as the blocks of {key}.model ask for; "
                f"choose a multiple of {halved} (null takes dataset.size)"
            )
        blocks, steps = len(generator["model"]["block_out_channels"]), generator["noise"]["training_steps"]
        if any(block >= blocks for block in generator["model"]["attention_blocks"]):
            yield f"{key}.model.attention_blocks: the blocks of `block_out_channels` are 0 to {blocks - 1}"
        if generator["sampling"]["steps"] > steps:
            yield f"{key}.sampling.steps: at most noise.training_steps ({steps})"
    else:
        if size % SIDES:
            yield (
                f"{key}.size: {size} px; Stable Diffusion has images of a multiple of {SIDES}, "
                f"{size // SIDES * SIDES} or {-(-size // SIDES) * SIDES} (null takes dataset.size)"
            )
        yield from _placeholders(key, generator["prompts"])
        yield from _check(f"{key}.base_model", [generator["base_model"]], "base_models", config["base_models"])


def _placeholders(key: str, prompts: Config) -> Iterator[str]:
    texts = {"template": prompts["template"]} | {f"classes.{name}": text for name, text in prompts["classes"].items()}
    for name, text in texts.items():
        for found in re.findall(r"\{.*?\}", text):
            if found != PLACEHOLDER:
                yield f"{key}.prompts.{name}: {found} would be told as it is; in its place {PLACEHOLDER} can stand"


def _growth(key: str, generator: Config, size: int) -> Iterator[str]:
    stages = generator["growth"]
    resolutions = [stage["resolution"] for stage in stages]
    doubled = [resolutions[0] * 2**place for place in range(len(resolutions))]
    if resolutions != doubled or resolutions[0] & (resolutions[0] - 1):
        yield f"{key}.growth: each stage doubles the resolution, from a power of two: {', '.join(map(str, doubled))}"
    if resolutions[-1] != size:
        yield (
            f"{key}.growth: it ends at {resolutions[-1]} px, but the images are to have {size}; let its last stage "
            f"have that resolution, or set {key}.size to {resolutions[-1]}"
        )
    if any(stage["steps"] is None for stage in stages[:-1]):
        yield f"{key}.growth: every stage but the last needs its `steps`"
    if stages[-1]["steps"] is not None:
        yield f"{key}.growth: the last stage goes on to the end of the training; set its `steps` to null"
    grown = sum(stage["steps"] or 0 for stage in stages)
    if generator["checkpoints"]["last"] <= grown:
        yield (
            f"{key}.checkpoints.last: after {grown} steps of `growth` nothing is left for the last resolution; "
            "raise it, or shorten the stages"
        )
    part = GROUP * generator["gpus"]
    if any(stage["batch_size"] % part for stage in stages):
        yield f"{key}.growth: a `batch_size` must be a multiple of {part} ({GROUP} images on each of `gpus`)"
    if (generator["training"]["micro_batch_size"] or GROUP) % GROUP:
        yield f"{key}.training.micro_batch_size: must be a multiple of {GROUP}, or null"


def _base_models(config: Config, root: Path) -> Iterator[str]:
    used = {generator.get("base_model") for generator in config["generators"].values()}
    for name, source in config["base_models"].items():
        if name in used and isinstance(source, str) and not is_hub_id(source):
            for problem in check_folder(root / source):
                yield f"base_models.{name}: {problem}"


def _unknown_names(config: Config) -> Iterator[str]:
    yield from _check("statistics.baseline", [config["statistics"]["baseline"]], "arms", config["arms"])
    metrics = config["fidelity"]["metrics"]
    selection = config["fidelity"]["selection"]
    if selection != LAST:
        yield from _check("fidelity.selection", [selection], "fidelity.metrics", metrics)
        metric = metrics.get(selection, {}).get("metric", "fid")
        if metric not in SELECTING:
            yield f"fidelity.selection: {selection} is of {metric}; checkpoints are chosen by {', '.join(SELECTING)}"
    for name, metric in metrics.items():
        if metric.get("reference") == "select" and not config["splits"]["fractions"].get("select"):
            yield (
                f"fidelity.metrics.{name}.reference: there is no split `select`; take `train`, or give "
                "splits.fractions a share `select`"
            )
    extractors = config["fidelity"]["extractors"]
    for name, metric in metrics.items():
        used = [metric["extractor"]] if "extractor" in metric else []
        yield from _check(f"fidelity.metrics.{name}.extractor", used, "fidelity.extractors", extractors)
        if metric["metric"] == "prdc" and config["fidelity"]["images"] < LEAST_NEIGHBOURS:
            yield f"fidelity.images: prdc (fidelity.metrics.{name}) looks at neighbours; it needs {LEAST_NEIGHBOURS}"
    if config["memorization"]["filter_copies"] != "off" and not config["splits"]["fractions"].get("select"):
        yield "memorization.filter_copies: copies are told by images held out in a split `select`, and there is none"
    looking = {"fidelity.detector": config["fidelity"]["detector"], "memorization": config["memorization"]}
    for key, section in looking.items():
        yield from _check(f"{key}.extractor", [section["extractor"]], "fidelity.extractors", extractors)
    for name, arm in config["arms"].items():
        generators = [arm["generator"]] if arm.get("generator") else []
        yield from _check(f"arms.{name}.generator", generators, "generators", config["generators"])
        chosen = arm.get("classifiers") or []
        yield from _check(f"arms.{name}.classifiers", chosen, "classifiers", config["classifiers"])


def _check(key: str, names: list[str], section: str, entries: Config) -> Iterator[str]:
    for name in names:
        if name not in entries:
            yield f"{key}: there is no `{name}` under `{section}` ({', '.join(entries) or 'it is empty'})"
