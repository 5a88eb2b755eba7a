"""A copy of the house to run studies in, and what snakemake says that it would do there."""

import atexit
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import warm

HOUSE = Path(__file__).parents[1]
PARTS = ["Snakefile", "config", "profiles", "resources", "workflow", "tests/configs"]
TINY = "tests/configs/tiny.yaml"


def copy_house(folder: Path) -> Path:
    """A copy of all that a study needs, where tests may edit code."""
    for part in PARTS:
        source, target = HOUSE / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def environment() -> dict[str, str]:
    """As a user's shell: no threads set, none of pytest's paths."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")}


@cache
def warm_python() -> str:
    """A Python for Snakemake and its jobs whose processes begin with the libraries imported; it goes with this one."""
    server = warm.warm_python()
    atexit.register(server.__exit__, None, None, None)
    return server.__enter__()


def snakemake(folder: Path, *arguments: str, check: bool = True, warm: bool = True) -> str:
    """Runs snakemake in a folder and returns all that it prints.

    Where it is not `warm`, it and its jobs start as a user's do, and `/proc` shows what they run.
    """
    done = subprocess.run(
        [warm_python(), *command(*arguments)[1:]] if warm else command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """{rule: number of jobs} that snakemake would run; empty where nothing is to be done."""
    output = snakemake(folder, *arguments, "--dry-run", "--cores", "2", "--quiet", "rules")
    table = re.search(r"^job +count\n-+ +-+\n((?:\S+ +\d+\n)+)", output, re.MULTILINE)
    if table is None:
        assert "Nothing to be done" in output, output[-3000:]
        return {}
    jobs = {rule: int(count) for rule, count in (line.split() for line in table.group(1).splitlines())}
    del jobs["total"]
    return jobs


def planned_files(folder: Path, *arguments: str) -> list[tuple[str, list[str], list[str]]]:
    """(rule, inputs, outputs) of every job of the whole study, finished or not."""
    output = snakemake(folder, *arguments, "--dry-run", "--forceall", "--cores", "2")
    jobs = []
    for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:\n)", output)[1:]:
        rule = re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block).group(1)
        files = {
            key: [name for name in re.split(r", ", found.group(1)) if name]
            if (found := re.search(rf"^    {key}: (.*)$", block, re.MULTILINE))
            else []
            for key in ("input", "output")
        }
        jobs.append((rule, files["input"], files["output"]))
    return jobs
