"""What runs by a warm Python ends and speaks as under Python itself, and has to import Synthworth for itself."""

import json
import subprocess
import sys

import pytest
from house import environment, warm_python


def run(python, folder, code):
    (folder / "script.py").write_text(code)
    return subprocess.run(
        [python, str(folder / "script.py"), "one", "two"],
        cwd=folder,
        env=environment() | {"OF_THIS_TEST": "set"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "import sys; print(sys.argv[1:], __name__); print('error', file=sys.stderr)",
        "import os; print(os.getcwd(), os.environ['OF_THIS_TEST'], 'OMP_NUM_THREADS' in os.environ)",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('why')",
        "import atexit; atexit.register(print, 'last'); print('first')",
    ],
)
def test_a_process_is_as_pythons_own(tmp_path, code):
    cold, warm = (run(python, tmp_path, code) for python in (sys.executable, warm_python()))
    assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_an_error_and_a_kill_are_told(tmp_path):
    failed = run(warm_python(), tmp_path, "1 / 0")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr
    killed = run(warm_python(), tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    # As a shell says it, which is what Snakemake asks.
    assert killed.returncode == 128 + 9


def test_it_has_libraries_and_nothing_of_synthworth(tmp_path):
    output = run(warm_python(), tmp_path, "import json, sys; print(json.dumps(sorted(sys.modules)))").stdout
    packages = {name.split(".")[0] for name in json.loads(output)}
    assert {"torch", "diffusers", "snakemake"} <= packages
    assert "synthworth" not in packages
