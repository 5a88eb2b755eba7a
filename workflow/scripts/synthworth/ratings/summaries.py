"""Means of ratings: of each image over its readers, and of generators and classes over all (Table 6 of the paper)."""

from collections.abc import Sequence

import pandas as pd

from synthworth.ratings.scales import ALL, REAL, SCALES

# What one image is, or one pair of them. In another kit images of the same number may be those of another checkpoint.
IMAGE = ["kit", "source", "class", "identity", "against"]
COLUMNS = ["generator", "score", "class", "mean", "sd", "n"]


def first_ratings(rows: pd.DataFrame) -> pd.DataFrame:
    """The first rating that each reader gave of each image and score: those that were shown again count once.

    `rows` as of `joining.join_ratings`. An image that was left out when it was first shown, and rated when it came
    again, counts with that.
    """
    return rows[rows["value"].notna()].drop_duplicates(["reader", "score", *IMAGE])


def image_means(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean rating of each image over its readers: columns `score`, IMAGE, `value`, `readers` (how many).

    So that n counts images in what is tested, and not ratings: readers of one image do not judge independently.
    """
    groups = first_ratings(rows).groupby(["score", *IMAGE], sort=False)["value"]
    return pd.DataFrame({"value": groups.mean(), "readers": groups.count()}).reset_index()


def summarise_ratings(rows: pd.DataFrame, generators: Sequence[str], classes: Sequence[str], ddof: int) -> pd.DataFrame:
    """Mean, sd and n of the ratings of single images: columns COLUMNS, as `published.read_published` has them.

    By generator (`real` first, then in the order of `generators`) and score, over all classes (`all`) and of each.
    Over all ratings of all readers, of each image and reader the first one. `ddof` as of `cells.aggregate_runs`.
    """
    own = first_ratings(rows[rows["mode"] == "single"])
    own = own.rename(columns={"source": "generator"})
    both = pd.concat([own.assign(**{"class": ALL}), own])
    values = both.groupby(["generator", "score", "class"])["value"]
    means = pd.DataFrame({"mean": values.mean(), "sd": values.std(ddof=ddof), "n": values.count()}).reset_index()
    places = {
        "generator": in_place(means["generator"], [REAL, *generators]),
        "score": in_place(means["score"], list(SCALES["single"])),
        "class": in_place(means["class"], [ALL, *classes]),
    }
    return means.sort_values(list(places), key=lambda column: column.map(places[column.name]), ignore_index=True)[
        COLUMNS
    ]


def in_place(present: pd.Series, order: Sequence[str]) -> dict[str, int]:
    """The place of each name: in `order`, and behind it, sorted, what is not there (of a kit of an earlier config)."""
    names = [*order, *sorted(set(present) - set(order))]
    return {name: place for place, name in enumerate(names)}
