"""The code that each rule executes where that hangs on the config: the methods are functions of rules' `params`."""

from collections.abc import Callable
from typing import Any

from synthworth.fingerprint import fingerprint
from synthworth.study import Study

# A function of a job's wildcards.
Code = Callable[[Any], str]


class Codes:
    """Fingerprints of code for the jobs of one study; `script` is the rule's."""

    def __init__(self, study: Study) -> None:
        self.config = study.config

    def training(self, wildcards: Any) -> str:
        """Of a generator's training."""
        method = self.config["generators"][wildcards.generator]["method"]
        return fingerprint("generators", f"generators.{method}", script="train_generator")

    def sampling(self, script: str) -> Code:
        """Of drawing a generator's images."""

        def code(wildcards: Any) -> str:
            method = self.config["generators"][wildcards.generator]["method"]
            return fingerprint("synthesis", f"generators.{method}", script=script)

        return code

    def extractor(self, script: str) -> Code:
        """Of an extractor."""
        return lambda wildcards: fingerprint("features", self._kind(wildcards.extractor), script=script)

    def metric(self, script: str) -> Code:
        """Of a metric."""

        def code(wildcards: Any) -> str:
            metric = self.config["fidelity"]["metrics"][wildcards.metric]["metric"]
            return fingerprint("fidelity", f"fidelity.{metric}", script=script)

        return code

    def selftest(self, script: str) -> Code:
        """Of the metrics that look through one extractor (the wildcard), or without one at images."""

        def code(wildcards: Any) -> str:
            extractor = dict(wildcards.items()).get("extractor")
            entries = self.config["fidelity"]["metrics"].values()
            metrics = {entry["metric"] for entry in entries if entry.get("extractor") == extractor}
            modules = sorted(f"fidelity.{metric}" for metric in metrics)
            own = [self._kind(extractor)] if extractor else []
            return fingerprint("metric_selftest.measurement", *modules, *own, script=script)

        return code

    def copies(self, module: str, script: str) -> Code:
        """Of a module of the memorisation audit that extracts features."""
        extractor = self.config["memorization"]["extractor"]
        return lambda wildcards: fingerprint(f"memorization.{module}", self._kind(extractor), script=script)

    def _kind(self, extractor: str) -> str:
        return f"features.{self.config['fidelity']['extractors'][extractor]['kind']}"
