"""How long a job takes to start and to end: Python's search for garbage as it is, and as `job` sets it.

Usage: OMP_NUM_THREADS=1 python benchmarks/job_start.py [--rounds 7] [--only "evaluating a classifier"]

A process of its own imports the code of a job and ends, once with Python's defaults and once with the threshold of
`synthworth.job` and what is left frozen at the end. Alternating rounds; seconds of the processor.
"""

import argparse
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from rounds import alternate, machine, print_table

from synthworth.job import NEW_OBJECTS

JOBS = {
    "training a DDPM": "import synthworth.generators.ddpm",
    # What augments is imported when a training begins.
    "training a classifier": "import synthworth.classifiers.training, albumentations",
    "evaluating a classifier": "import synthworth.classifiers.evaluation",
}


def main() -> None:
    """Times both for each job and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=list(JOBS))
    arguments = parser.parse_args()
    print(f"{machine()}\n\n{arguments.rounds} rounds")
    for name in [arguments.only] if arguments.only else JOBS:
        ways = {
            "Python's defaults": partial(run, JOBS[name]),
            "as a job of a study": partial(
                run, f"import gc; gc.set_threshold({NEW_OBJECTS}); {JOBS[name]}; gc.freeze()"
            ),
        }
        print_table(f"Start and end of {name}", alternate(ways, arguments.rounds), 1)


def run(code: str) -> float:
    """The processor's seconds for code in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1] / "workflow" / "scripts", check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
