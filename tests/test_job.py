"""Jobs as Snakemake starts them: a process of its own, with an object named `snakemake`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import synthworth

SCRIPTS = Path(synthworth.__file__).parents[1]

SCRIPT = """
import os, subprocess, sys, time
from types import SimpleNamespace
from synthworth.errors import StudyError
from synthworth.job import job

class Wildcards(dict):
    def __iter__(self):
        return iter(self.values())

snakemake = SimpleNamespace(
    log=["LOG"], rule="train_generator", wildcards=Wildcards(generator="ddpm", step="10"), resources={"gpu": 1},
    params={"spec": '{"seed": 3}', "code": "abc"}, threads=1,
)
with job(snakemake) as spec:
    BODY
"""


def start(tmp_path, body):
    script = SCRIPT.replace("LOG", str(tmp_path / "job.log")).replace("BODY", body)
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "CUDA_VISIBLE_DEVICES": "7"}
    environment.pop("SLURM_JOB_ID", None)
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(tmp_path, body):
    process = start(tmp_path, body)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err, (tmp_path / "job.log").read_text()


def test_all_output_goes_to_the_log_children_included(tmp_path):
    code, out, err, log = run(tmp_path, "print('hello'); subprocess.run(['echo', 'from a child'])")
    assert (code, out, err) == (0, "", "")
    assert "hello" in log
    assert "from a child" in log


def test_the_log_begins_with_the_provenance(tmp_path):
    _, _, _, log = run(tmp_path, "assert spec == {'seed': 3}")
    provenance, _ = json.JSONDecoder().raw_decode(log)
    assert provenance["rule"] == "train_generator"
    assert provenance["wildcards"] == {"generator": "ddpm", "step": "10"}
    assert provenance["spec"] == {"seed": 3}
    assert provenance["devices"] == ["7"]
    assert provenance["packages"]["torch"].startswith("2.")


def test_a_mendable_error_is_shown_without_traceback(tmp_path):
    code, _, err, log = run(tmp_path, "raise StudyError('The manifest is wrong:', ['row 3: no label'])")
    assert code == 1
    for text in (err, log):
        assert "row 3: no label" in text
        assert "Traceback" not in text


def test_any_other_error_leaves_its_traceback_in_the_log(tmp_path):
    code, _, err, log = run(tmp_path, "1 / 0")
    assert code == 1
    assert "Traceback" in log
    assert "division by zero" in err
    assert "job.log" in err


def test_a_second_process_waits_for_a_job_that_still_runs(tmp_path):
    orphan = start(tmp_path, "print('orphan', flush=True); time.sleep(600)")
    deadline = time.monotonic() + 30
    while "orphan" not in (tmp_path / "job.log").read_text() if (tmp_path / "job.log").exists() else True:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = start(tmp_path, "print('second')")
    time.sleep(1.5)
    assert second.poll() is None
    assert "second" not in (tmp_path / "job.log").read_text()
    orphan.send_signal(signal.SIGKILL)
    orphan.communicate()
    _, err = second.communicate(timeout=30)
    assert second.returncode == 0
    assert "waiting for it to end" in err
    log = (tmp_path / "job.log").read_text()
    assert "second" in log
    assert "orphan" not in log
