"""The spec of the rule that plans a study."""

from typing import Any

from synthworth.cells import OWN_TEST_SET
from synthworth.specs.canonical import ConfigSlices, canonical


class PlanningSpecs(ConfigSlices):
    """A method per rule."""

    @canonical
    def plan_study(self, wildcards: Any) -> dict[str, Any]:
        """The whole config, the folders of finished jobs, and the names of the test sets."""
        sets = list(self.study.external)
        return {
            "config": {**self.config, "dataset": {**self.config["dataset"], "classes": self.study.classes}},
            "folders": [f"results/{name}" for name in (self.study.name, *self.study.parts, *sets)],
            "test_sets": [OWN_TEST_SET, *(name.rpartition("/")[2] for name in sets)],
        }
