"""What the memorisation audit says of generators that copy no image: how often each score is beyond real images, and
how many innocent images are flagged.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/audit_levels.py [--studies 400] [--jobs 2]

Scores of whole sets, on Gaussian features: generators that draw from the population itself, of which 5 % should be
beyond; from it with less spread; and from a Gaussian with the mean and the covariance of the training features, as one
would that learnt no more than those. Flags, on copy scores drawn by chance: classes that are alike and classes of which
one has the highest scores, with images in equal numbers and not; told and counted. AuthPct, of real points and of sets
of which a tenth are planted copies, by the number of training images. Intervals are 95 %, over studies.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from rounds import machine

from synthworth.memorization.innocent import POOLED_ALARMS, innocent_flags
from synthworth.memorization.nearest import compare_features
from synthworth.memorization.power import SET_SCORES, as_rows, calibrate, contrast, set_powers
from synthworth.memorization.scores import clopper_pearson
from synthworth.memorization.summaries import LEVEL, SCORES

FEATURES = 32


@dataclass(frozen=True)
class Study:
    """Numbers of images, one per patient, and what the generator draws from: the population with its standard deviation
    times `spread`, or (None) the Gaussian that was fitted to the training images.
    """

    spread: float | None
    train: int = 150
    synthetic: int = 50
    held_out: int = 50


STUDIES = [
    *(Study(spread, synthetic=n) for spread in (1.0, 0.9, 0.8) for n in (50, 200)),
    *(Study(1.0, train=1_000, synthetic=n) for n in (50, 200)),
    *(Study(1.0, held_out=20, synthetic=n) for n in (50, 200)),
    *(Study(None, train, n) for train in (150, 1_000) for n in (50, 200)),
]
TRAINING = (10, 50, 150, 1_000)
# How far a planted copy is from its source, in standard deviations of each feature.
NEAR = 0.1
PATIENTS = [20] * 5
# How far each class's copy scores lie above the others', in standard deviations; and its images.
FLAGGED = {
    "classes alike": ([0] * 5, [200] * 5),
    "one class scores higher": ([3, 0, 0, 0, 0], [200] * 5),
    "the same, with most of the images": ([3, 0, 0, 0, 0], [800, 50, 50, 50, 50]),
    "one class": ([0], [1_000]),
}


def main() -> None:
    """Simulates, and prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{machine()}; {arguments.studies} studies a row, {arguments.trials} trials each, {FEATURES} features\n")
    names = list(SET_SCORES)
    print(f"| generator | training | held-out | synthetic | {' | '.join(SCORES[name] for name in names)} |")
    print("|---|---|---|---|" + "---|" * len(names))
    simulate = partial(beyond_real, studies=arguments.studies, trials=arguments.trials)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for study, beyond in zip(STUDIES, pool.map(simulate, STUDIES), strict=True):
            source = "fitted Gaussian" if study.spread is None else f"spread {study.spread}"
            rates = " | ".join(_rate(beyond[name], arguments.studies) for name in names)
            print(f"| {source} | {study.train} | {study.held_out} | {study.synthetic} | {rates} |", flush=True)
    print("\n| flags of innocent images | counted, mean | told, mean at most | told, bound | within the bound |")
    print("|---|---|---|---|---|")
    for name, (above, images) in FLAGGED.items():
        counts, told, high = flags(above, images, 10 * arguments.studies)
        within = _rate(int(np.sum(counts <= high)), len(counts))
        print(f"| {name} | {counts.mean():.1f} | {told:.1f} | {high} | {within} |")
    print("\n| training | AuthPct of real points, mean (sd over training sets) | power |\n|---|---|---|")
    for train in TRAINING:
        real, power = auth_pct(Study(1.0, train), arguments.studies // 4, arguments.trials)
        print(f"| {train} | {np.mean(real):.0f} % ({np.std(real):.0f}) | {100 * np.mean(power):.0f} % |")


def beyond_real(study: Study, studies: int, trials: int) -> dict[str, int]:
    """In how many simulated studies each score of `SET_SCORES` is by itself beyond what real images have."""
    found = dict.fromkeys(SET_SCORES, 0)
    patients = [str(place) for place in range(study.held_out)]
    for number in range(studies):
        generator = np.random.default_rng(number)
        train, held_out, noise = (
            generator.normal(size=(n, FEATURES)) for n in (study.train, study.held_out, study.synthetic)
        )
        ours = fitted(train, noise) if study.spread is None else study.spread * noise
        synthetic = compare_features(ours, train, held_out, patients, number)
        real = compare_features(held_out, train, held_out, patients, number, held_out_queries=True)
        real = real.assign(patient=patients)
        # Which copies are planted has no say in what is beyond.
        powers = set_powers(real, real, study.synthetic, number, trials)
        for name, power in powers.items():
            found[name] += power.p(contrast(name, as_rows(synthetic), as_rows(real))) <= LEVEL
    return found


def auth_pct(study: Study, studies: int, trials: int) -> tuple[list[float], list[float]]:
    """AuthPct in per cent of the held-out points of each study, and its power to find a tenth of near copies."""
    values, powers = [], []
    patients = [str(place) for place in range(study.held_out)]
    for number in range(studies):
        generator = np.random.default_rng(number)
        train, held_out = (generator.normal(size=(n, FEATURES)) for n in (study.train, study.held_out))
        copied = train[generator.integers(len(train), size=study.synthetic)]
        copies = copied + NEAR * generator.normal(size=copied.shape)
        real = compare_features(held_out, train, held_out, patients, number, held_out_queries=True)
        planted = compare_features(copies, train, held_out, patients, number)
        found = set_powers(real.assign(patient=patients), planted, study.synthetic, number, trials)["auth_pct"]
        values.append(SET_SCORES["auth_pct"](as_rows(real), as_rows(real)))
        powers.append(found.power.value)
    return values, powers


def fitted(train: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Standard normal `noise` [n, d] as draws of the Gaussian with the mean and the covariance of `train` [m, d]."""
    return train.mean(axis=0) + noise @ np.linalg.cholesky(np.cov(train, rowvar=False)).T


def flags(above: list[float], images: list[int], studies: int) -> tuple[np.ndarray, float, int]:
    """The flags of innocent images in each study [studies], and what is told of them: their mean and their bound."""
    generator = np.random.default_rng(0)
    counts = np.zeros(studies, int)
    for study in range(studies):
        known = [
            pd.DataFrame({"similarity": generator.normal(shift, size=n), "patient": [f"{place} {i}" for i in range(n)]})
            for place, (shift, n) in enumerate(zip(above, PATIENTS, strict=False))
        ]
        alarms = [calibrate(own, known[:place] + known[place + 1 :]) for place, own in enumerate(known)]
        for alarm, shift, n in zip(alarms, above, images, strict=True):
            counts[study] += np.sum(generator.normal(shift, size=n) > alarm.threshold)
    rows = [
        {"n": n, "false_alarms": alarm.own.value, "false_alarms_n": alarm.own.n}
        | dict(zip(POOLED_ALARMS, (alarm.pooled.value, alarm.pooled.n), strict=True))
        for n, alarm in zip(images, alarms, strict=True)
    ]
    return counts, *innocent_flags(pd.DataFrame(rows))


def _rate(count: int, n: int) -> str:
    low, high = clopper_pearson(count, n)
    return f"{100 * count / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    main()
