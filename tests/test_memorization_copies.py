from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from synthworth.memorization import copies
from synthworth.memorization.copies import most_similar, most_similar_others
from synthworth.memorization.nearest import compare_features
from synthworth.memorization.plants import STRENGTHS, perturb, plant_copies
from synthworth.memorization.sets import ImageSet
from synthworth.resizing import resize

XRAYS = Path(__file__).parents[2] / "shared/data/cxr4"


def blobs(n, side=64, seed=0):
    """Smooth random images, each of its own, uint8 [n, side, side, 1]."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=(side, side)), 3) for _ in range(n)])
    fields /= np.abs(fields).max(axis=(1, 2), keepdims=True)
    return (127.5 + 120 * fields).round().astype(np.uint8)[..., None]


def as_set(pixels):
    return ImageSet(resize(pixels, 8).mean(axis=-1).reshape(len(pixels), -1), pixels)


def similarity(query, point):
    return most_similar(as_set(query[None]), as_set(point[None]))[0][0]


def naive(query, point):
    """The copy score by its definition, written out, for images of 64 pixels."""

    def evened(image):
        plane = cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1, borderType=cv2.BORDER_REFLECT_101)
        detail = plane - cv2.GaussianBlur(plane, (0, 0), 4, borderType=cv2.BORDER_REFLECT_101)
        return detail / np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 4, borderType=cv2.BORDER_REFLECT_101) + 16)

    best = -1
    for side in (64, 68, 72, 76, 80):
        start = (side - 52) // 2
        part = evened(resize(point[None], side)[0, ..., 0])[start : start + 52, start : start + 52]
        for template in (part, part[:, ::-1]):
            for top in range(13):
                for left in range(13):
                    window = evened(query[..., 0])[top : top + 52, left : left + 52]
                    best = max(best, np.corrcoef(window.ravel(), template.ravel())[0, 1])
    return best


def test_similarity_is_the_largest_correlation_over_shifts_zooms_and_mirror():
    images = blobs(3)
    shifted = np.roll(images[0], (3, -4), axis=(0, 1))
    for query, point in [(images[1], images[2]), (shifted, images[0])]:
        assert similarity(query, point) == pytest.approx(naive(query, point), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "strength"), [(name, strengths[0]) for name, strengths in STRENGTHS.items()] + [("crop", 0.2)]
)
def test_a_changed_copy_is_more_like_its_source_than_any_other_image_is(name, strength):
    images = blobs(12)
    others = max(similarity(images[0], image) for image in images[1:])
    copy = perturb(images[0], name, strength, np.random.default_rng(0))
    assert similarity(copy, images[0]) > max(0.75, others + 0.1)
    scores, places = most_similar(as_set(copy[None]), as_set(images))
    assert places.tolist() == [0]
    assert scores[0] == pytest.approx(similarity(copy, images[0]), abs=1e-6)


def test_every_perturbation_keeps_shape_and_dtype_and_is_repeatable():
    for images in (blobs(4), np.repeat(blobs(4), 3, axis=-1)):
        copies, rows = plant_copies(images, seed=5, sources=3)
        again, _ = plant_copies(images, seed=5, sources=3)
        assert copies.dtype == np.uint8
        assert copies.shape[1:] == images.shape[1:]
        assert (copies == again).all()
        assert rows.groupby(["perturbation", "strength"])["source"].nunique().eq(3).all()
        assert len(rows) == 3 * sum(len(strengths) for strengths in STRENGTHS.values())
        changed = [(copy != images[row.source]).any() for copy, row in zip(copies, rows.itertuples(), strict=True)]
        assert changed == (rows["perturbation"] != "exact").tolist()


def test_the_stronger_of_two_perturbations_changes_more():
    copies, rows = plant_copies(blobs(3), seed=0)
    rows["change"] = np.abs(copies - blobs(3)[rows["source"]].astype(float)).mean(axis=(1, 2, 3))
    for name, strengths in STRENGTHS.items():
        if len(strengths) == 2:
            mild, strong = (
                rows[(rows.perturbation == name) & (rows.strength == s)]["change"].mean() for s in strengths
            )
            assert strong > mild


def test_a_copy_is_found_even_where_features_say_nothing():
    images = blobs(40)
    blind = ImageSet(np.random.default_rng(0).normal(size=(40, 5)), images)
    flipped = np.ascontiguousarray(images[7:9, :, ::-1])
    scores, places = most_similar(ImageSet(np.random.default_rng(1).normal(size=(2, 5)), flipped), blind)
    assert places.tolist() == [7, 8]
    assert (scores > 0.99).all()


def test_a_copy_is_found_by_its_features_where_thumbnails_mislead():
    """A copy of the detail of one image upon the large shapes of others, which is all that a thumbnail shows."""
    rng = np.random.default_rng(2)
    detail = np.stack([gaussian_filter(rng.normal(size=(64, 64)), 1.2) for _ in range(20)])[..., None]
    shapes = np.stack([gaussian_filter(rng.normal(size=(64, 64)), 12) for _ in range(2)])[..., None]
    detail, shapes = 12 * detail / detail.std(), 40 * shapes / shapes.std()
    images = np.clip(127 + detail + np.repeat(shapes, [10, 10], axis=0), 0, 255).astype(np.uint8)
    copies = np.clip(127 + detail[:3] + shapes[1], 0, 255).astype(np.uint8)
    places = np.arange(20.0)[:, None]
    assert most_similar(ImageSet(places[:3], copies), ImageSet(places, images))[1].tolist() == [0, 1, 2]
    misled = most_similar(ImageSet(places[17:], copies), ImageSet(places, images))[1]
    assert (misled >= 10).all()


def test_images_without_structure_are_like_each_other_and_nothing_else():
    flat, dark = np.full((64, 64, 1), 90, np.uint8), np.zeros((64, 64, 1), np.uint8)
    assert similarity(flat, dark) == 1
    assert similarity(flat, blobs(1)[0]) == 0
    assert similarity(blobs(1)[0], flat) == 0


def test_twins_are_found_within_a_set_and_no_image_is_its_own():
    images = np.concatenate([blobs(8), blobs(8)[2:3]])
    scores, places, linked = most_similar_others(as_set(images))
    assert places[[2, 8]].tolist() == [8, 2]
    assert scores[[2, 8]] == pytest.approx([1, 1], abs=1e-6)
    assert (np.delete(scores, [2, 8]) < 0.8).all()
    assert (places != np.arange(9)).all()
    alone = most_similar_others(as_set(images[:1]))
    assert [values.tolist() for values in alone] == [[0.0], [-1], [-1.0]]
    # The ninth is one with the third; the first with none before it.
    assert linked[8] == scores[8]
    assert linked[0] == -1
    assert (linked[1:8] < 0.8).all()
    assert most_similar_others(as_set(images[[2, 8]]))[1].tolist() == [1, 0]


def test_images_are_linked_with_earlier_ones_as_by_single_linkage():
    rng = np.random.default_rng(0)
    n, pairs = 12, np.array(list(combinations(range(12), 2)))
    pairs = pairs[rng.permutation(len(pairs))[:30]]
    scores = rng.uniform(size=30).round(2)
    linked = copies._linked(pairs[:, 0], pairs[:, 1], scores, n)
    assert linked[0] == -1
    for threshold in np.linspace(-0.5, 1, 31):
        kept = scores > threshold
        graph = coo_matrix((np.ones(kept.sum()), pairs[kept].T), shape=(n, n))
        groups, own = connected_components(graph, directed=False)
        assert (linked <= threshold).sum() == groups
        first = [place for place in range(n) if own[place] not in own[:place]]
        assert np.flatnonzero(linked <= threshold).tolist() == first


def test_thumbnails_of_the_same_training_images_are_made_once():
    points, made = as_set(blobs(6)), copies._thumbnails.cache_info().misses
    for query in range(3):
        own = as_set(blobs(6)[query : query + 1])
        # As where the images of a class are held against each other first.
        copies._thumbnails(own)
        most_similar(own, points)
    assert copies._thumbnails.cache_info().misses == made + 4
    # Another set of the same images is another set.
    most_similar(as_set(blobs(1)), as_set(blobs(6)))
    assert copies._thumbnails.cache_info().misses == made + 5


def test_sizes_and_colours_may_differ():
    large = blobs(3, side=150, seed=3)
    scores, places = most_similar(as_set(resize(large, 64)), as_set(large))
    assert places.tolist() == [0, 1, 2]
    assert (scores > 0.97).all()
    assert similarity(np.repeat(large[0], 3, axis=-1), large[0]) == pytest.approx(1, abs=1e-6)


@pytest.mark.skipif(not XRAYS.is_dir(), reason="the real X-rays are not here")
def test_real_xrays_of_other_patients_are_less_like_than_changed_copies():
    rows = pd.read_csv(XRAYS / "manifest.csv").query("label == 'healthy'").drop_duplicates("patient").head(70)
    films = [cv2.imread(str(XRAYS / image), cv2.IMREAD_GRAYSCALE)[None, ..., None] for image in rows["image"]]
    films = np.concatenate([resize(film, 96) for film in films])
    train, held_out = as_set(films[:40]), as_set(films[40:])
    copies, plants = plant_copies(train.pixels, seed=0, sources=6)
    found, places = most_similar(as_set(copies), train)
    mild = plants["strength"] == [STRENGTHS[name][0] for name in plants["perturbation"]]
    other = most_similar(held_out, train)[0]
    assert found[mild].min() > other.max()
    assert (places == plants["source"])[mild].all()


def test_distances_are_those_of_the_naive_formulas():
    rng = np.random.default_rng(0)
    queries, train, held_out = rng.normal(size=(15, 4)), rng.normal(size=(12, 4)), rng.normal(size=(6, 4))
    patients = ["a", "a", "b", "c", "d", "e"]
    frame = compare_features(queries, train, held_out, patients, seed=0)
    between = np.linalg.norm(queries[:, None] - train, axis=2)
    within = np.linalg.norm(train[:, None] - train, axis=2) + np.diag(np.full(12, np.inf))
    assert frame["nearest"].tolist() == between.argmin(1).tolist()
    np.testing.assert_allclose(frame["distance"], between.min(1), rtol=1e-9)
    np.testing.assert_allclose(frame["own_distance"], within.min(1)[between.argmin(1)], rtol=1e-9)

    def drawn(points, size):
        subsets = [rng.choice(len(points), size, replace=False) for _ in range(4000)]
        gaps = np.linalg.norm(queries[:, None] - points, axis=2)
        return np.mean([gaps[:, subset].min(1) for subset in subsets], axis=0)

    # A patient has two of the six held-out images, so four are what any query is compared with.
    np.testing.assert_allclose(frame["to_train"], drawn(train, 4), rtol=0.02)
    np.testing.assert_allclose(frame["to_held_out"], drawn(held_out, 4), rtol=0.02)


def test_held_out_queries_are_compared_with_other_patients():
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(size=(12, 4)), rng.normal(size=(6, 4))
    held_out[1] = held_out[0]
    frame = compare_features(held_out, train, held_out, ["a", "a", "b", "c", "d", "e"], 0, held_out_queries=True)
    gaps = np.linalg.norm(held_out[:, None] - held_out, axis=2)
    assert frame["to_held_out"][0] == pytest.approx(gaps[0, 2:].min())
    np.testing.assert_allclose(frame["to_held_out"][1], frame["to_held_out"][0])
    nearest, second = np.sort(np.delete(gaps[4], 4))[:2]
    # Four of five others: the nearest is among them four times in five.
    assert frame["to_held_out"][4] == pytest.approx(0.8 * nearest + 0.2 * second)


def test_many_training_images_are_stood_for_by_a_draw():
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(size=(3000, 3)), rng.normal(size=(20, 3))
    frame = compare_features(rng.normal(size=(200, 3)), train, held_out, list(map(str, range(20))), seed=0)
    assert frame["to_train"].mean() == pytest.approx(frame["to_held_out"].mean(), rel=0.15)
    assert frame["to_train"].mean() > 2 * frame["distance"].mean()


def test_cells_follow_the_training_images_and_are_the_same_for_any_queries():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [50, 0]])
    train, held_out = (np.concatenate([rng.normal(size=(60, 2)) + centre for centre in centres]) for _ in range(2))
    patients = [str(place) for place in range(120)]
    cells = compare_features(held_out, train, held_out, patients, seed=3)["cell"]
    assert cells[:60].nunique() == cells[60:].nunique() == 1
    assert cells[0] != cells[119]
    assert (
        compare_features(held_out[50:70], train, held_out, patients, seed=3)["cell"].tolist() == cells[50:70].tolist()
    )
    few = compare_features(held_out, train, held_out[:40], patients[:40], seed=3)
    assert (few["cell"] == 0).all()
