"""A checkpoint's evaluation, FID and MS-SSIM from the files of its images: the published way against a study's jobs.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/checkpoint_evaluation.py [--size 256]

The published way (Schaudt et al. 2023, whose scores are torchmetrics'): every image is a file; the real ones are read,
and their features extracted, at each checkpoint; FID comes from the eigenvalues of a product of covariances; all pairs
of MS-SSIM one by one. A study's: `extract_samples` and `score_checkpoint` from a shard, real features from their file.
Intervals and floors, which the published way lacks, are told beside it. Rounds alternate in one process; the network
is Inception V3 with random weights. Times are of the wall and, steadier beside other work, of the processor.
"""

import argparse
import contextlib
import io
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from random_inception import RandomInception, write_inception
from rounds import Parts, machine
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

from synthworth import phantoms
from synthworth.features import extract_reference, extract_samples, load_extractor, load_features
from synthworth.fidelity import measure_floor, score, score_checkpoint
from synthworth.fidelity.fid import fid
from synthworth.fidelity.ms_ssim import ms_ssim_pairs
from synthworth.images import decode, fit_image
from synthworth.job import NEW_OBJECTS
from synthworth.shards import read_shard, write_shard

SIDE = 299
# Of the largest set of pairs, that of the floor of MS-SSIM.
REAL_SETS = 3
SCORING = {"confidence": 0.95, "replicates": 200, "seed": 0}
NAMES = {"generator": "ddpm", "scope": "healthy", "step": 1, "extractor": "inception", "reference": "train"}
STARTS = {
    "features": "import synthworth.features.inception, synthworth.shards",
    "FID": "import synthworth.fidelity.fid",
    "MS-SSIM": "import synthworth.fidelity.ms_ssim, synthworth.shards",
}


@dataclass(frozen=True)
class Files:
    """What both ways read: PNGs of real and of synthetic images; and, for a study, the same as arrays and shards."""

    real: list[Path]
    synthetic: list[Path]
    folder: Path

    @property
    def weights(self) -> Path:
        """The folder of the network."""
        return self.folder / "weights"

    @property
    def shard(self) -> Path:
        """A checkpoint's images."""
        return self.folder / "samples.parquet"

    @property
    def reference(self) -> Path:
        """Features of the real images."""
        return self.folder / "train.npz"

    @property
    def index(self) -> Path:
        """The real images that a checkpoint is held against."""
        return self.folder / "index.csv"

    def images(self, size: int) -> Path:
        """The real images as an array file, of a side of so many pixels."""
        return self.folder / f"images-{size}.npy"


class Network(torch.nn.Module):
    """Inception as torchmetrics takes it: uint8 [n, 3, 299, 299] to features."""

    num_features = 2048

    def __init__(self, network: RandomInception) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The features, float32 [n, 2048]."""
        with torch.inference_mode():
            return self.network((images.float() - 128) / 128)


def main() -> None:
    """Times both ways, prints the table of their parts, and how far their values lie apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    n, rounds = arguments.images, arguments.rounds

    with tempfile.TemporaryDirectory() as folder:
        files, network = prepare(Path(folder), n, arguments.size, arguments.channels)
        theirs, ours, once = Parts(), Parts(), Parts()
        with quiet():
            reference(files, n, once)
            floors(files, n, arguments.size, once)
            few = Files(files.real[:4], files.synthetic[:4], files.folder)
            published(few, network, theirs), evaluate(files, n, ours)
            theirs.forget(), ours.forget()
            for _ in range(rounds):
                expected = published(files, network, theirs)
                found = evaluate(files, n, ours)
        report(theirs, ours, once, arguments)
        agreement(files, n, expected, found)
        print("\nStarts of the jobs: " + ", ".join(f"{job} {start(code):.1f} s" for job, code in STARTS.items()))


def prepare(folder: Path, n: int, size: int, channels: int) -> tuple[Files, RandomInception]:
    """Draws the images and writes all that both ways read, and a network with random weights."""
    real = pictures(REAL_SETS * n, size, channels, seed=0)
    synthetic = pictures(n, size, channels, seed=1, sigma=1.0)
    files = Files(save(real, folder / "real"), save(synthetic, folder / "synthetic"), folder)
    np.save(files.images(size), real)
    np.save(files.images(SIDE), np.stack([fit_image(decode(f), SIDE, "stretch", channels) for f in files.real[:n]]))
    rows = {"image": [file.name for file in files.real], "patient": range(len(real)), "class": "healthy"}
    pd.DataFrame(rows).to_csv(folder / "all.csv", index=False)
    pd.DataFrame(rows)[:n].to_csv(files.index, index=False)
    checkpoint_shard(files.shard, synthetic)
    return files, write_inception(files.weights, (tensors(files.real[:8]).float() - 128) / 128)


def checkpoint_shard(shard: Path, images: np.ndarray) -> None:
    """Writes a checkpoint's images as a study does."""
    columns = {"label": "healthy", "prompt": "", "generator": "ddpm", "scope": "healthy", "step": 1}
    write_shard(shard, [images], pd.DataFrame({"index": range(len(images)), "seed": range(len(images)), **columns}))


def pictures(n: int, size: int, channels: int, seed: int, sigma: float = 0.0) -> np.ndarray:
    """Phantoms, uint8 [n, size, size, channels], blurred by `sigma` pixels; in colour no two channels are alike."""
    random = np.random.default_rng(seed)
    pathologies = list(phantoms.PATTERNS.values())
    drawn = []
    for place in range(n):
        anatomy = phantoms.sample_anatomy(random, 50, "F")
        pathology = phantoms.sample_pathology(random, pathologies[place % len(pathologies)])
        picture = phantoms.draw_phantom(anatomy, pathology, phantoms.sample_exposure(random), size).astype(float)
        drawn.append(cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture)
    images = np.repeat(np.stack(drawn)[..., None], channels, axis=-1)
    if channels > 1:
        images += random.normal(0, 2, images.shape)
    return np.clip(images.round(), 0, 255).astype(np.uint8)


def save(images: np.ndarray, folder: Path) -> list[Path]:
    """One PNG for each image."""
    folder.mkdir()
    files = [folder / f"{place:04d}.png" for place in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image.squeeze()).save(file)
    return files


def tensors(files: list[Path]) -> torch.Tensor:
    """The images in files as the published way reads them: RGB, 299 pixels, uint8 [n, 3, 299, 299]."""
    pictures = [Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC) for file in files]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2).contiguous()


def published(files: Files, network: RandomInception, parts: Parts) -> dict[str, float]:
    """The published way, for as many real images as synthetic ones: FID and MS-SSIM."""
    metric = FrechetInceptionDistance(feature=Network(network))
    with parts.part("real images"):
        real = tensors(files.real[: len(files.synthetic)])
    with parts.part("features of real images"):
        metric.update(real, real=True)
    with parts.part("synthetic images"):
        images = tensors(files.synthetic)
    with parts.part("features of synthetic images"):
        metric.update(images, real=False)
    with parts.part("FID"):
        distance = float(metric.compute())
    with parts.part("MS-SSIM"):
        likeness = float(np.mean(pair_by_pair(images.float())))
    return {"fid": distance, "ms_ssim": likeness}


def pair_by_pair(images: torch.Tensor) -> np.ndarray:
    """MS-SSIM of each pair, one call each, of float images [n, 3, 299, 299] in [0, 255]."""
    of_pair, pairs = multiscale_structural_similarity_index_measure, combinations(range(len(images)), 2)
    return np.array([float(of_pair(images[i : i + 1], images[j : j + 1], data_range=255.0)) for i, j in pairs])


def evaluate(files: Files, n: int, parts: Parts, intervals: bool = True) -> dict[str, float]:
    """A study's way: FID and MS-SSIM from a shard, and then both anew with their `intervals`, as its jobs do it."""
    features, output = files.folder / "features.npz", files.folder / "score.csv"
    with parts.part("features of synthetic images"):
        extract_samples([files.shard], "inception", files.weights, features)
    with parts.part("FID"):
        distance = score("fid", load_features(features).features, load_features(files.reference).features[:n])
    with parts.part("MS-SSIM"):
        likeness = score("ms_ssim", read_shard(files.shard, columns=["label"])[0])
    if not intervals:
        return distance | likeness
    shared = {"output": output, "names": NAMES, "classes": ["healthy"], "reference_images": n, **SCORING}
    with parts.part("FID and its interval"):
        score_checkpoint("fid", None, features, files.reference, **shared)
    with parts.part("MS-SSIM and its interval"):
        score_checkpoint("ms_ssim", files.shard, None, None, **shared)
    return distance | likeness


def reference(files: Files, n: int, parts: Parts) -> None:
    """What a study does once: the features of its real images."""
    with parts.part(f"features of {n} real images"):
        extract_reference(files.images(SIDE), files.index, "inception", files.weights, files.reference)


def floors(files: Files, n: int, size: int, parts: Parts) -> None:
    """What a study does once for each metric: its floor, among real images."""
    shared = {"output": files.folder / "floor.csv", "names": NAMES, "classes": ["healthy"], "synthetic_images": n}
    shared |= {key: SCORING[key] for key in ("replicates", "seed")}
    with parts.part("floor of FID"):
        measure_floor("fid", None, None, files.reference, files.reference, reference_images=n, **shared)
    images, index = files.images(size), files.folder / "all.csv"
    with parts.part("floor of MS-SSIM"):
        measure_floor("ms_ssim", images, index, None, None, reference_images=None, **shared)


def report(theirs: Parts, ours: Parts, once: Parts, arguments: argparse.Namespace) -> None:
    """Prints the parts of both ways, and the ratios of the whole."""
    n, size, colours = arguments.images, arguments.size, "grey" if arguments.channels == 1 else "RGB"
    print(
        f"{machine()}\n\n**{n} images of {size} px, {colours}, {arguments.rounds} rounds; seconds of the processor**\n"
    )
    print("| | published | ours |\n|---|---|---|")
    for name in dict.fromkeys([*theirs.seconds, *ours.seconds]):
        columns = (f"{np.median(way.of(name)[:, 1]):.2f}" if name in way.seconds else "" for way in (theirs, ours))
        print(f"| {name} | {' | '.join(columns)} |")
    whole = theirs.of()
    bare = ours.of("features of synthetic images", "FID", "MS-SSIM")
    full = ours.of("features of synthetic images", "FID and its interval", "MS-SSIM and its interval")
    print("\n| whole evaluation | wall, s | ratio | lowest to highest | processor, s | ratio | lowest to highest |")
    print("|---|---|---|---|---|---|---|")
    for name, seconds in {"published": whole, "ours, without intervals": bare, "ours, with intervals": full}.items():
        cells = [cell for clock in (0, 1) for cell in _ratio(whole[:, clock], seconds[:, clock])]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\nOnce per study: " + ", ".join(f"{name} {once.of(name)[0, 1]:.1f} s" for name in once.seconds))


def agreement(files: Files, n: int, expected: dict[str, float], found: dict[str, float]) -> None:
    """Prints the values of both ways, and why they differ."""
    real, features = load_features(files.reference).features[:n], load_features(files.folder / "features.npz").features
    pixels = tensors(files.synthetic)
    rounded = load_extractor("inception", files.weights)(pixels.permute(0, 2, 3, 1).numpy())
    print(f"\nFID: published {expected['fid']:.6f}, ours {found['fid']:.6f}")
    print(f"- published formula, our features: {by_torchmetrics(real, features):.6f}")
    print(f"- ours, from images rounded to 8 bits once resized, as published: {fid(real, rounded):.6f}")
    few, likeness = pixels[:10], ms_ssim_pairs(read_shard(files.shard, columns=["label"], count=10)[0])
    single, double = (np.abs(likeness - pair_by_pair(few.to(kind))).max() for kind in (torch.float32, torch.float64))
    print(f"\nMS-SSIM: published {expected['ms_ssim']:.7f}, ours {found['ms_ssim']:.7f}")
    print(
        f"- largest difference of 45 pairs: {single:.1e} from single precision, as published, {double:.1e} from double"
    )


def by_torchmetrics(real: np.ndarray, synthetic: np.ndarray) -> float:
    """torchmetrics' FID of features."""
    first, second = (torch.from_numpy(features).double() for features in (real, synthetic))
    return float(_compute_fid(first.mean(0), torch.cov(first.T), second.mean(0), torch.cov(second.T)))


def start(code: str) -> float:
    """The processor's seconds of a process of its own that imports what a job needs, with the settings of `job`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = f"import gc; gc.set_threshold({NEW_OBJECTS}); {code}; gc.freeze()"
    subprocess.run([sys.executable, "-c", command], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what jobs print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _ratio(first: np.ndarray, seconds: np.ndarray) -> tuple[str, str, str]:
    ratios = first / seconds
    middle = np.median(first) / np.median(seconds)
    return f"{np.median(seconds):.1f}", f"{middle:.2f}", f"{ratios.min():.2f} to {ratios.max():.2f}"


if __name__ == "__main__":
    main()
