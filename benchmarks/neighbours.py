"""Nearest neighbours of features: scikit-learn's brute force and scipy's distances, against `fidelity.neighbours`.

Usage: OMP_NUM_THREADS=2 PYTHONPATH=workflow/scripts python benchmarks/neighbours.py [--queries 10000] [--points 1000]

The first table is that of synthetic images among real ones, in alternating rounds; scipy is timed on a part of the
queries and scaled to all. Then the memory that a search in a large set needs beside its input.
"""

import argparse
import tracemalloc

import numpy as np
import torch
from rounds import alternate, machine, now
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from synthworth.fidelity.neighbours import nearest


def main() -> None:
    """Times the ways, prints the table and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=70_000, help="points of the set that memory is measured on")
    parser.add_argument("--features", type=int, default=2_048)
    parser.add_argument("--neighbours", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    k, width = arguments.neighbours, arguments.features

    queries, points = features(arguments.queries, width, seed=0), features(arguments.points, width, seed=1)
    part = queries[: max(1, len(queries) // 20)]

    def by_scipy() -> float:
        start = now()
        np.sort(np.partition(cdist(part, points), k, axis=1)[:, :k], axis=1)
        return (now() - start) * len(queries) / len(part)

    ways = {
        "scipy, cdist": by_scipy,
        "scikit-learn, brute force, float64": lambda: brute_force(queries.astype(float), points.astype(float), k),
        "scikit-learn, brute force, float32": lambda: brute_force(queries, points, k),
        "`nearest`": lambda: nearest(queries, points, k),
    }
    seconds = alternate(ways, arguments.rounds)
    print(f"{machine()}\n\n{len(queries)} queries, {len(points)} points, {width} features, {k} neighbours\n")
    print("| | seconds | ratio | lowest to highest |\n|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = first / times
        print(
            f"| {name} | {np.median(times):.2f} | {np.median(ratios):.1f} | {ratios.min():.1f} to {ratios.max():.1f} |"
        )

    copies = points[:50] + np.float32(1e-6) * features(50, width, seed=2)
    exact = np.sort(cdist(copies, points), axis=1)[:, :k]
    print("\n| largest relative error, 50 near-duplicates | |\n|---|---|")
    for name, way in (("scikit-learn, brute force, float32", brute_force), ("`nearest`", nearest)):
        print(f"| {name} | {np.max(np.abs(way(copies, points, k)[0] - exact) / exact):.1e} |")

    large = features(arguments.large, width, seed=3)
    tracemalloc.start()
    start = now()
    nearest(points, large, k)
    elapsed, peak = now() - start, tracemalloc.get_traced_memory()[1] / 2**30
    print("\n| one search in a large set | seconds | GiB it needs | GiB of the set |\n|---|---|---|---|")
    print(f"| {len(points)} among {len(large)} | {elapsed:.1f} | {peak:.2f} | {large.nbytes / 2**30:.2f} |")


def features(n: int, width: int, seed: int) -> np.ndarray:
    """Non-negative features, float32 [n, width], drawn in parts so that nothing larger is ever held."""
    rng = np.random.default_rng(seed)
    result = np.empty((n, width), np.float32)
    for row in result:
        np.maximum(rng.standard_normal(width, dtype=np.float32), 0, out=row)
    return result


def brute_force(queries: np.ndarray, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's distances and rows."""
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(queries)


if __name__ == "__main__":
    main()
