import subprocess
import sys
from pathlib import Path

import pytest

import synthworth
from synthworth.errors import StudyError
from synthworth.lock import hold, try_lock

HOLDER = """
import sys, time
from pathlib import Path
from synthworth.lock import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_study_belongs_to_one_process_until_it_dies(tmp_path):
    lock = tmp_path / "results" / ".lock"
    environment = {"PYTHONPATH": str(Path(synthworth.__file__).parents[1])}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StudyError, match="Another snakemake"):
        hold(lock)
    holder.kill()
    holder.wait()
    hold(lock)


def test_a_lock_is_there_once(tmp_path):
    assert try_lock(tmp_path / "lock") is not None
    assert try_lock(tmp_path / "lock") is None
