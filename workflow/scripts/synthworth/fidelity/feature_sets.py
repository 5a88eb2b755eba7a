"""What every metric of features asks of its sets before it computes."""

import numpy as np

from synthworth.errors import StudyError


def check_features(metric: str, least: int, **sets: np.ndarray) -> None:
    """StudyError, with all problems, unless each of the named sets is float [n, d], n >= `least`, finite, d shared."""
    problems = [f"{name} features have shape {x.shape}, not [n, d]" for name, x in sets.items() if x.ndim != 2]
    if not problems:
        problems += [
            f"{name} set: {len(x)} image(s), at least {least} are needed; ask for more images"
            for name, x in sets.items()
            if len(x) < least
        ]
        problems += [
            f"{name} features: {np.count_nonzero(~np.isfinite(x).all(axis=1))} of {len(x)} images have values that are "
            "not finite; check the extractor's weights"
            for name, x in sets.items()
            if not np.isfinite(x).all()
        ]
        if len({x.shape[1] for x in sets.values()}) > 1:
            widths = " and ".join(f"{x.shape[1]} {name}" for name, x in sets.items())
            problems.append(f"{widths} features per image: different extractors made them; extract both anew")
    if problems:
        raise StudyError(f"{metric} is not defined on these features.", problems)
