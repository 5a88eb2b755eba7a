"""The plan of a study: its tables, and what they say in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synthworth import progress
from synthworth.files import replacing
from synthworth.manifest import read_index
from synthworth.planning.designs import study_designs
from synthworth.planning.detectable import Assumption, detectable_effect, published_assumptions
from synthworth.planning.jobs import check_doses, classifier_jobs, generator_jobs
from synthworth.planning.rates import MEASURED, UNKNOWN, estimate_hours, read_rates
from synthworth.study import Study

# The rules whose jobs take one of the places of a GPU that is listed several times.
SHARING = ("train_classifier", "evaluate_classifier")
COLUMNS = ["stage", "rule", "name", "jobs", "finished", "amount", "unit", "gpu_hours", "source"]


def write_plan(
    training: Sequence[str | Path],
    selecting: Sequence[str | Path],
    tests: Sequence[str | Path],
    rates: str | Path,
    published: str | Path,
    markdown: str | Path,
    csv: str | Path,
    *,
    config: Mapping[str, Any],
    folders: Sequence[str],
    test_sets: Sequence[str],
) -> None:
    """Writes the plan of the study of a `config` as text and as a CSV.

    `training` and `selecting` are the indices of the images that are trained on and by which epochs are chosen, one for
    each fold; `tests` those of the test sets, named `test_sets`, the study's own first. Benchmarks of finished jobs lie
    under `folders`. `rates` is as of `rates.read_rates`, `published` the folder of the published tables. Raises
    StudyError as `jobs.check_doses`.
    """
    study = Study(config)
    counts = [read_index(path)["class"].value_counts().to_dict() for path in training]
    check_doses(study, counts)
    chosen_by = [len(read_index(path)) for path in selecting]
    indices = {name: read_index(path) for name, path in zip(test_sets, tests, strict=True)}
    repeats = config["splits"]["repeats"]
    tested = {name: len(index) * repeats for name, index in indices.items()}
    sizes = [sum(own.values()) for own in counts]
    rows = [*generator_jobs(study, sum(sizes) / len(sizes))]
    rows += classifier_jobs(study, counts, sum(chosen_by) / len(chosen_by), tested)
    table = read_rates(rates)
    hours = estimate_hours(pd.DataFrame(rows), table, folders).sort_values("stage", key=_in_order, kind="stable")
    plan = hours.groupby(["stage", "rule", "name", "unit", "source"], sort=False, as_index=False)[
        ["jobs", "finished", "amount", "gpu_hours"]
    ].agg(lambda column: column.sum(min_count=1))[COLUMNS]
    assumptions = published_assumptions(published)
    findings = [effect_sentence(name, index, study, assumptions) for name, index in indices.items()]
    text = plan_text(study, plan, table["device"].iloc[0], [*findings, "", assumed(study)])
    with replacing(csv) as temporary:
        plan.to_csv(temporary, index=False, float_format="%.6g")
    with replacing(markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


def show_plan(markdown: str | Path) -> None:
    """Prints a plan to the terminal."""
    print(f"\n{Path(markdown).read_text(encoding='utf-8')}", file=progress.terminal, flush=True)


def plan_text(study: Study, plan: pd.DataFrame, device: str, findings: Sequence[str]) -> str:
    """The plan in Markdown: what runs, what it costs by stage, where the hours come from, and what could be found."""
    lines = [f"# Plan of the study {study.name}", "", _summary(study, plan), ""]
    lines += ["| Stage | Job | Of | Jobs | Amount | GPU-hours |", "|---|---|---|--:|--:|--:|"]
    for (stage, rule, unit), rows in plan.groupby(["stage", "rule", "unit"], sort=False):
        names = ", ".join(rows["name"].unique())
        amount = f"{rows['amount'].sum():,.0f} {unit}"
        lines.append(
            f"| {stage} | {rule} | {names} | {rows['jobs'].sum():,} | {amount} | {_hours(rows['gpu_hours'])} |"
        )
    lines += [
        f"| **{stage}** | | | | | **{_hours(own['gpu_hours'])}** |" for stage, own in plan.groupby("stage", sort=False)
    ]
    lines += [f"| **all** | | | **{plan['jobs'].sum():,}** | | **{_hours(plan['gpu_hours'])}** |", ""]
    lines += [
        f"Hours are those of one {device} where no job of the kind is finished, else of the machine that ran them. Of "
        f"these jobs {plan['finished'].sum():,} are finished. What needs no GPU is not counted (images in, metrics, "
        "statistics, tables), nor what needs it for seconds (features of real images, audits). A job's hours are as if "
        f"it had its GPUs to itself. Of {' and '.join(SHARING)} several can share one (docs/gpus-and-clusters.md): "
        "where n do, their hours together are n times those that the GPU was theirs.",
        "",
        "## Where the hours come from",
        "",
        *_sources(plan),
        "",
        "## What it could find",
        "",
        *findings,
    ]
    return "\n".join(lines) + "\n"


def effect_sentence(name: str, index: pd.DataFrame, study: Study, assumptions: tuple[Assumption, Assumption]) -> str:
    """What could be found on a test set, in words."""
    designs = study_designs(study)
    low, high = (
        limit(detectable_effect(index, design, assumption, study.findings) for design in designs)
        for limit, assumption in zip((min, max), assumptions, strict=True)
    )
    size = f"{name}: with {len(index)} test images of {index['patient'].nunique()} patients, {designs[0].family} arms "
    size += f"and {len(study.config['seeds']['runs'])} seeds"
    if pd.isna(low):
        return (
            f"{size}, the part of chance cannot be known, and no effect can be shown: give `seeds.runs` two at least."
        )
    metric = designs[0].metric.replace("_", " ")
    stand_in = "" if designs[0].metric in ("accuracy", "balanced_accuracy") else " (reckoned for balanced accuracy)"
    return (
        f"{size}, an effect below {100 * low:.1f} to {100 * high:.1f} points of {metric}{stand_in} would easily be "
        "missed."
    )


def assumed(study: Study) -> str:
    """What the numbers of `effect_sentence` rest on, in words."""
    repeated = {design.arm.level: design.arm for design in study_designs(study)}
    counted = [INDEPENDENT[level].format(arm.units, arm.runs) for level, arm in repeated.items()]
    return (
        "Assumed: recalls are those of Schaudt et al. 2023, and trainings of a classifier differ as much as theirs: "
        "from the lower quartile of their table, to the upper one and arms that differ as well. "
        f"{' '.join(counted)} An effect is taken to leave the noise as it is."
    )


# What `study_designs` counts, by the level that is repeated; {0} of {1} runs.
INDEPENDENT = {
    "repeat": "The {0} repeats of the cross-validation count as independent, not their {1} runs of a classifier on an "
    "arm; new generators may differ as much as arms do.",
    "generator_seed": "The {0} trainings of a generator count as independent, not their {1} runs of a classifier on an "
    "arm; they may differ as much as arms do.",
    "draw": "The {0} draws of a generator's images count as independent, not their {1} runs of a classifier on an arm; "
    "they may differ as much as arms do.",
    "seed": "The {0} trainings of a classifier on an arm count as independent, and a generator that is trained once as "
    "the only one there is.",
}


def _summary(study: Study, plan: pd.DataFrame) -> str:
    """The numbers that a reader asks for first."""
    by_rule = plan.groupby("rule")[["jobs", "amount"]].sum()
    models = sum(len(study.scopes(name)) for name in study.config["generators"] if name not in study.outside())
    segments = int(by_rule["jobs"].get("train_generator", 0))
    drawn = by_rule["amount"].reindex(["sample_prior", "sample_checkpoint", "synthesize_shard"]).sum()
    runs = by_rule.loc["train_classifier"]
    return (
        f"{models * max(len(study.parts), 1)} trainings of generators in {segments} segments, each with a checkpoint; "
        f"{drawn:,.0f} images drawn; {int(runs['jobs']):,} runs of classifiers, through which {runs['amount']:,.0f} "
        f"images pass, and {by_rule.loc['evaluate_classifier', 'amount']:,.0f} in their tests."
    )


def _in_order(stages: pd.Series) -> pd.Series:
    return stages.map(["base models", "generators", "fidelity", "synthesis", "classifiers"].index)


def _sources(plan: pd.DataFrame) -> list[str]:
    """One line for each source, with the jobs that it is about; measured times first."""
    lines = []
    for source, rows in plan.groupby("source", sort=False):
        names = "; ".join(
            f"{rule} of {', '.join(own['name'].unique())}" for rule, own in rows.groupby("rule", sort=False)
        )
        lines.append(((source != MEASURED, source == UNKNOWN), f"- {names}: {source}"))
    return [line for _, line in sorted(lines, key=lambda entry: entry[0])]


def _hours(values: pd.Series) -> str:
    hours = values.sum(min_count=1)
    if pd.isna(hours):
        return UNKNOWN
    text = "< 0.1" if hours < 0.1 else f"{hours:.1f}" if hours < 100 else f"{hours:,.0f}"
    return f"{text}, and more" if values.isna().any() else text
