"""How long an image takes: as the study's own finished jobs took, or as a table of rates says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.errors import StudyError

MEASURED = "measured: finished jobs of this study"
UNKNOWN = "not estimated"
ANY = "*"
# The row of the table for what each job takes before it begins.
START = "start"


def read_rates(path: str | Path) -> pd.DataFrame:
    """The shipped table: `rule, method, size, sampler_steps, device, seconds, source`; `*` stands for any method.

    `seconds` are those of one image of `size` px, or of one job for the rule `start`. Raises StudyError where a row has
    no source: a number that nobody can look up is none to plan with.
    """
    rates = pd.read_csv(path, dtype={"rule": str, "method": str, "source": str}, keep_default_na=False)
    bare = rates.index[rates["source"].str.strip() == ""]
    if len(bare):
        raise StudyError(
            f"Rates without a source in {path}.", [f"row {row + 2}: say where it comes from" for row in bare]
        )
    return rates


def estimate_hours(jobs: pd.DataFrame, rates: pd.DataFrame, folders: Sequence[str | Path]) -> pd.DataFrame:
    """`jobs` (rows of `jobs.Jobs`) with the columns `finished`, `seconds` (of one image), `gpu_hours` and `source`.

    Where jobs of a rule and name are finished, what their benchmarks under `folders` say of an image goes for all of
    them; else the row of `rates` for the rule and method, or for any method. A rate goes with the area of the images,
    but smaller ones count as much (with small batches a GPU waits for its launches), and with the steps of the sampler.
    Hours are wall time times devices: jobs that shared a device count each as if it had been its own. NaN
    hours, and a source that says so, where there is no rate.
    """
    done = [_finished(folders, folder) for folder in jobs["folder"]]
    finished = np.minimum([count for count, _ in done], jobs["jobs"])
    frame = jobs.assign(finished=finished, spent=[seconds for _, seconds in done])
    frame["done"] = frame["load"] * frame["finished"] / frame["jobs"]
    sums = frame.groupby(["rule", "name"])[["spent", "done"]].transform("sum")
    own = (sums["spent"] / sums["done"].where(sums["done"] > 0)).to_numpy()
    table = [_rate(row, rates) for row in frame.itertuples()]
    start = _start(rates)
    seconds = np.where(np.isnan(own), [rate for rate, _ in table], own)
    # Measured times hold each job's own start.
    starts = np.where(np.isnan(own), frame["jobs"] * start, 0)
    frame["seconds"] = seconds
    frame["gpu_hours"] = (frame["load"] * seconds + starts) * frame["gpus"] / 3600
    frame["source"] = [source if np.isnan(rate) else MEASURED for rate, (_, source) in zip(own, table, strict=True)]
    return frame.drop(columns=["spent", "done"])


def _finished(folders: Sequence[str | Path], name: str) -> tuple[int, float]:
    """How many jobs are finished, and the seconds that they took together."""
    files = [
        file
        for folder in folders
        for base in [Path(folder) / "benchmarks" / name]
        for file in [*base.glob("**/*.tsv"), *([base.with_name(f"{base.name}.tsv")])]
        if file.is_file()
    ]
    return len(files), float(sum(pd.read_csv(file, sep="\t")["s"].mean() for file in files))


def _rate(row: tuple, rates: pd.DataFrame) -> tuple[float, str]:
    own = rates[(rates["rule"] == row.rule) & rates["method"].isin([row.method, ANY])]
    if own.empty:
        return float("nan"), UNKNOWN
    rate = own.loc[(own["method"] == ANY).sort_values(kind="stable").index[0]]
    area = max(1.0, (row.size / rate["size"]) ** 2)
    steps = row.sampler_steps / rate["sampler_steps"] if rate["sampler_steps"] and row.sampler_steps else 1.0
    return rate["seconds"] * area * steps, rate["source"]


def _start(rates: pd.DataFrame) -> float:
    return float(rates.loc[rates["rule"] == START, "seconds"].sum())
