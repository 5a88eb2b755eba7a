"""Leases of devices: two jobs on one machine never share a GPU by accident.

Snakemake's `--resources gpu=2` counts GPUs but gives no ids: two jobs at once would both take the first. Each job
locks as many devices as it asks for, sets `CUDA_VISIBLE_DEVICES` to them and keeps the locks until its process dies.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from synthworth.lock import try_lock

SECONDS_BETWEEN_TRIES = 0.5

# Open files are the leases: the kernel frees them when the process, however it ends, is gone.
_held: list[int] = []


def lease(count: int, locks: Path | None = None, candidates: Sequence[str] | None = None) -> list[str]:
    """Waits for `count` free devices, makes them this process's `CUDA_VISIBLE_DEVICES` and returns their ids.

    Call it before torch is imported. `candidates` are the device ids of this machine (default:
    `visible_devices()`); on a machine without devices the lease is empty and the job runs on its CPU. With fewer
    devices than asked for, all are leased. Under SLURM each allocation has its own locks, since devices are numbered
    anew in each: two allocations on a node do not wait for each other, two jobs within one do.
    """
    candidates = visible_devices() if candidates is None else list(candidates)
    wanted = min(count, len(candidates))
    taken = _wait(wanted, candidates, locks or Path(tempfile.gettempdir()) / f"synthworth-devices-{os.getuid()}")
    if candidates:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    return taken


def visible_devices() -> list[str]:
    """The ids of this machine's GPUs: those of `CUDA_VISIBLE_DEVICES` if it is set, else those `nvidia-smi` lists."""
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is not None:
        return [device.strip() for device in inherited.split(",") if device.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    return listed.stdout.split() if listed.returncode == 0 else []


def _wait(count: int, candidates: Sequence[str], locks: Path) -> list[str]:
    if count == 0:
        return []
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    allocation = os.environ.get("SLURM_JOB_ID", "local")
    while True:
        # One allocator at a time: two jobs that each want two devices cannot hold one each for ever.
        with (locks / f"{allocation}-allocator.lock").open("w") as allocator:
            fcntl.flock(allocator, fcntl.LOCK_EX)
            tried = [
                (device, try_lock(locks / f"{allocation}-{device.replace('/', '-')}.lock")) for device in candidates
            ]
            free = [(device, handle) for device, handle in tried if handle is not None]
            for _, handle in free[count:] if len(free) >= count else free:
                os.close(handle)
            if len(free) >= count:
                _held.extend(handle for _, handle in free[:count])
                return [device for device, _ in free[:count]]
        time.sleep(SECONDS_BETWEEN_TRIES)
