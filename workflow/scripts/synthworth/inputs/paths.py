"""Where the artifacts of a study lie, `results/<study>/`."""

from collections.abc import Sequence

from synthworth.study import Study


class StudyPaths:
    """The paths that rules of several stages ask for."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.config = study.config
        self.results = f"results/{study.name}"

    def scores(self, study: str, name: str) -> str:
        """A file of scores: made by the study, or taken from the folder `cached_scores`."""
        cached = self.config["cached_scores"]
        if study == self.study.name and cached is not None:
            return f"{cached}/{name}"
        return f"results/{study}/scores/{name}"

    def _checkpoint(self, generator: str, scope: str, step: int | str) -> str:
        return f"{self.results}/fidelity/{generator}/{scope}/step-{step}"

    def _of_checkpoints(self, generator: str, files: Sequence[str]) -> list[str]:
        """Some files of each checkpoint of a generator, by scope and step."""
        return [
            f"{self._checkpoint(generator, scope, step)}/{file}"
            for scope in self.study.scopes(generator)
            for step in self.study.steps(generator)
            for file in files
        ]

    def _images(self, split: str, size: int) -> str:
        return f"{self.results}/data/{split}/images-{size}.npy"

    def _shard(self, generator: str, label: str, first: int, last: int) -> str:
        return f"{self.results}/synthesis/{generator}/{label}/images-{first}-{last}.parquet"

    def _extractor(self, name: str) -> str:
        own = self.config["fidelity"]["extractors"][name]["kind"] == "domain"
        return f"{self.results}/{'fidelity/extractors' if own else 'weights'}/{name}"

    def _reference(self, label: str, name: str) -> str:
        return f"{self.results}/memorization/reference/{label}/{name}.csv"

    def _flags(self, generator: str, label: str, first: int, last: int) -> str:
        return f"{self.results}/memorization/{generator}/{label}/images-{first}-{last}.csv"
