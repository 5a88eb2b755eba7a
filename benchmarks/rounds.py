"""Ways to do one thing, timed in alternating rounds, and the table of what came out.

Other work on the machine falls on all ways of a round alike, so a way's ratio is taken within each round; tables hold
the median of the ratios, and the lowest and the highest. Of a way in several parts, `Parts` keeps the seconds of each.
"""

import contextlib
import datetime
import io
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import yaml


class Parts:
    """Seconds of the parts of a way, of the wall and of the processor: lists, one entry per round."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times what is inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))

    def of(self, *names: str) -> np.ndarray:
        """The seconds [rounds, 2] of some parts together; of all, if none is named."""
        return np.sum([self.seconds[name] for name in names or self.seconds], axis=0)

    def forget(self) -> None:
        """Starts anew, after a round that warms up."""
        self.seconds.clear()


def on_gpu() -> bool:
    """Whether what is timed runs on a GPU: as in a study, it does where there is one."""
    return torch.cuda.is_available()


def default_settings(generator: str) -> dict:
    """A generator's entry in `config/config.yaml`."""
    text = (Path(__file__).parents[1] / "config" / "config.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["generators"][generator]


def alternate(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """The seconds [rounds] of each way. A round calls each once; one round before them warms up and is not counted.

    A way that returns a float has timed itself. What the ways print is not shown.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for counted in range(rounds + 1):
        for name, way in ways.items():
            elapsed = timed(way)
            if counted:
                seconds[name].append(elapsed)
    return {name: np.array(times) for name, times in seconds.items()}


def timed(way: Callable[[], object]) -> float:
    """The seconds of a call, or what it returns if that is a float."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = now()
        result = way()
        return result if isinstance(result, float) else now() - start


def now() -> float:
    """The time in seconds, once the GPU has done what it was given."""
    if on_gpu():
        torch.cuda.synchronize()
    return time.perf_counter()


def print_table(title: str, seconds: dict[str, np.ndarray], images: int, steps: int | None = None) -> None:
    """Prints a Markdown table of ways to make or to see `images` images, held against the first of them.

    With `steps` the times are those of one of so many steps.
    """
    unit = "ms per image" if steps is None else "ms per image and step"
    print(f"\n**{title}**\n\n| | {unit} | per second | ratio | lowest to highest |\n|---|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = first / times
        middle = np.median(times) / images / (steps or 1)
        print(
            f"| {name} | {_short(1000 * middle)} | {_short(1 / middle)} | {np.median(ratios):.2f} | "
            f"{ratios.min():.2f} to {ratios.max():.2f} |"
        )


def machine() -> str:
    """The machine, the software and the day, as they stand above a table."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    gpu = torch.cuda.get_device_name() if on_gpu() else "no GPU"
    threads = f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores"
    return f"{cpu}, {threads}, {gpu}; torch {torch.__version__}; {datetime.date.today()}"


def _short(number: float) -> str:
    """Three digits of a number, or all before its point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
