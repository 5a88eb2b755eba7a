"""Where the noise of a comparison comes from: test patients, training seeds, and both together.

A cell is one (classifier, arm). The metric of its run with seed s on the patients g is read as a two-way layout,

    metric = mean + patient_g + seed_s + (patient x seed)_gs,

of which the last term is the largest in practice: two trainings of one recipe agree in overall skill, yet disagree on
borderline images (Jordan, "Calibrated Chaos", ICLR 2024). Resampling patients and seeds together counts that term
three times (Owen, Annals of Applied Statistics 1, 2007), and resampling five seeds misses a fifth of their
variance. Here each term is counted once: patients with the seeds as they are carry patient and patient x seed;
to that is added what the spread between seeds exceeds patient x seed by.
"""

from dataclasses import dataclass

import numpy as np

# A variance below this is rounding: one patient of a million is worth 1e-12.
NOTHING = 1e-18


@dataclass(frozen=True)
class SeedNoise:
    """The noise of training in the mean over the seeds of J cells, as variances of the metric (fractions squared).

    `interaction`: float [J], by patient x seed; NaN for cells of a single seed.
    `inflation`: float [J], by how much the spread between seeds exceeds what `interaction` explains; about 1 where
    trainings agree in overall skill.
    `degrees`: float [J], degrees of freedom of `inflation`.
    """

    interaction: np.ndarray
    inflation: np.ndarray
    degrees: np.ndarray

    @property
    def skill(self) -> np.ndarray:
        """float [J]: the variance by differences between seeds in overall skill, beyond patient x seed."""
        return np.maximum(self.inflation - 1, 0) * self.interaction


def seed_noise(values: np.ndarray, influences: np.ndarray, cells: np.ndarray) -> SeedNoise:
    """Splits the noise of training; `values` [R] and `influences` [R, P] of runs, `cells` int [R] as 0 ... J-1.

    A cell of few seeds tells its spread between seeds badly, so the ratio of this spread to the one expected from
    patient x seed (well known, from all patients) is shrunk towards its mean over all cells: wholly where the ratios
    differ no more than chance explains, less where they do (credibility weights; the idea of moderated variances,
    Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004, with moments in place of logarithms,
    since a few seeds on a small test set often have equal metrics).
    """
    n_cells = cells.max() + 1
    interaction, between = np.full(n_cells, np.nan), np.full(n_cells, np.nan)
    free = np.bincount(cells, minlength=n_cells) - 1.0
    for cell in np.flatnonzero(free > 0):
        own = cells == cell
        scale = (free[cell] + 1) * free[cell]
        interaction[cell] = ((influences[own] - influences[own].mean(axis=0)) ** 2).sum() / scale
        between[cell] = ((values[own] - values[own].mean()) ** 2).sum() / scale
    known = interaction > NOTHING
    if not known.any():
        return SeedNoise(interaction, np.ones(n_cells), np.maximum(free, 1))
    ratio, ratio_free = between[known] / interaction[known], free[known]
    common = ratio.mean()
    prior = np.full(known.sum(), ratio_free.sum()) - ratio_free
    if known.sum() > 1 and common > 0:
        chance = (2 / ratio_free).mean()
        heterogeneity = (ratio.var(ddof=1) / common**2 - chance) / (1 + chance)
        if heterogeneity > 0:
            prior = np.minimum(prior, 4 + 2 / heterogeneity)
    inflation, degrees = np.ones(n_cells), np.maximum(free, 1)
    inflation[known] = (prior * common + ratio_free * ratio) / (prior + ratio_free)
    degrees[known] = prior + ratio_free
    return SeedNoise(interaction, inflation, degrees)


def difference_variance(weights: np.ndarray, influences: np.ndarray, noise: SeedNoise) -> tuple[np.ndarray, np.ndarray]:
    """Variance of weighted sums of cells (means over their seeds) and its degrees of freedom; float [D] each.

    `weights` [D, J] gives each of D differences as weights of cells; `influences` [J, P] are the cells' means over
    seeds, so that their spread over patients includes patient x seed. Degrees of freedom after Satterthwaite
    (Biometrics Bulletin 2, 1946), those of patients from the fourth moments of their influences, so that a difference
    that rests on few patients counts as few. NaN where a cell in the difference has a single seed, where an
    influence is NaN, or where no patient makes a difference.
    """
    patients = weights @ influences
    n_patients = patients.shape[1]
    by_patients = (patients**2).sum(axis=1)
    used = weights != 0
    interaction = np.where(np.isnan(noise.interaction), 0, noise.interaction)
    by_skill = weights**2 @ np.nan_to_num(noise.skill)
    between_seeds = weights**2 @ (noise.inflation * interaction)
    variance = by_patients + by_skill
    # Estimates of a part can exceed that of the whole; its uncertainty cannot.
    between_seeds = np.minimum(between_seeds, variance)
    unknown = (used & np.isnan(noise.interaction)).any(axis=1) | ~(variance > NOTHING)
    variance = np.where(unknown, np.nan, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        fourth = np.maximum((patients**4).sum(axis=1) - by_patients**2 / n_patients, 0)
        patient_degrees = np.clip(2 * by_patients**2 / fourth, 1, n_patients - 1)
        seed_degrees = np.where(used, noise.degrees, np.inf).min(axis=1)
        degrees = variance**2 / (by_patients**2 / patient_degrees + between_seeds**2 / seed_degrees)
    return variance, degrees
