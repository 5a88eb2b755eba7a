"""Progress of long loops, a line every few seconds: readable in a terminal, in a log file and in a SLURM log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 10.0

# Where bars go besides the log: `job` puts the terminal here once it has sent stdout and stderr to the log file.
terminal: TextIO | None = None


def progress(items: Iterable[Item], title: str, total: int | None = None, initial: int = 0) -> Iterator[Item]:
    """Yields `items` and prints a bar under `title` at most every ten seconds.

    `total` is needed where `items` has no length; `initial` counts what was done before (a resumed training).
    """
    total = len(items) + initial if total is None else total  # type: ignore[arg-type]
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            bar = tqdm.format_meter(initial + done, total, now - start, ncols=100, prefix=title, initial=initial)
            for stream in (sys.stderr, terminal):
                if stream is not None:
                    print(bar, file=stream, flush=True)
