"""What tests share: the environment that torch needs, and one small finished study."""

import fcntl
import os

# Two torch processes with the default threads on two cores run 60 to 100 times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import pytest
from house import TINY, copy_house, snakemake

# Files are dealt to workers in this order, the longest first and all others after these. The first makes the finished
# study, the third looks at it.
FIRST = [
    *("test_end_to_end.py", "test_learning.py", "test_reruns.py", "test_copier.py"),
    *("test_known_answers.py", "test_multilabel_study.py", "test_workflow.py"),
]


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(FIRST)))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A house with the tiny study, run once through every stage. Tests leave it as they found it.

    Workers share it: the first one makes it, the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    house = folder / "finished"
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "finished.done").exists():
            copy_house(house)
            snakemake(house, "--cores", "2", "--configfile", TINY)
            (folder / "finished.done").touch()
    return house


@pytest.fixture
def fidelity():
    """Scores of two generators' checkpoints."""
    return pd.DataFrame(
        [
            {"generator": generator, "scope": name, "class": name, "step": step, "selected": step == 20}
            | {"metric": metric, "extractor": extractor, "reference": "select", "value": value * step + place}
            for generator in ("gan", "ddpm")
            for place, name in enumerate(["viral", "healthy"])
            for metric, extractor, value in [
                ("fid", "inception", 4),
                ("fid", "domain", 1),
                ("kid", "domain", 2),
                ("ms_ssim", "", 0.01),
            ]
            for step in (30, 10, 20)
        ]
    )
