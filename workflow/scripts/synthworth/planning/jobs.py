"""The jobs of a study that compute on a GPU, and how much each kind of them has to do."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synthworth.errors import StudyError
from synthworth.planning.rates import ANY
from synthworth.study import Study

# A pass forwards alone costs about a third of one with gradients.
FORWARD = 1 / 3
IMAGES = "images"
STEPS = "optimiser steps"


@dataclass(frozen=True)
class Jobs:
    """All jobs of a `rule` for one `name` (a generator, a classifier), a row of the plan.

    `folder` is where their benchmarks lie. They do `amount` in `unit`; what that costs is `load` times the rate of
    `rule` and `method` for an image of `size` px (a side), each job on `gpus` devices; `sampler_steps` of each drawn
    image, else 0. `stage` is what a reader calls it all.
    """

    stage: str
    rule: str
    name: str
    folder: str
    method: str
    size: int
    jobs: int
    amount: float
    unit: str
    load: float
    gpus: int = 1
    sampler_steps: int = 0


def generator_jobs(study: Study, training_images: float) -> Iterator[Jobs]:
    """The jobs of base models, generators, fidelity and synthesis, those of all folds together.

    `training_images` are those of a fold, on average.
    """
    folds = max(len(study.parts), 1)
    yield from _base_model_jobs(study, folds, training_images)
    for name, entry in study.config["fidelity"]["extractors"].items():
        if entry["kind"] == "domain":
            images, size = folds * entry["epochs"] * training_images, study.config["dataset"]["size"]
            kind = {"method": entry["architecture"], "size": size, "jobs": folds, "unit": IMAGES}
            folder = f"train_extractor/{name}"
            yield Jobs("fidelity", "train_extractor", name, folder, amount=images, load=images, **kind)
    for name in study.config["generators"]:
        yield from _jobs_of_generator(study, name, folds)


def _base_model_jobs(study: Study, folds: int, training_images: float) -> Iterator[Jobs]:
    entries = study.config["generators"]
    adapted = {entry.get("base_model"): study.size(name) for name, entry in entries.items() if entry.get("base_model")}
    for base, size in adapted.items():
        if base in study.base_models(own=True):
            source = study.config["base_models"][base]
            steps, folder = folds * (source["vae"]["steps"] + source["unet"]["steps"]), f"train_base_model/{base}"
            yield Jobs("base models", "train_base_model", base, folder, ANY, size, folds, steps, STEPS, steps)
        images, folder = folds * training_images, f"encode_images/{base}"
        yield Jobs("base models", "encode_images", base, folder, ANY, size, folds, images, IMAGES, images)
    for name, entry in entries.items():
        if images := (entry.get("prior") or {}).get("images"):
            count = folds if entry["base_model"] in study.base_models(own=True) else 1
            images, drawing = images * count, _drawing(study, name)
            folder = f"sample_prior/{name}"
            yield Jobs("base models", "sample_prior", name, folder, jobs=count, amount=images, load=images, **drawing)


def _jobs_of_generator(study: Study, name: str, folds: int) -> Iterator[Jobs]:
    entry, size, steps = study.config["generators"][name], study.size(name), study.steps(name)
    scopes, classes, drawing = len(study.scopes(name)), len(study.classes), _drawing(study, name)
    count = scopes * len(steps) * folds
    if name not in study.outside():
        yield Jobs(
            stage="generators",
            rule="train_generator",
            name=name,
            folder=f"train_generator/{name}",
            method=entry["method"],
            size=size,
            jobs=count,
            amount=scopes * steps[-1] * folds,
            unit=STEPS,
            load=scopes * folds * images_of_training(entry, size),
            gpus=entry["gpus"],
        )
    images = study.config["fidelity"]["images"] * classes * len(steps) * folds
    folder = f"sample_checkpoint/{name}"
    yield Jobs("fidelity", "sample_checkpoint", name, folder, jobs=count, amount=images, load=images, **drawing)
    looks = len(_extractors(study))
    folder, images, count = f"extract_features/{name}", images * looks, count * looks
    yield Jobs("fidelity", "extract_features", name, folder, ANY, size, count, images, IMAGES, images)
    shards = study.shards(name)
    images = sum(last - first + 1 for first, last in shards) * classes * folds
    if images:
        folder, count = f"synthesize_shard/{name}", len(shards) * classes * folds
        yield Jobs("synthesis", "synthesize_shard", name, folder, jobs=count, amount=images, load=images, **drawing)


def images_of_training(entry: Mapping[str, Any], size: int) -> float:
    """The images that pass through one model's training, as so many of `size` px: those of a GAN's growth by area."""
    last = entry["checkpoints"]["last"]
    if entry["method"] == "gan":
        stages = entry["growth"]
        final = last - sum(stage["steps"] or 0 for stage in stages)
        return sum(
            (final if stage["steps"] is None else stage["steps"])
            * stage["batch_size"]
            * (stage["resolution"] / size) ** 2
            for stage in stages
        )
    # With an image of the prior for each image of a class.
    return last * entry["training"]["batch_size"] * (2 if entry.get("prior") else 1)


def classifier_jobs(
    study: Study, training: list[Mapping[str, int]], selecting: float, tested: Mapping[str, int]
) -> Iterator[Jobs]:
    """The jobs of classifiers, a row for each arm.

    `training`: of each fold the real training images by class; `selecting`: images by which a fold's epochs are chosen,
    on average; `tested`: the images of each test set, those of all folds together.
    """
    folds, seeds = len(training), len(study.config["seeds"]["runs"])
    for arm in study.arms.values():
        for name in arm.classifiers:
            entry = study.config["classifiers"][name]
            settings = entry["training"]
            passed = sum(images_of_run(asdict(arm), settings, counts) for counts in training) * seeds
            judged = settings["epochs"] * selecting * folds * seeds
            kind = {"method": entry["architecture"], "size": entry["size"], "unit": IMAGES, "name": name}
            yield Jobs(
                stage="classifiers",
                rule="train_classifier",
                folder=f"train_classifier/{name}/{arm.name}",
                jobs=seeds * folds,
                amount=passed + judged,
                load=passed + FORWARD * judged,
                **kind,
            )
            images = sum(tested.values()) * seeds
            # With folds each image is tested once in each repeat; an external set by each run.
            count = seeds * (folds + len(tested) - 1)
            folder = f"evaluate_classifier/{name}/{arm.name}"
            yield Jobs(
                "classifiers", "evaluate_classifier", folder=folder, jobs=count, amount=images, load=images, **kind
            )


def images_of_run(arm: Mapping[str, Any], training: Mapping[str, Any], counts: Mapping[str, int]) -> float:
    """The training images that pass through one run of an arm (the fields of an `Arm`); held-back shares by images.

    `training` has `epochs` and `budget`, `counts` the real training images of each class.
    """
    real = list(counts.values())
    if training["budget"] == "steps":
        return training["epochs"] * sum(real)
    kept = [arm["real_share"] * count for count in real]
    added = [arm["per_class"]] * len(real)
    if arm["balance"] == "to_majority":
        added = [max(kept) - count for count in kept]
    stages = {
        "mix": [(1.0, [a + b for a, b in zip(kept, added, strict=True)])],
        "replace": [(1.0, added)],
        "pretrain_then_finetune": [(arm["pretrain_share"], added), (1 - arm["pretrain_share"], kept)],
    }[arm["regime"]]
    even = arm["balance"] == "oversample"
    return training["epochs"] * sum(
        share * (max(images) * len(images) if even else sum(images)) for share, images in stages
    )


def check_doses(study: Study, training: list[Mapping[str, int]]) -> None:
    """Raises StudyError where an arm that fills up the classes has too few synthetic images for it in some fold.

    `training` is as of `classifier_jobs`. Where an arm holds back real images its own runs say so, not the plan.
    """
    lacking = max(max(counts.values()) - min(counts.values()) for counts in training)
    problems = []
    for arm in study.arms.values():
        if arm.balance == "to_majority" and arm.real_share == 1 and arm.per_class < lacking:
            problems.append(
                f"arms.{arm.shared_name}: {lacking} images are lacking to the largest class, the arm has "
                f"{arm.per_class}: raise its `per_class` to {lacking}"
            )
    if problems:
        raise StudyError("The synthetic images do not suffice to balance the classes", problems)


def _drawing(study: Study, name: str) -> dict[str, Any]:
    """What is the same for all jobs that draw a generator's images."""
    entry = study.config["generators"][name]
    steps = (entry.get("sampling") or {}).get("steps") or 0
    return {"method": entry["method"], "size": study.size(name), "unit": IMAGES, "sampler_steps": steps}


def _extractors(study: Study) -> set[str]:
    """The extractors whose features of each checkpoint's images are made."""
    fidelity = study.config["fidelity"]
    used = {entry["extractor"] for entry in fidelity["metrics"].values() if "extractor" in entry}
    held_out = {fidelity["detector"]["extractor"], study.config["memorization"]["extractor"]}
    return used | (held_out if "select" in study.splits else set())
