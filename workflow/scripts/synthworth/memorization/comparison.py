"""The comparison of image sets: real ones with each other once for each class, synthetic ones with the real ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.memorization.copies import most_similar, most_similar_others, similar_others
from synthworth.memorization.nearest import WITHOUT_COLUMNS, compare_features
from synthworth.memorization.plants import plant_copies
from synthworth.memorization.sets import ImageSet, check_sets, subset
from synthworth.seeds import seed as seed_of

COMPARISON_COLUMNS = [
    *("image", "patient", "nearest_image", "nearest_patient", "distance", "own_distance", "to_train", "to_held_out"),
    *("cell", "similar_image", "similar_patient", "similarity"),
]
TWIN_COLUMNS = ["other_image", "other_similarity"]
WITHIN_COLUMNS = [*TWIN_COLUMNS, "linked_similarity"]
# Training images of which the rate of duplicates is told, at most.
MOST_TWINS = 1000


@dataclass(frozen=True)
class Reference:
    """What a class's real images are to each other, whatever the generator.

    `comparisons`: held-out images (`kind` held_out) and planted copies (`kind` plant, with `perturbation`, `strength`
    and `source`, the name of the image copied) against the training images, `COMPARISON_COLUMNS`. `twins`: training
    images against each other, `image`, `patient` and `TWIN_COLUMNS`; of each image all that it may be a copy of.
    """

    comparisons: pd.DataFrame
    twins: pd.DataFrame

    def of_kind(self, kind: str) -> pd.DataFrame:
        """The comparisons of `held_out` images or of each `plant`."""
        return self.comparisons[self.comparisons["kind"] == kind]


def compare_real(
    train: ImageSet,
    held_out: ImageSet,
    features_of: Callable[[np.ndarray], np.ndarray],
    seed: int,
    sources: int = 50,
    own: np.ndarray | None = None,
) -> Reference:
    """The reference of a class: its held-out images, and planted copies of `sources` training images, against `train`.

    `train` are all images that a model may have been trained on, of all classes, of which `own` (rows; None: all) are
    the class's: copies are made of those. `features_of` is the extractor by which the features of both were made; it
    is given the plants. At least 2 training and 2 held-out images, these of 2 patients; StudyError otherwise, and for
    features that are not finite or do not match.
    """
    class_images = train if own is None else subset(train, own)
    check_sets({"training images": (class_images, 2), "held-out images": (held_out, 2)})
    _check_patients(held_out)
    copies, plants = plant_copies(class_images.pixels, seed, sources)
    planted = ImageSet(features_of(copies), copies)
    check_sets({"planted copies": (planted, 1), "training images": (train, 2)})
    known = compare(held_out, train, held_out, seed, own, held_out_queries=True)
    found = compare(planted, train, held_out, seed, own)
    plants = plants.assign(source=[class_images.names[place] for place in plants["source"]])
    comparisons = pd.concat(
        [
            known.assign(kind="held_out", perturbation="", strength=0.0, source=""),
            pd.concat([found[COMPARISON_COLUMNS], plants], axis=1).assign(kind="plant"),
        ],
        ignore_index=True,
    )
    drawn = np.random.default_rng(seed_of(seed, "twins")).permutation(len(class_images))[:MOST_TWINS]
    return Reference(comparisons, compare_twins(subset(class_images, np.sort(drawn))))


def compare_synthetic(
    synthetic: ImageSet, train: ImageSet, held_out: ImageSet, seed: int, own: np.ndarray | None = None
) -> pd.DataFrame:
    """A row per synthetic image of a class, sets as in `compare_real`: columns as of `compare`, and `WITHIN_COLUMNS`.

    The audit of a set is a function of this frame and of references; both can be kept as files (`outputs`).
    """
    check_sets({"synthetic images": (synthetic, 1), "training images": (train, 2), "held-out images": (held_out, 2)})
    _check_patients(held_out)
    twins = compare_within(synthetic)
    return pd.concat([compare(synthetic, train, held_out, seed, own), twins[WITHIN_COLUMNS]], axis=1)


def compare(
    queries: ImageSet,
    train: ImageSet,
    held_out: ImageSet,
    seed: int,
    own: np.ndarray | None = None,
    held_out_queries: bool = False,
) -> pd.DataFrame:
    """A row per query: distances as in `nearest.compare_features`, and the copy score. Columns `COMPARISON_COLUMNS`
    and, but of `held_out_queries`, `nearest.WITHOUT_COLUMNS`, as many as there are parts.

    Distances are to the class's `own` training images (rows; None: all), as the held-out ones are of the class; a copy
    may be one of any. The nearest image is so by features, the similar one by aligned pixels; they need not be the
    same. Only the same `seed` gives comparisons the same cells.
    """
    class_images = train if own is None else subset(train, own)
    sets = [images.features for images in (queries, class_images, held_out)]
    frame = compare_features(*sets, held_out.patients, seed, held_out_queries)
    columns = [*COMPARISON_COLUMNS, *frame.filter(WITHOUT_COLUMNS)]
    scores, places = most_similar(queries, train)
    names, patients = np.array(train.names, object), np.array(train.patients, object)
    own_names, own_patients = np.array(class_images.names, object), np.array(class_images.patients, object)
    return frame.assign(
        image=queries.names,
        patient=queries.patients,
        nearest_image=own_names[frame["nearest"]],
        nearest_patient=own_patients[frame["nearest"]],
        similar_image=names[places],
        similar_patient=patients[places],
        similarity=scores,
    )[columns]


def compare_within(images: ImageSet) -> pd.DataFrame:
    """For each image the one of its set that it is most like, and how it is linked with earlier ones
    (`copies.most_similar_others`): columns `image` and `WITHIN_COLUMNS`.

    A single image has none: "", with a copy score of 0.
    """
    scores, places, linked = most_similar_others(images)
    others = [images.names[place] if place >= 0 else "" for place in places]
    found = {"image": images.names, "other_image": others, "other_similarity": scores, "linked_similarity": linked}
    return pd.DataFrame(found)


def compare_twins(images: ImageSet) -> pd.DataFrame:
    """For each of at least 2 images those of its set that it may be a copy of: `image`, `patient`, `TWIN_COLUMNS`.

    In a part of the set its best partner may be missing, and the next one makes it a duplicate.
    """
    rows, others, scores = similar_others(images)
    names, patients = np.array(images.names, object), np.array(images.patients, object)
    found = {"image": names[rows], "patient": patients[rows], "other_image": names[others]}
    return pd.DataFrame(found | {"other_similarity": scores})


def _check_patients(held_out: ImageSet) -> None:
    if len(set(held_out.patients)) < 2:
        problem = f"held-out images: all {len(held_out)} of one patient, 2 needed; give the class a larger select split"
        raise StudyError("The memorisation audit is not defined on these images.", [problem])
