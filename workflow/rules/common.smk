"""The study that the config describes, and the names that wildcards may take. No rules."""

import re
import sys
from pathlib import Path

import yaml

HOUSE = Path(workflow.basedir)
sys.path.insert(0, str(HOUSE / "workflow" / "scripts"))

from synthworth.codes import Codes
from synthworth.config import compose, read_changes, validate
from synthworth.errors import StudyError
from synthworth.fingerprint import contents, fingerprint
from synthworth.inputs import Inputs
from synthworth.inputs.report import FIGURE_SCORES, PUBLISHED_FIGURES, PUBLISHED_TABLES, TABLE_SCORES
from synthworth.lock import hold
from synthworth.specs import Specs
from synthworth.specs.generators import MEMORY
from synthworth.study import Study

# Snakemake has merged config files key by key; the user's own part says which of the named entries are to run.
try:
    default = yaml.safe_load((HOUSE / "config" / "config.yaml").read_text(encoding="utf-8"))
    changes = read_changes(workflow.config_settings.configfiles, workflow.config_settings.config)
    config = compose(default, changes)
    validate(config, HOUSE / "workflow" / "schemas" / "config.schema.yaml")
    study = Study(config)
    config, classes = study.config, list(study.classes)
except StudyError as error:
    sys.exit(f"\n{error}\n")

inputs = Inputs(study)
specs = Specs(study)
codes = Codes(study)


def any_of(names):
    """A constraint that only these names meet; without names, nothing does."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


# A generator's name where the path goes on to its own last step: a constraint sees the rest of the path ahead of it.
ENDED = "|".join(
    rf"{re.escape(name)}(?=/[^/]+/(step|state)-{study.steps(name)[-1]}(\.|$))" for name in config["generators"]
)


wildcard_constraints:
    study=any_of([study.name, "published", *study.parts, *study.external]),
    split=any_of(study.splits),
    label=any_of(classes),
    scope=any_of([*classes, "all"]),
    base_model=any_of(config["base_models"]),
    generator=any_of(config["generators"]),
    extractor=any_of(config["fidelity"]["extractors"]),
    metric=any_of(config["fidelity"]["metrics"]),
    mode=any_of(config["assessment"]["modes"]),
    classifier=any_of(config["classifiers"]),
    arm=any_of(study.arms),
    table=any_of(TABLE_SCORES),
    figure=any_of(FIGURE_SCORES),
    size=r"\d+",
    step=r"\d+",
    seed=r"\d+",
    first=r"\d+",
    last=r"\d+",


# Two snakemakes on one study would do each other's jobs. Unlike Snakemake's own, this lock dies with its process.
onstart:
    try:
        hold(Path(".snakemake") / f"{study.name}.lock")
    except StudyError as error:
        sys.exit(f"\n{error}\n")


def mendable(input_function):
    """The input function, which ends snakemake with the message alone where the user can mend what is wrong."""

    def function(wildcards):
        try:
            return input_function(wildcards)
        except StudyError as error:
            sys.exit(f"\n{error}\n")

    return function


def training_memory(wildcards, attempt):
    """Main memory of a training in MB: the state of all weights of Stable Diffusion, as it is written, is 14 GB."""
    entry = config["generators"][wildcards.generator]
    return (32000 if entry["method"] in ("finetune", "dreambooth") else 16000) * attempt


def memory_settings(wildcards, threads):
    """How a training fits into memory. Taking `threads` keeps Snakemake from comparing it: the training is the same."""
    training = config["generators"][wildcards.generator]["training"]
    return {key: training[key] for key in MEMORY if key in training}


def sampling_batch_size(wildcards, threads):
    """How many images are drawn at once. Not compared either."""
    return config["generators"][wildcards.generator]["sampling_batch_size"]


def images_needed(wildcards, threads):
    """How many images of a class there must be. Not compared either: more of them leave an import as it is."""
    return study.drawn(wildcards.generator)
