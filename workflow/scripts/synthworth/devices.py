"""Leases of devices: two jobs on one machine never share a GPU by accident.

Snakemake's `--resources gpu=2` counts GPUs but gives no ids: two jobs at once would both take the first. Each job
locks as many devices as it asks for, sets `CUDA_VISIBLE_DEVICES` to them and keeps the locks until its process dies.

A device that `CUDA_VISIBLE_DEVICES` lists eight times (`0,0,0,0,0,0,0,0`) has eight places: so many jobs that share
have it at once, and any other has it alone.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthworth.lock import try_lock

SECONDS_BETWEEN_TRIES = 0.5

# Open files are the leases: the kernel frees them when the process, however it ends, is gone.
_held: list[int] = []


def lease(
    count: int, locks: Path | None = None, candidates: Sequence[str] | None = None, shares: bool = False
) -> list[str]:
    """Waits for `count` free devices, makes them this process's `CUDA_VISIBLE_DEVICES` and returns their ids.

    Call it before torch is imported. `candidates` are the device ids of this machine (default:
    `visible_devices()`), each as often as it has places; on a machine without devices the lease is empty and the job
    runs on its CPU. With fewer devices than asked for, all are leased. A job that `shares` takes one place of each, on
    those that have most of them free. Under SLURM each allocation has its own locks, since devices are numbered anew in
    each: two allocations on a node do not wait for each other, two jobs within one do.
    """
    candidates = visible_devices() if candidates is None else list(candidates)
    places = {device: candidates.count(device) if shares else 0 for device in candidates}
    wanted = min(count, len(places))
    taken = _wait(wanted, places, locks or Path(tempfile.gettempdir()) / f"synthworth-devices-{os.getuid()}")
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


def _wait(count: int, places: Mapping[str, int], locks: Path) -> list[str]:
    if count == 0:
        return []
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    allocation = os.environ.get("SLURM_JOB_ID", "local")
    while True:
        # One allocator at a time: two jobs that each want two devices cannot hold one each for ever.
        with (locks / f"{allocation}-allocator.lock").open("w") as allocator:
            fcntl.flock(allocator, fcntl.LOCK_EX)
            found = {
                device: _try(locks / f"{allocation}-{device.replace('/', '-')}", number)
                for device, number in places.items()
            }
            # The sort is stable: devices with as many free places stay in their order.
            free = sorted((device for device in found if found[device]), key=lambda device: -len(found[device]))
            taken = free[:count] if len(free) >= count else []
            for device, handles in found.items():
                # Of a shared device its own lock and one place.
                kept = handles[:2] if device in taken else []
                _held.extend(kept)
                for handle in handles[len(kept) :]:
                    os.close(handle)
        if taken:
            return taken
        time.sleep(SECONDS_BETWEEN_TRIES)


def _try(path: Path, places: int) -> list[int]:
    """The lock of a device; with `places`, that lock shared, and those of its free places. Empty where it is taken."""
    device = try_lock(path.with_name(f"{path.name}.lock"), shared=places > 0)
    if device is None:
        return []
    if not places:
        return [device]
    tried = [try_lock(path.with_name(f"{path.name}-place-{number}.lock")) for number in range(1, places + 1)]
    free = [handle for handle in tried if handle is not None]
    if not free:
        os.close(device)
        return []
    return [device, *free]
