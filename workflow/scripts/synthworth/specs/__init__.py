"""What each rule's job depends on in the config, as one canonical JSON string.

Snakemake compares a job's params as an unnamed set of `repr`s: of two numbers that swap places it would notice
nothing. One string with sorted keys notices everything, and nothing that the job does not use. A method has the name
of its rule and takes the job's wildcards; its keys are keyword arguments of the function that the rule's script calls.
"""

from synthworth.specs.assessment import AssessmentSpecs
from synthworth.specs.classifiers import ClassifiersSpecs
from synthworth.specs.data import DataSpecs
from synthworth.specs.fidelity import FidelitySpecs
from synthworth.specs.generators import GeneratorsSpecs
from synthworth.specs.memorization import MemorizationSpecs
from synthworth.specs.planning import PlanningSpecs
from synthworth.specs.ratings import RatingsSpecs
from synthworth.specs.report import ReportSpecs


class Specs(
    DataSpecs,
    GeneratorsSpecs,
    FidelitySpecs,
    MemorizationSpecs,
    AssessmentSpecs,
    ClassifiersSpecs,
    RatingsSpecs,
    PlanningSpecs,
    ReportSpecs,
):
    """The slices of one study's config, a method per rule."""
