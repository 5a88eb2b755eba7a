"""Where the noise of a comparison comes from: test patients, seeds of training, and both together.

A block (`grid`) is a cell (classifier, arm), or an arm over classifiers; its replicates are what was repeated
independently: trainings of the classifier, or of the generator with all that follows. "Seed" means either here. The
metric of the replicate with seed s on the patients g is read as a two-way layout,

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
    """The noise of training in the mean over the seeds of B blocks, as variances of the metric (fractions squared).

    `interaction`: float [B], by patient x seed; NaN for blocks of a single seed.
    `inflation`: float [B], by how much the spread between seeds exceeds what `interaction` explains; about 1 where
    trainings agree in overall skill.
    `degrees`: float [B], degrees of freedom of `inflation`.
    `pools`: int [B], equal for blocks that share what they know of `inflation`.
    """

    interaction: np.ndarray
    inflation: np.ndarray
    degrees: np.ndarray
    pools: np.ndarray

    @property
    def skill(self) -> np.ndarray:
        """float [B]: the variance by differences between seeds in overall skill, beyond patient x seed."""
        return np.maximum(self.inflation - 1, 0) * self.interaction


def seed_noise(
    values: np.ndarray,
    influences: np.ndarray,
    blocks: np.ndarray,
    pools: np.ndarray | None = None,
    sources: np.ndarray | None = None,
) -> SeedNoise:
    """Splits the noise of training; `values` [T] and `influences` [T, P] of replicates, `blocks` int [T], 0 ... B-1.

    A block of few seeds tells its spread between seeds badly, so the ratio of this spread to the one expected from
    patient x seed (well known, from all patients) is shrunk towards its mean over all blocks of its pool: wholly where
    the ratios differ no more than chance explains, less where they do (credibility weights; the idea of moderated
    variances, Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004, with moments in place of
    logarithms, since a few seeds on a small test set often have equal metrics). `pools` and `sources`: int [B], as of
    `grid.Grid`; blocks of one source share one ratio, the mean of theirs, and count once. None: one pool, and each
    block a source of its own.
    """
    n_blocks = blocks.max() + 1
    interaction, between = np.full(n_blocks, np.nan), np.full(n_blocks, np.nan)
    free = np.bincount(blocks, minlength=n_blocks) - 1.0
    for block in np.flatnonzero(free > 0):
        own = blocks == block
        scale = (free[block] + 1) * free[block]
        interaction[block] = ((influences[own] - influences[own].mean(axis=0)) ** 2).sum() / scale
        between[block] = ((values[own] - values[own].mean()) ** 2).sum() / scale
    pools = np.zeros(n_blocks, int) if pools is None else pools
    sources = np.arange(n_blocks) if sources is None else sources
    inflation, degrees = np.ones(n_blocks), np.maximum(free, 1)
    known = interaction > NOTHING
    for pool in np.unique(pools[known]):
        own = np.flatnonzero(known & (pools == pool))
        _, source = np.unique(sources[own], return_inverse=True)
        count = np.bincount(source)
        ratio = np.bincount(source, between[own] / interaction[own]) / count
        shrunken, ratio_degrees = _shrink(ratio, np.bincount(source, free[own]) / count)
        inflation[own], degrees[own] = shrunken[source], ratio_degrees[source]
    return SeedNoise(interaction, inflation, degrees, pools)


def difference_variance(weights: np.ndarray, influences: np.ndarray, noise: SeedNoise) -> tuple[np.ndarray, np.ndarray]:
    """Variance of weighted sums of blocks (means over their seeds) and its degrees of freedom; float [D] each.

    `weights` [D, B] gives each of D differences as weights of blocks; `influences` [B, P] are the blocks' means over
    seeds, so that their spread over patients includes patient x seed. Degrees of freedom after Satterthwaite
    (Biometrics Bulletin 2, 1946), those of patients from the fourth moments of their influences, so that a difference
    that rests on few patients counts as few. NaN where a block in the difference has a single seed, where an
    influence is NaN, or where no patient makes a difference.
    """
    patients = weights @ influences
    n_patients = patients.shape[1]
    by_patients = (patients**2).sum(axis=1)
    used = weights != 0
    interaction = np.where(np.isnan(noise.interaction), 0, noise.interaction)
    by_skill = weights**2 @ np.nan_to_num(noise.skill)
    between_seeds = weights**2 * (noise.inflation * interaction)
    variance = by_patients + by_skill
    unknown = (used & np.isnan(noise.interaction)).any(axis=1) | ~(variance > NOTHING)
    variance = np.where(unknown, np.nan, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        fourth = np.maximum((patients**4).sum(axis=1) - by_patients**2 / n_patients, 0)
        patient_degrees = np.clip(2 * by_patients**2 / fourth, 1, n_patients - 1)
        # Estimates of a part can exceed that of the whole; its uncertainty cannot.
        between_seeds *= np.minimum(variance / between_seeds.sum(axis=1), 1)[:, None]
        uncertainty = by_patients**2 / patient_degrees
        for pool in np.unique(noise.pools):
            own = noise.pools == pool
            pool_degrees = np.where(used[:, own], noise.degrees[own], np.inf).min(axis=1)
            uncertainty += between_seeds[:, own].sum(axis=1) ** 2 / pool_degrees
        degrees = variance**2 / uncertainty
    return variance, degrees


def _shrink(ratio: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ratios of S sources, of `free` degrees of freedom each, shrunk towards their mean; and degrees of freedom."""
    common = ratio.mean()
    prior = free.sum() - free
    if len(ratio) > 1 and common > 0:
        chance = (2 / free).mean()
        heterogeneity = (ratio.var(ddof=1) / common**2 - chance) / (1 + chance)
        if heterogeneity > 0:
            prior = np.minimum(prior, 4 + 2 / heterogeneity)
    return (prior * common + free * ratio) / (prior + free), prior + free
