"""Studies without images: what classifiers might have said of test images, with arms whose true effect is known.

The scores of an image for the K classes are sums of normal draws: what is hard about its patient and itself, alike in
all runs; what an arm, a trained generator or a classifier finds hard about the patient; what a training finds hard
about the image. The true class has a head start, which sets the recall that an arm has over all patients and all
trainings; a training's skill, and a generator's, moves it. So equal arms have an effect of exactly 0, and yet
disagree about patients, as trainings do.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from scipy import optimize, stats
from scipy.special import softmax

from synthworth.statistics.predictions import Predictions

# The test images of Schaudt et al. 2023 and the recalls of its baseline (Table 9).
TEST_IMAGES = {"bacterial": 19, "covid": 23, "fungal": 29, "healthy": 130, "viral": 16}
RECALLS = np.array([0.3474, 0.7478, 0.5517, 0.9923, 0.1000])
IMAGES_PER_PATIENT = (1, 2, 3)
PATIENT_SHARES = (0.85, 0.10, 0.05)
DOSES = [100, 250, 500, 750, 1000]
ARMS = [("gan", dose) for dose in [*DOSES, 5000, 10000]]
ARMS += [(generator, dose) for generator in ("ddpm", "finetune", "lora", "dreambooth") for dose in DOSES]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the parts of a score: of the patient, the image, an arm or a generator's training or a
    classifier meeting the patient, a training meeting the image; and of the skill of a training and of a generator's.
    """

    patient: float = 1.2
    image: float = 0.7
    classifier: float = 0.3
    arm: float = 0.4
    generator: float = 0.3
    training: float = 0.8
    skill: float = 0.15
    generator_skill: float = 0.0

    @property
    def score(self) -> float:
        """Of the score of one class, skill apart."""
        parts = (self.patient, self.image, self.classifier, self.arm, self.generator, self.training)
        return float(np.sqrt(np.square(parts).sum()))


@dataclass(frozen=True)
class Design:
    """How often a study's 27 arms (and the baseline, which has no generator) are repeated, and its chance."""

    seeds: int = 5
    generator_seeds: int = 1
    classifiers: int = 1
    arms: tuple[tuple[str, int], ...] = tuple(ARMS)
    noise: Noise = field(default_factory=Noise)

    def runs(self) -> pd.DataFrame:
        """The names of all runs, the baseline's first."""
        rows = [
            (
                f"classifier{classifier}",
                f"{generator}+{dose}" if dose else generator,
                generator,
                dose,
                1,
                model,
                1,
                seed,
            )
            for classifier in range(1, self.classifiers + 1)
            for generator, dose in [("baseline", 0), *self.arms]
            for model in range(1, self.generator_seeds + 1 if dose else 2)
            for seed in range(1, self.seeds + 1)
        ]
        columns = ["classifier", "arm", "generator", "dose", "repeat", "generator_seed", "draw", "seed"]
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Study:
    """A simulated study before any effect: `scores` float [R, n, K] without the head start of the true class."""

    design: Design
    runs: pd.DataFrame
    truth: np.ndarray
    patients: np.ndarray
    scores: np.ndarray

    def predictions(self, effect: float = 0.0, arm: str | None = None) -> Predictions:
        """What the runs said, if the true balanced accuracy of `arm` (None: of none) is higher by `effect`."""
        generated = (self.runs["dose"] > 0).to_numpy()
        noise = self.design.noise
        starts = np.where(
            generated[:, None],
            head_starts(0.0, noise.score, noise.skill, noise.generator_skill),
            head_starts(0.0, noise.score, noise.skill, 0.0),
        )
        if arm is not None:
            own = (self.runs["arm"] == arm).to_numpy()
            starts[own] = head_starts(effect, noise.score, noise.skill, noise.generator_skill)
        scores = self.scores.copy()
        scores[:, np.arange(len(self.truth)), self.truth] += starts[:, self.truth]
        return Predictions(self.runs, tuple(TEST_IMAGES), self.truth, self.patients, softmax(scores, axis=2))


def simulate(design: Design, generator: np.random.Generator) -> Study:
    """A study of `design`, its scores drawn from `generator`."""
    noise, runs = design.noise, design.runs()
    truth, patients = draw_patients(generator)
    n, k, n_patients = len(truth), len(TEST_IMAGES), patients.max() + 1

    def draw(deviation: float, *keys: str) -> np.ndarray:
        """Of each patient and class, one draw for all runs that agree in `keys`."""
        group = runs.groupby(list(keys), sort=False).ngroup().to_numpy()
        drawn = generator.standard_normal((group.max() + 1, n_patients, k), dtype=np.float32)
        return (np.float32(deviation) * drawn)[:, patients][group]

    scores = generator.standard_normal((len(runs), n, k), dtype=np.float32) * np.float32(noise.training)
    scores += draw(noise.arm, "classifier", "arm")
    scores += draw(noise.generator, "generator", "generator_seed")
    scores += draw(noise.classifier, "classifier")
    scores += noise.patient * generator.standard_normal((n_patients, k), dtype=np.float32)[patients]
    scores += noise.image * generator.standard_normal((n, k), dtype=np.float32)
    skill = noise.skill * generator.standard_normal(len(runs))
    model = runs.groupby(["generator", "generator_seed"], sort=False).ngroup().to_numpy()
    luck = noise.generator_skill * generator.standard_normal(model.max() + 1)[model]
    shift = skill + np.where(runs["dose"] > 0, luck, 0)
    scores[:, np.arange(n), truth] += shift[:, None].astype(np.float32)
    return Study(design, runs, truth, patients, scores)


def draw_patients(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classes and patients of the test images, int [n] each; a patient has 1 to 3 images, all of one class."""
    truth, patients = [], []
    for label, size in enumerate(TEST_IMAGES.values()):
        counts = generator.choice(IMAGES_PER_PATIENT, p=PATIENT_SHARES, size=size)
        first = patients[-1] + 1 if patients else 0
        patients += (first + np.repeat(np.arange(size), counts)[:size]).tolist()
        truth += [label] * size
    return np.array(truth), np.array(patients)


@cache
def head_starts(effect: float, score: float, skill: float, generator_skill: float) -> np.ndarray:
    """The head start of the true class by which RECALLS rise by `effect` on average, float [K].

    Each class gains in proportion to what it lacks. The rest are standard deviations.
    """
    own = np.sqrt(score**2 + skill**2 + generator_skill**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def recall(start: float) -> float:
        """The share of images whose true class has the largest of all scores."""
        return float(weights @ stats.norm.cdf((start + own * nodes) / score) ** (len(TEST_IMAGES) - 1))

    aims = RECALLS + effect * (1 - RECALLS) / (1 - RECALLS).mean()
    return np.array([optimize.brentq(lambda start, aim=aim: recall(start) - aim, -20, 20) for aim in aims])
