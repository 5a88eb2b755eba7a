"""A job's surroundings: its log, its lock, its devices and its provenance. The only module that knows Snakemake."""

import fcntl
import gc
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synthworth import progress
from synthworth.devices import lease
from synthworth.errors import StudyError

# Packages whose versions can change numbers.
PACKAGES = [
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "timm",
    "albumentations",
    "numpy",
    "scipy",
    "scikit-learn",
]


# Python looks for garbage after so many new objects. Its default, 700, makes the imports of torch and diffusers, which
# leave none, half as long again.
NEW_OBJECTS = 100_000


@contextmanager
def job(snakemake: Any) -> Iterator[dict[str, Any]]:
    """Surrounds a script: `with job(snakemake) as spec:`, then one call into the package.

    `spec` is the slice of the config that the rule hands over as JSON in `params.spec`, or empty. Inside, everything
    that this process and its children print goes to the rule's log, progress bars also to the terminal; the devices
    that `resources.gpu` asks for are this job's alone, or with `resources.shares_gpu` at most shared with others of its
    kind. A StudyError ends the job with its message and no traceback.
    """
    gc.set_threshold(NEW_OBJECTS)
    log = Path(snakemake.log[0])
    title = f"{snakemake.rule} {' '.join(str(name) for name in snakemake.wildcards)}"
    terminal = os.fdopen(os.dup(2), "w")
    progress.terminal = terminal
    with _locked_log(log, title, terminal) as stream:
        # File descriptors, not sys.stdout: data loader workers and libraries in C write to those.
        sys.stdout.flush(), sys.stderr.flush()
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        resources = snakemake.resources
        devices = lease(int(resources.get("gpu", 0)), shares=bool(resources.get("shares_gpu", 0)))
        spec = json.loads(snakemake.params.get("spec", "{}"))
        print(json.dumps(_provenance(snakemake, spec, devices), indent=1), flush=True)
        start = time.monotonic()
        try:
            yield spec
        except StudyError as error:
            print(error, flush=True)
            print(f"\n{title}: {error}\n", file=terminal, flush=True)
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            print(f"\n{title} failed: {sys.exception()}\nThe log: {log}\n", file=terminal, flush=True)
            sys.exit(1)
        print(f"Done in {time.monotonic() - start:.1f} s.", flush=True)
        # What is left goes with the process: taking it apart object by object would last a second.
        gc.freeze()


@contextmanager
def _locked_log(log: Path, title: str, terminal: Any) -> Iterator[Any]:
    """The log file, emptied and locked: two processes never do the same job at once.

    After `kill -9` of snakemake its jobs live on; the job that repeats one of them waits here until it has ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{title}: an earlier process still does this job; waiting for it to end", file=terminal, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            print(f"{title}: no locks on this file system ({error.strerror})", file=terminal, flush=True)
        stream.truncate(0)
        yield stream


def _provenance(snakemake: Any, spec: dict[str, Any], devices: list[str]) -> dict[str, Any]:
    return {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "spec": spec,
        "code": snakemake.params.get("code"),
        "commit": commit(),
        "devices": devices,
        "threads": snakemake.threads,
        "python": platform.python_version(),
        "packages": {name: installed for name in PACKAGES if (installed := _version(name))},
    }


def commit() -> str | None:
    """The commit of this code, `-dirty` where it was edited since; None where there is no repository."""
    describe = [
        "git",
        "--no-optional-locks",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None
