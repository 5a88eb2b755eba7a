"""Where the artifacts of a study lie, `results/<study>/`, and of its folds, `results/<study>/repeat-1-fold-1/`."""

from collections.abc import Sequence

from synthworth.study import Study


class StudyPaths:
    """The paths that rules of several stages ask for.

    `home` is the study's own folder: it holds what does not hang on the splits. `results` is that of the study or the
    part of it which the job's wildcard `study` names: Snakemake fills the wildcard in.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.config = study.config
        self.home = f"results/{study.name}"
        self.results = "results/{study}"
        # Each is trained and tested on its own; a study without folds is its only part.
        self.parts = [f"results/{name}" for name in study.parts or [study.name]]
        # The first part's: readers look at one set of generators.
        self.kits = [f"{self.parts[0]}/assessment/{mode}/kit" for mode in self.config["assessment"]["modes"]]

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

    def _rendered(self, generator: str, label: str, first: int, last: int, size: int) -> str:
        return f"{self.results}/synthesis/{generator}/{label}/images-{first}-{last}-{size}.npy"

    def _extractor(self, name: str) -> str:
        own = self.config["fidelity"]["extractors"][name]["kind"] == "domain"
        return f"{self.results}/fidelity/extractors/{name}" if own else f"{self.home}/weights/{name}"

    def _base_folder(self, name: str | None) -> str:
        """Where a base model lies, and what it makes without training images."""
        return self.results if name in self.study.base_models(own=True) else self.home

    def _real_features(self, extractor: str, split: str, size: int) -> str:
        return f"{self.results}/fidelity/reference/{extractor}/{split}-{size}.npz"

    def _reference(self, size: int, label: str, name: str) -> str:
        return f"{self.results}/memorization/reference/{size}/{label}/{name}.csv"

    def _flags(self, generator: str, label: str, first: int, last: int) -> str:
        return f"{self.results}/memorization/{generator}/{label}/images-{first}-{last}.csv"
