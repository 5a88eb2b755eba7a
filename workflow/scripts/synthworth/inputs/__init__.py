"""Which artifacts each job takes, where that hangs on the config: the methods are input functions of rules."""

from synthworth.inputs.assessment import AssessmentInputs
from synthworth.inputs.classifiers import ClassifiersInputs
from synthworth.inputs.fidelity import FidelityInputs
from synthworth.inputs.generators import GeneratorsInputs
from synthworth.inputs.memorization import MemorizationInputs
from synthworth.inputs.planning import PlanningInputs
from synthworth.inputs.ratings import RatingsInputs
from synthworth.inputs.report import ReportInputs


class Inputs(
    GeneratorsInputs,
    FidelityInputs,
    MemorizationInputs,
    AssessmentInputs,
    ClassifiersInputs,
    RatingsInputs,
    PlanningInputs,
    ReportInputs,
):
    """The input functions of one study."""
