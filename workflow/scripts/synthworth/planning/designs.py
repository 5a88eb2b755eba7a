"""How a study repeats what it compares, and which of its runs count as independent."""

from collections.abc import Sequence

from synthworth.arms import Arm
from synthworth.planning.detectable import Design, Repetitions
from synthworth.statistics.predictions import LEVELS
from synthworth.study import Study


def study_designs(study: Study) -> list[Design]:
    """How the study compares its arms with synthetic images, each way once; their family has the controls, too.

    What counts as independent is as of `statistics.grid`: the highest level that has several values, known from all
    generators that have as many, or from all cells where it is trainings of the classifier.
    """
    statistics = study.config["statistics"]
    baseline = study.arms[statistics["baseline"]]
    compared: dict[str, list[Arm]] = {}
    for arm in study.arms.values():
        if set(arm.classifiers) & set(baseline.classifiers):
            compared.setdefault(arm.shared_name, []).append(arm)
    levels = {name: _repeated(study, arms) for name, arms in compared.items()}
    sources: dict[tuple[str, int], set] = {}
    for name, (level, units, _) in levels.items():
        sources.setdefault((level, units), set()).update(_sources(level, compared[name][0], baseline))
    repetitions = {
        name: Repetitions(runs, level, units, len(sources[level, units]) * (units - 1))
        for name, (level, units, runs) in levels.items()
    }
    kind = (len(compared) - 1, statistics["confidence"], statistics["primary_metric"])
    designs = [
        Design(
            repetitions[name],
            repetitions[baseline.shared_name],
            len(set(own.classifiers) & set(baseline.classifiers)),
            *kind,
        )
        for name, (own, *_) in compared.items()
        if own.dose
    ]
    return list(dict.fromkeys(designs))


def _repeated(study: Study, arms: Sequence[Arm]) -> tuple[str, int, int]:
    """The level of `LEVELS` that is repeated independently in an arm's replicates, how often, and all runs of each
    classifier.
    """
    counts = {
        "repeat": study.config["splits"]["repeats"],
        "generator_seed": len({arm.generator_seed for arm in arms}),
        "draw": len({arm.draw for arm in arms}),
        "seed": len(study.config["seeds"]["runs"]),
    }
    level = next((level for level in LEVELS if counts[level] > 1), LEVELS[-1])
    return level, counts[level], len(arms) * counts["repeat"] * counts["seed"]


def _sources(level: str, arm: Arm, baseline: Arm) -> set:
    """What shares the very units of an arm, and so tells of the spread between them but once (`grid.Grid.sources`)."""
    if level == "repeat":
        return {""}
    if level == "seed":
        return {(arm.shared_name, classifier) for classifier in arm.classifiers if classifier in baseline.classifiers}
    return {arm.source}
