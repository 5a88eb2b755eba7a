"""How long a job takes to start and to end: by itself, as `job` sets Python's search for garbage, and as a warm fork.

Usage: OMP_NUM_THREADS=1 python benchmarks/job_start.py [--rounds 7] [--only "evaluating a classifier"]

A process of its own imports the code of a job and ends: with Python's defaults, with the threshold of `synthworth.job`
and what is left frozen at the end, and so as a fork of `workflow/warm.py`, which `make demo` starts its jobs by.
Alternating rounds; seconds of the clock, so the machine should have nothing else to do.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from rounds import alternate, machine, print_table
from warm import warm_python

from synthworth.job import NEW_OBJECTS

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
JOBS = {
    "training a DDPM": "import synthworth.generators.ddpm",
    # What augments is imported when a training begins.
    "training a classifier": "import synthworth.classifiers.training, albumentations",
    "evaluating a classifier": "import synthworth.classifiers.evaluation",
}


def main() -> None:
    """Times the three for each job and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=list(JOBS))
    arguments = parser.parse_args()
    print(f"{machine()}\n\n{arguments.rounds} rounds")
    with warm_python() as warm, tempfile.TemporaryDirectory() as folder:
        for name in [arguments.only] if arguments.only else JOBS:
            found = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {JOBS[name]}"
            plain, tuned = Path(folder, "plain.py"), Path(folder, "tuned.py")
            plain.write_text(found)
            tuned.write_text(f"import gc; gc.set_threshold({NEW_OBJECTS}); {found}; gc.freeze()")
            ways = {
                "Python's defaults": partial(run, sys.executable, plain),
                "as a job of a study": partial(run, sys.executable, tuned),
                "as a fork of a warm process": partial(run, warm, tuned),
            }
            print_table(f"Start and end of {name}", alternate(ways, arguments.rounds), 1)


def run(python: str, script: Path) -> None:
    """Runs a script in a process of its own."""
    subprocess.run([python, str(script)], check=True)


if __name__ == "__main__":
    main()
