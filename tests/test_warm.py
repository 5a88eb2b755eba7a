"""What runs by a warm Python ends and speaks as under Python itself, and has to import Synthworth for itself."""

import json
import signal
import subprocess
import sys

import pytest
from house import HOUSE, environment, warm_python


def run(python, folder, code, **variables):
    (folder / "script.py").write_text(code)
    return subprocess.run(
        [python, str(folder / "script.py"), "one", "two"],
        cwd=folder,
        env=environment() | {"OF_THIS_TEST": "set"} | variables,
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


@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_has_the_threads_of_its_environment(tmp_path, threads):
    code = (
        "import threadpoolctl, torch\n"
        "print(torch.get_num_threads(), {pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    output = run(warm_python(), tmp_path, code, OMP_NUM_THREADS=str(threads)).stdout
    assert output.split() == [str(threads), f"{{{threads}}}"]


def test_a_process_gets_the_signals_of_its_client(tmp_path):
    code = "import time; print('started', flush=True); time.sleep(60)"
    (tmp_path / "script.py").write_text(code)
    client = subprocess.Popen([warm_python(), str(tmp_path / "script.py")], stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "started\n"
    client.send_signal(signal.SIGTERM)
    assert client.wait(timeout=20) == 128 + signal.SIGTERM
    # Nobody holds the stream any more: the process has ended, not its client alone.
    assert client.stdout.read() == ""


def test_a_process_does_not_outlive_its_client(tmp_path):
    (tmp_path / "script.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    client = subprocess.Popen([warm_python(), str(tmp_path / "script.py")], stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline()
    client.kill()
    # The stream ends with the last process that holds it.
    assert client.stdout.read() == ""
    client.wait()


def test_it_does_as_snakemake_does(tmp_path):
    (tmp_path / "Snakefile").write_text(
        """
rule all:
    input: "made", "not-made"
rule make:
    output: "{name}"
    script: "script.py"
"""
    )
    (tmp_path / "script.py").write_text(
        "import sys\nassert snakemake.output[0] == 'made'\nopen('made', 'w').write(str('torch' in sys.modules))"
    )
    start = [sys.executable, str(HOUSE / "workflow" / "warm.py"), "--cores", "1", "--keep-going"]
    done = subprocess.run(start, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
    assert (tmp_path / "made").read_text() == "True"
