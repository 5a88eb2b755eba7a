import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthworth import devices

SCRIPTS = Path(devices.__file__).parents[1]

# A job on simulated devices: leases, says from when to when it held which, and ends.
JOB = """
import sys, time
from pathlib import Path
from synthworth.devices import lease
count, locks, seconds = int(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None, float(sys.argv[3])
held = lease(count, locks, shares=len(sys.argv) > 4)
start = time.monotonic()
time.sleep(seconds)
import os
assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(held)
print(start, time.monotonic(), *held, flush=True)
"""


def start(count, locks, seconds=0.3, shares=False, **environment):
    command = [sys.executable, "-c", JOB, str(count), str(locks), str(seconds), *(["shares"] if shares else [])]
    variables = {"CUDA_VISIBLE_DEVICES": "0,1,2", "PYTHONPATH": str(SCRIPTS)} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def test_jobs_at_once_never_share_a_device(tmp_path):
    jobs = [start(count, tmp_path) for count in (1, 2, 1, 1, 2, 3, 1)]
    spans = []
    for job in jobs:
        output, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        begin, end, *held = output.split()
        spans.append((float(begin), float(end), set(held)))
    assert [len(held) for _, _, held in spans] == [1, 2, 1, 1, 2, 3, 1]
    for i, (begin, end, held) in enumerate(spans):
        for other_begin, other_end, other_held in spans[i + 1 :]:
            at_once = begin < other_end and other_begin < end
            assert not (at_once and held & other_held)


def test_runs_share_a_device_up_to_its_places_and_never_with_another_job(tmp_path):
    # Two cards with three places each.
    listed = {"CUDA_VISIBLE_DEVICES": "0,0,0,1,1,1"}
    jobs = [start(1, tmp_path, 1.5, shares=True, **listed) for _ in range(8)]
    jobs += [start(1, tmp_path, 0.3, **listed), start(2, tmp_path, 0.3, **listed)]
    spans = []
    for number, job in enumerate(jobs):
        output, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        begin, end, *held = output.split()
        spans += [(device, float(begin), float(end), number < 8) for device in held]
    assert len(spans) == 8 + 1 + 2
    most = 0
    for device, begin, _, shared in spans:
        at_once = [other for other in spans if other[0] == device and other[1] <= begin < other[2]]
        most = max(most, len(at_once))
        assert len(at_once) <= (3 if shared else 1)
        assert len(at_once) == 1 or all(other[3] for other in at_once)
    assert most > 1


def test_a_run_that_shares_goes_where_most_places_are_free(tmp_path):
    code = """
from pathlib import Path
from synthworth.devices import lease
print([lease(1, Path("LOCKS"), ["0", "0", "1", "1"], shares=True)[0] for _ in range(4)])
""".replace("LOCKS", str(tmp_path))
    environment = {"PYTHONPATH": str(SCRIPTS)}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "['0', '1', '0', '1']"


def test_a_killed_job_frees_its_devices(tmp_path):
    holder = start(3, tmp_path, seconds=600)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("local-[0-9].lock"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    waiter = start(3, tmp_path, seconds=0)
    time.sleep(0.5)
    assert waiter.poll() is None
    holder.kill()
    output, _ = waiter.communicate(timeout=30)
    assert output.split()[2:] == ["0", "1", "2"]


def test_without_devices_the_lease_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert devices.lease(1, tmp_path) == []


def test_allocations_of_slurm_have_their_own_locks(tmp_path):
    # SLURM numbers the devices of each allocation from 0.
    one = {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "17"}
    jobs = [start(1, "", 2.0, **one), start(1, "", 2.0, **one | {"SLURM_JOB_ID": "18"}), start(1, "", 2.0, **one)]
    spans = [[float(time) for time in job.communicate(timeout=60)[0].split()[:2]] for job in jobs]
    (begin, end), (other_begin, other_end), (third_begin, third_end) = spans
    assert third_end <= begin or end <= third_begin
    # Whichever of the allocation's two jobs came first.
    assert other_begin < max(end, third_end)
    assert min(begin, third_begin) < other_end


@pytest.mark.parametrize(("inherited", "expected"), [("0,1", ["0", "1"]), ("GPU-ab", ["GPU-ab"]), ("-1", []), ("", [])])
def test_visible_devices_are_the_inherited_ones(monkeypatch, inherited, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert devices.visible_devices() == expected
