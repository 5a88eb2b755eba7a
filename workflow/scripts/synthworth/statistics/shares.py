"""How sure a share is: Wilson's interval, and how many independent images there are where some belong together."""

import numpy as np
from scipy.special import ndtri


def effective_number(values: np.ndarray, groups: np.ndarray) -> float:
    """How many independent values say as much as these: [n], in [0, 1], over the design effect of their groups [n].

    At most all of them (Korn and Graubard 1998). Where all are 0 or all are 1 nothing shows how alike the values of a
    group are: the number of groups.
    """
    members = np.unique(groups, return_inverse=True)[1]
    count, share = members.max() + 1, values.mean()
    if count == len(values) or share in (0, 1) or count == 1:
        return float(count)
    residues = np.bincount(members, values - share)
    variance = np.sum(residues**2) * count / (count - 1) / len(values) ** 2
    effect = variance / (share * (1 - share) / len(values))
    return len(values) / max(1.0, effect)


def wilson(share: float, number: float, confidence: float) -> tuple[float, float]:
    """Wilson's limits (1927) of a share of `number` independent values."""
    z = ndtri(0.5 + confidence / 2)
    middle = share + z**2 / (2 * number)
    spread = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    low, high = ((middle + sign * spread) / (1 + z**2 / number) for sign in (-1, 1))
    # Exact where rounding would leave the range of a share.
    return 0.0 if share == 0 else float(low), 1.0 if share == 1 else float(high)
