"""Near duplicates: images that are nearly the same picture, whatever their files say.

The hash and the bound of 24 bits come from 468 real chest films of 417 patients (109,278 pairs). Copies of them
recompressed (JPEG quality 50), halved, stretched to 256 x 256, made a tenth brighter or darker, of a tenth more or
less contrast, or all of that at once are at most 14 bits from their originals (99 % within 10), 24 bits where a
tenth of the range is taken off and blacks are cut; a PNG of the same pixels is at 0. All are found. Of the pairs
of different patients two are within 24 bits, at 8 and 14: pictures that the source holds twice. The next is at 44,
so no pair is false; nor is one to be expected among the 50 million pairs of 10,000 such images (116 +- 13 bits).
Not all is found: of copies turned by 1 degree 69 % (22 bits at the median), of copies without 2 % of the
picture at each side 4 %. With 64 bits, films of different patients are as near (2 bits) as copies are (to 6).
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

NEAR_DISTANCE = 24
PAIR_COLUMNS = ["image_a", "image_b", "patient_a", "patient_b", "distance"]
OWN_PAIR_COLUMNS = ["image", "patient", "own_image", "own_patient", "own_split", "distance"]
# Images that are held against the others at a time: against 10,000 they take 8 MB.
BLOCK = 100


def near_duplicates(index: pd.DataFrame, distance: int = NEAR_DISTANCE) -> pd.DataFrame:
    """Pairs of images of an index whose hashes differ in at most `distance` of 256 bits, nearest first.

    Columns PAIR_COLUMNS, `image_a` < `image_b`; pairs of one patient, too.
    """
    index = index.sort_values("image")
    hashes = _hashes(index["hash"])
    pairs = _near(hashes, hashes, distance, later=True)
    first, second = (index.iloc[pairs[:, side]] for side in (0, 1))
    columns = [*(side[name] for name in ("image", "patient") for side in (first, second)), pairs[:, 2]]
    frame = pd.DataFrame({name: np.asarray(values) for name, values in zip(PAIR_COLUMNS, columns, strict=True)})
    return frame.sort_values(["distance", "image_a", "image_b"], ignore_index=True)


def near_own_images(index: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Pairs of an image of `index` and one of the study's `own` that are as near as those of `near_duplicates`.

    `own` has a column `split`. Columns OWN_PAIR_COLUMNS, nearest first.
    """
    hashes, others = _hashes(index["hash"]), _hashes(own["hash"])
    pairs = _near(hashes, others, NEAR_DISTANCE)
    theirs, ours = index.iloc[pairs[:, 0]], own.iloc[pairs[:, 1]]
    columns = [theirs["image"], theirs["patient"], ours["image"], ours["patient"], ours["split"], pairs[:, 2]]
    frame = pd.DataFrame({name: np.asarray(values) for name, values in zip(OWN_PAIR_COLUMNS, columns, strict=True)})
    return frame.sort_values(["distance", "image", "own_image"], ignore_index=True)


def _hashes(texts: Iterable[str]) -> np.ndarray:
    """Hashes of 64 hex digits as uint64 [n, 4]."""
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint64).reshape(-1, 4)


def _near(hashes: np.ndarray, others: np.ndarray, distance: int, later: bool = False) -> np.ndarray:
    """Rows of two sets of hashes that differ in at most `distance` bits, and in how many: int [pairs, 3].

    With `later`, of one set alone, each row is held against those after it.
    """
    found = [np.empty((0, 3), int)]
    for start in range(0, len(hashes), BLOCK):
        block, skipped = hashes[start : start + BLOCK], start if later else 0
        bits = (np.bitwise_count(block[:, word, None] ^ others[skipped:, word]) for word in range(hashes.shape[1]))
        distances = sum(each.astype(np.uint16) for each in bits)
        near = np.triu(distances <= distance, k=1) if later else distances <= distance
        first, second = np.nonzero(near)
        found.append(np.column_stack([first + start, second + skipped, distances[first, second]]))
    return np.concatenate(found)
