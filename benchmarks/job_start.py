"""How long a job takes to start and to end: Python's search for garbage as it is, and as `job` sets it.

Usage: OMP_NUM_THREADS=1 python benchmarks/job_start.py [--rounds 7]

A process of its own imports the code of a DDPM's training and ends, once with Python's defaults and once with the
threshold of `synthworth.job` and what is left frozen at the end. Alternating rounds.
"""

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from rounds import alternate, machine, print_table

from synthworth.job import NEW_OBJECTS

IMPORTS = "import synthworth.generators.ddpm"


def main() -> None:
    """Times both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{machine()}\n\n{arguments.rounds} rounds")
    ways = {
        "Python's defaults": partial(run, IMPORTS),
        "as a job of a study": partial(run, f"import gc; gc.set_threshold({NEW_OBJECTS}); {IMPORTS}; gc.freeze()"),
    }
    print_table("Start and end of a job", alternate(ways, arguments.rounds), 1)


def run(code: str) -> None:
    """Runs code in a process of its own."""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1] / "workflow" / "scripts", check=True)


if __name__ == "__main__":
    main()
