"""What tests share: the environment that torch needs, and one small finished study."""

import os

# Two torch processes with the default threads on two cores run 60 to 100 times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from house import TINY, copy_house, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A house with the tiny study, run once through every stage. Tests leave it as they found it."""
    folder = copy_house(tmp_path_factory.mktemp("finished"))
    snakemake(folder, "--cores", "2", "--configfile", TINY)
    return folder
