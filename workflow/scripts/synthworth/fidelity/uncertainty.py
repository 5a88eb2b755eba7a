"""How sure a metric of a few images is: an interval about it, and its floor among real images alone.

An interval is for the metric's expectation *at these numbers of images*: what other images of the same generator, and
another reference of the same kind, would score. It does not take off the bias of a small set; the floor shows that.

Not the plain bootstrap: drawing with replacement puts an image beside itself, a distance of 0 that no generator made.
It shrinks neighbourhoods, makes pairs more alike and covariances narrower, so that the interval need not even hold
the value. Instead a random fifth of one set is left out at a time (the delete-d jackknife, Shao and Wu 1989), which
leaves nothing twice and numbers near the full ones. With n images, d of them left out, the variance of the metric is
(n - d) / d times that of its values without them, added over both sets (Arvesen 1969). As smooth a metric as the
mean is judged without bias; one whose spread is all in pairs, as that of two equal distributions, up to sqrt(2) too
wide. Student's t with one degree of freedom less than images on the smaller side takes the place of the normal.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from synthworth.errors import StudyError
from synthworth.seeds import seed as named_seed

# The share of a set that is left out at a time: enough for metrics that jump (nearest neighbours), not so much that a
# metric of the rest is another one.
FOLDS = 5

# What a metric's values can be, by the name of its scale. A "share" of images is judged as a binomial one is, and so,
# near 0, is a "rate" whose par is 1; a "number" of images, which ends at that of the set, by its logarithm.
RANGES = {
    "real": (-np.inf, np.inf),
    "positive": (0.0, np.inf),
    "unit": (0.0, 1.0),
    "share": (0.0, 1.0),
    "rate": (0.0, np.inf),
    "number": (1.0, np.inf),
}

Metric = Callable[..., float | tuple[float, ...]]


class Floor(NamedTuple):
    """A metric among real images: values, float64 [replicates, v], their median and upper quantile [v], and the n."""

    n_synthetic: int
    n_reference: int
    values: np.ndarray
    median: np.ndarray
    upper: np.ndarray


def interval(
    function: Metric,
    synthetic: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    scales: Sequence[str],
    confidence: float,
    replicates: int,
    seed: int,
    prepare: Callable[..., Metric] | None = None,
    patients: np.ndarray | None = None,
    prompts: np.ndarray | None = None,
) -> np.ndarray:
    """The interval (low, high) of each of a metric's v values, float64 [v, 2].

    `function` takes `(synthetic)` or `(reference, synthetic)`, and gives a float or v of them; `scales` names the scale
    of each, a key of `RANGES`, which the interval stays inside. `replicates` is the number of evaluations for each
    set. `prepare`, where a metric has one (its `on_subsets`), is given the sets once and returns a function of rows of
    each, as cheap as it can be. `patients` [n] are those of the reference's images: a patient is left out as a whole.
    So is a prompt, where `prompts` [n], those of the synthetic images, are several: other images have other ones.

    With too few images to leave any out there is none: NaN. StudyError from the function for sets that it is not
    defined on.
    """
    sets = (synthetic,) if reference is None else (reference, synthetic)
    evaluate = _evaluation(function, prepare, sets)
    rows = [np.arange(len(x)) for x in sets]
    value = evaluate(*rows)
    units = [np.arange(len(x)) for x in sets]
    if patients is not None and reference is not None:
        units[0] = np.unique(patients, return_inverse=True)[1]
    if prompts is not None and len(np.unique(prompts)) > 1:
        units[-1] = np.unique(prompts, return_inverse=True)[1]
    images = min(unit.max() + 1 for unit in units)
    on = _Scales(scales, int(images), confidence)
    none = np.full((len(scales), 2), np.nan)
    if images < 2:
        return none
    rng = np.random.default_rng(named_seed(seed, "interval"))
    variance = np.zeros_like(value)
    try:
        for side, unit in enumerate(units):
            subsets, factor = _leaving_out(unit, replicates, rng)
            values = [on.forward(evaluate(*rows[:side], subset, *rows[side + 1 :])) for subset in subsets]
            variance += factor * np.var(values, axis=0)
    except StudyError:
        # The whole sets were scored, so it is the subsets that are too small.
        return none
    return on.between(value, variance)


def floor(
    function: Metric,
    real: np.ndarray,
    n_synthetic: int,
    n_reference: int,
    *,
    has_reference: bool,
    replicates: int,
    seed: int,
    quantile: float = 0.95,
    prepare: Callable[..., Metric] | None = None,
    patients: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
) -> Floor:
    """A metric between disjoint random parts of `real` images, or of one part for a metric without a reference.

    With `held_out`, real images of other patients, parts of `real` are held against all of those: as a generator is
    whose images are the training images, at best. (Not parts of the held-out ones against each other, of which there
    are too few.)

    The parts have `n_synthetic` and `n_reference` images (the latter is 0 without a reference) as far as there are
    that many; otherwise both are made smaller by one factor, and the numbers used are returned: a floor at smaller n is
    that of a larger bias. With `patients` [n], no patient is in both parts. A generator that equals its data scores
    above `upper` in a share 1 - `quantile` of cases. Without a reference, parts that are most of the images overlap,
    and spread less than sets of new patients would. StudyError from the function where the parts are too small for it.
    """
    rng = np.random.default_rng(named_seed(seed, "floor"))
    if held_out is not None:
        evaluate, n_synthetic = _evaluation(function, prepare, (held_out, real)), min(n_synthetic, len(real))
        everyone = np.arange(len(held_out))
        parts = [np.sort(rng.permutation(len(real))[:n_synthetic]) for _ in range(replicates)]
        return _floor([evaluate(everyone, part) for part in parts], n_synthetic, len(held_out), quantile)
    evaluate = _evaluation(function, prepare, (real, real) if has_reference else (real,))
    groups = np.arange(len(real)) if patients is None else np.unique(patients, return_inverse=True)[1]
    # Images of one patient that straddle the parts are left out, of the largest at most all but one.
    spare = int(np.bincount(groups).max(initial=1)) - 1 if has_reference else 0
    wanted = n_synthetic + n_reference if has_reference else n_synthetic
    share = min(1.0, max(len(real) - spare, 0) / wanted)
    first, second = int(share * n_synthetic + 1e-9), int(share * n_reference + 1e-9) if has_reference else 0
    values = []
    for _ in range(replicates):
        order = _shuffled(groups, rng)
        fake = order[:first]
        others = order[first:]
        others = others[~np.isin(groups[others], groups[fake])][:second]
        values.append(evaluate(np.sort(others), np.sort(fake)) if has_reference else evaluate(np.sort(fake)))
    return _floor(values, first, second, quantile)


def _floor(values: Sequence[np.ndarray], n_synthetic: int, n_reference: int, quantile: float) -> Floor:
    found = np.array(values)
    return Floor(n_synthetic, n_reference, found, np.median(found, axis=0), np.quantile(found, quantile, axis=0))


class _Scales:
    """The scales on which a metric's values are judged, for sets of so many images and a confidence."""

    def __init__(self, names: Sequence[str], images: int, confidence: float) -> None:
        self.names = names
        self.images = images
        self.quantile = float(stdtrit(max(images - 1, 1), (1 + confidence) / 2))

    def forward(self, values: np.ndarray) -> np.ndarray:
        """The values on the scales on which variances are reckoned."""
        return np.array([np.log(x) if name == "number" else x for name, x in zip(self.names, values, strict=True)])

    def between(self, values: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """The intervals, inside the ranges, about values with variances on their scales."""
        return np.array([self._between(*each) for each in zip(self.names, values, variances, strict=True)])

    def _between(self, name: str, value: float, variance: float) -> tuple[float, float]:
        reach = self.quantile * np.sqrt(variance)
        if name == "share":
            low, high = self._wilson(value, variance)
        elif name == "rate":
            low, high = value - reach, max(value + reach, self._wilson(min(value, 1), variance)[1])
        elif name == "number":
            low, high = value * np.exp(-reach), value * np.exp(reach)
        else:
            low, high = value - reach, value + reach
        return tuple(np.clip((low, high), *self._range(name)))

    def _range(self, name: str) -> tuple[float, float]:
        low, high = RANGES[name]
        return low, min(high, float(self.images)) if name == "number" else high

    def _wilson(self, share: float, variance: float) -> tuple[float, float]:
        """Wilson's interval of a share, with as many images as give it its variance, and no more than there are.

        At 0 and 1, where every subset has the same share and a variance of 0 says nothing, it still has a width.
        """
        square = self.quantile**2
        centre = (self.images * share + square / 2) / (self.images + square)
        # At the centre, which is inside (0, 1), a binomial share has a variance to compare with.
        effective = min(self.images, centre * (1 - centre) / variance) if variance > 0 else self.images
        middle = (share + square / 2 / effective) / (1 + square / effective)
        variance = share * (1 - share) / effective + square / 4 / effective**2
        reach = self.quantile * np.sqrt(variance) / (1 + square / effective)
        return middle - reach, middle + reach


def _evaluation(function: Metric, prepare: Callable[..., Metric] | None, sets: tuple[np.ndarray, ...]) -> Metric:
    """The metric as a function of rows of each set, which returns float64 [v]."""
    of_rows = prepare(*sets) if prepare else lambda *rows: function(*(x[r] for x, r in zip(sets, rows, strict=True)))
    return lambda *rows: np.atleast_1d(np.asarray(of_rows(*rows), dtype=np.float64))


def _leaving_out(units: np.ndarray, replicates: int, rng: np.random.Generator) -> tuple[list[np.ndarray], float]:
    """Sets of the rows that are left where a fifth of the units is taken out; and (n - d) / d for n units, d out.

    The fifths of one shuffle follow one another, so that together they leave each unit out about equally often. Units
    taken out one by one leave the same sets in each shuffle: of those, one round.
    """
    n = int(units.max()) + 1
    out = max(1, n // FOLDS)
    subsets: list[np.ndarray] = []
    while len(subsets) < (n if out == 1 else replicates):
        order = rng.permutation(n)
        subsets += [
            np.flatnonzero(np.isin(units, order[start : start + out], invert=True))
            for start in range(0, n - out + 1, out)
        ]
    return subsets, (n - out) / out


def _shuffled(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All rows, group by group, the groups and the rows of each in random order."""
    places = rng.permutation(int(groups.max(initial=-1)) + 1)
    return np.lexsort((rng.random(len(groups)), places[groups]))
