"""Locks that die with their process: `kill -9` leaves none behind, unlike a lock file's mere presence."""

import fcntl
import os
from pathlib import Path

from synthworth.errors import StudyError

# Open files are the locks: the kernel frees them when the process, however it ends, is gone.
_held: list[int] = []


def try_lock(path: Path, shared: bool = False) -> int | None:
    """An open file that holds the lock at `path` until it is closed; None where another process holds it.

    Processes may hold a lock together where all of them hold it `shared`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        # Some network file systems know no locks. To go on is better than to wait for what never comes.
        print(f"No locks on this file system ({path}): {error.strerror}; take care to run one snakemake at a time.")
    return handle


def hold(path: Path) -> None:
    """Holds the lock of a whole study for the life of this process."""
    handle = try_lock(path)
    if handle is None:
        raise StudyError(
            f"Another snakemake works on this study (it holds {path}).",
            ["wait for it to end, or stop it; a study of another name can run beside it"],
        )
    _held.append(handle)
