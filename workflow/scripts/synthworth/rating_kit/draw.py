"""Which images a kit shows and in which order: drawn by seed, so that nothing but the image tells where it is from."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from synthworth.ratings.scales import REAL
from synthworth.seeds import seed

# An item comes again when at least this share of the kit has gone by since.
DISTANCE = 1 / 6


def draw(
    mode: str, candidates: pd.DataFrame, images: int, real_share: float, repeat_share: float, kit_seed: int
) -> pd.DataFrame:
    """The images of a kit in the order in which they are shown, a row each: that of its candidate, with the columns
    `item` (1, 2, ..., as text of one width), `side` (of a pair: left, right; else empty) and `repeats` (the item that
    this one shows again, else empty).

    `candidates` has a row per image that may be drawn, with `source` (a generator, or REAL) and `class`, sorted.
    Of each generator and class `images` are drawn, or all where there are fewer. Real images are drawn for each class:

    - single: so many that they are `real_share` of a class's images (one at least, where that is not 0), or all where
      there are fewer;
    - pair: one for each synthetic image, and none twice: the one that comes again beside another would be the real
      one. Where a class has fewer of them, so many pairs are shown, dealt evenly over the generators. Of a generator's
      pairs half have the real image on the left;
    - prompt: none.

    `repeat_share` of the items come twice, each with at least `DISTANCE` of the kit between.
    """
    real = candidates["source"] == REAL
    chosen = list(_choose(candidates[~real], images, kit_seed))
    if mode == "pair":
        items = list(_pairs(candidates, _with_partners(candidates, chosen), kit_seed))
    else:
        if mode == "single":
            per_class = candidates.loc[chosen, "class"].value_counts() * real_share / (1 - real_share)
            for name, count in per_class.round().clip(lower=1 if real_share else 0).astype(int).sort_index().items():
                chosen += _choose(candidates[real & (candidates["class"] == name)], count, kit_seed)
        items = [(image,) for image in chosen]
    order, repeats = _order(len(items), repeat_share, kit_seed)
    width = len(str(len(order)))
    numbers = [f"{place + 1:0{width}}" for place in range(len(order))]
    sides = ("left", "right") if mode == "pair" else ("",)
    shown = [
        (image, side, place) for place, item in enumerate(order) for side, image in zip(sides, items[item], strict=True)
    ]
    rows = candidates.loc[[image for image, _, _ in shown]].reset_index(drop=True)
    return rows.assign(
        item=[numbers[place] for _, _, place in shown],
        side=[side for _, side, _ in shown],
        repeats=["" if repeats[place] is None else numbers[repeats[place]] for _, _, place in shown],
    )


def _choose(candidates: pd.DataFrame, count: int, kit_seed: int) -> Iterator[int]:
    """Labels of `count` rows for each source and class: another generator, or class, leaves the choice as it is."""
    for (source, name), own in candidates.groupby(["source", "class"], sort=True):
        shuffled = np.random.default_rng(seed(kit_seed, "choice", source, name)).permutation(own.index)
        yield from (int(image) for image in shuffled[:count])


def _with_partners(candidates: pd.DataFrame, chosen: list[int]) -> list[int]:
    """Of the synthetic images `chosen` as many of each class as it has real ones, a generator's in turn."""
    own = candidates.loc[chosen]
    turns = own.assign(turn=own.groupby(["source", "class"]).cumcount()).sort_values(["turn", "source"])
    real = candidates.loc[candidates["source"] == REAL, "class"].value_counts()
    kept = set(turns[turns.groupby("class").cumcount() < turns["class"].map(real)].index)
    return [image for image in chosen if image in kept]


def _pairs(candidates: pd.DataFrame, chosen: list[int], kit_seed: int) -> Iterator[tuple[int, int]]:
    """The left and the right image of a pair for each of the synthetic images `chosen`."""
    real = candidates[candidates["source"] == REAL]
    partners = {name: _choose(own, len(own), kit_seed) for name, own in real.groupby("class")}
    for source, own in candidates.loc[chosen].groupby("source", sort=True):
        left = np.random.default_rng(seed(kit_seed, "sides", source)).permutation(len(own)) % 2
        for image, name, real_left in zip(own.index, own["class"], left, strict=True):
            partner = next(partners[name])
            yield (partner, image) if real_left else (image, partner)


def _order(count: int, repeat_share: float, kit_seed: int) -> tuple[list[int], list[int | None]]:
    """Items (numbers below `count`) in the order in which they are shown, and for each place the earlier place of an
    item that comes again, or None."""
    generator = np.random.default_rng(seed(kit_seed, "order"))
    order = generator.permutation(count)
    distance = count * DISTANCE
    # Places between those of the order: those that come again are pushed in between.
    again = np.sort(generator.permutation(int(count - distance))[: round(repeat_share * count)])
    places = np.concatenate([np.arange(count), generator.uniform(again + distance, count)])
    sequence = np.argsort(places)
    shown = np.concatenate([np.arange(count), again])[sequence]
    first: dict[int, int] = {}
    repeats = [place if (place := first.setdefault(int(item), now)) != now else None for now, item in enumerate(shown)]
    return [int(order[item]) for item in shown], repeats
