"""The copy score of an image: how like it is to the training image it is most like, once the two are aligned.

Candidates are the 5 nearest training images by features and the 5 most alike as thumbnails of 16 pixels, which find
copies that an extractor takes for another image (mirrored ones, say). With each, both images are brought to 64 pixels,
what is flat and what is grain are taken off and contrast is made even within windows of about 4 pixels, and the score
is the largest normalised cross-correlation over shifts of up to 9 %, a mirror and enlargements of up to 25 %.

Contrast is made even because chest X-rays all have the same large shapes. Of 468 real ones at 256 pixels, 317 trained
on, none of the 151 others scores above 0.89, and 99.5 % of changed copies (`plants`) do; by correlation as it is, real
ones come to 0.92 and copies without a tenth of their width to less. Small images leave less to go by.
"""

import functools

import cv2
import numpy as np

from synthworth.fidelity.neighbours import nearest
from synthworth.memorization.sets import ImageSet
from synthworth.resizing import resize

CANDIDATES = 5
SIDE = 64
# Shifts of up to 6 of 64 pixels.
MARGIN = 6
THUMBNAIL = 16
# In sixteenths, so that 64 pixels and 16 are enlarged by whole pixels alike.
ZOOMS = (16, 17, 18, 19, 20)
SIGMA = 4.0  # pixels of 64
# Of 64 pixels, too; takes off what JPEG and noise leave, and more than a copy of a small image would otherwise lose.
GRAIN = 1.0
# Grey levels below which contrast is noise, and is not made larger.
CONTRAST_FLOOR = 4.0
# Queries whose thumbnails are compared at a time.
BLOCK = 1000


def most_similar(queries: ImageSet, points: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """The copy score of each query, float [n] in [-1, 1], and the place in `points`, int [n], of what it is a copy of.

    It is the image in `points` that is enlarged: what it is a copy of may have been cropped. An image without any
    structure scores 1 against another such and 0 against the rest.
    """
    return _best(*_compared(queries, points, same=False))


def most_similar_others(images: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `most_similar`, of each image against the others of its set, and at which copy score it is one with an earlier
    image of the set, float [n]: directly, or by a chain of images each of which is as like the next (single linkage).

    The first image is one with none, at -1; a single image scores 0, at place -1.
    """
    if len(images) == 1:
        return np.zeros(1), np.full(1, -1), np.full(1, -1.0)
    compared = _compared(images, images, same=True)
    return *_best(*compared), _linked(*compared, len(images))


def similar_others(images: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each of at least 2 images with all candidates of its set: places of both, int [pairs], and their copy scores."""
    return _compared(images, images, same=True)


def _best(queries: np.ndarray, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each query the largest score and whose it is; of equal ones, the first point's."""
    order = np.lexsort((points, -scores, queries))
    first = order[np.unique(queries[order], return_index=True)[1]]
    return scores[first], points[first]


def _linked(images: np.ndarray, others: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    """The pairs are joined, the most alike first; where two groups become one, the later of their first images is told
    the score: a maximum spanning forest (Kruskal), seen from each image back.
    """
    first, linked = list(range(n)), np.full(n, -1.0)

    def first_of(image: int) -> int:
        while first[image] != image:
            first[image] = image = first[first[image]]
        return image

    for pair in np.argsort(-scores, kind="stable"):
        earlier, later = sorted((first_of(images[pair]), first_of(others[pair])))
        if earlier != later:
            first[later], linked[later] = earlier, scores[pair]
    return linked


def _compared(queries: ImageSet, points: ImageSet, same: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    candidates = _candidates(queries, points, same)
    planes = [_evened(image, SIDE) for image in _grey(queries.pixels)]
    # By training image: its templates, the larger part, are made once and not kept.
    pairs = np.array([(point, query) for query, own in enumerate(candidates) for point in own])
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    scores = np.empty(len(pairs))
    last, templates = -1, []
    for place, (point, query) in enumerate(pairs):
        if point != last:
            last, templates = point, _templates(_grey(points.pixels[point : point + 1])[0])
        scores[place] = _similarity(planes[query], templates)
    return pairs[:, 1], pairs[:, 0], scores


def _candidates(queries: ImageSet, points: ImageSet, same: bool) -> list[np.ndarray]:
    """The places in `points` to look at for each query: at least one, itself not among them if `same`."""
    count = min(CANDIDATES, len(points) - same)
    by_features = nearest(queries.features, points.features, count, within=same)[1]
    ours = np.stack([_views(image) for image in _grey(queries.pixels)])
    theirs = _thumbnails(points)
    found = []
    for start in range(0, len(ours), BLOCK):
        block = ours[start : start + BLOCK]
        likeness = np.full((len(block), len(theirs)), -np.inf, np.float32)
        for view in range(block.shape[1]):
            np.maximum(likeness, block[:, view] @ theirs.T, out=likeness)
        likeness = likeness.reshape(len(block), len(points), -1).max(axis=2)
        found.append(np.argsort(-likeness, axis=1, kind="stable")[:, : CANDIDATES + same])
    both = np.concatenate([by_features, np.concatenate(found)], axis=1)
    return [np.setdiff1d(own, [query] if same else []) for query, own in enumerate(both)]


def _similarity(plane: np.ndarray, templates: list[np.ndarray]) -> float:
    flat = [not part.any() for part in (plane, templates[0])]
    if any(flat):
        return float(all(flat))
    return float(np.clip(max(cv2.matchTemplate(plane, part, cv2.TM_CCOEFF_NORMED).max() for part in templates), -1, 1))


def _templates(image: np.ndarray) -> list[np.ndarray]:
    """The middle of an image at each zoom, and its mirror image, as they are searched for."""
    side = SIDE - 2 * MARGIN
    parts = [_middle(_evened(image, SIDE * zoom // ZOOMS[0]), side) for zoom in ZOOMS]
    return [*parts, *(np.ascontiguousarray(part[:, ::-1]) for part in parts)]


def _evened(image: np.ndarray, side: int) -> np.ndarray:
    plane = resize(image[None, ..., None], side)[0, ..., 0].astype(np.float32)
    plane = cv2.GaussianBlur(plane, (0, 0), GRAIN, borderType=cv2.BORDER_REFLECT_101)
    detail = plane - cv2.GaussianBlur(plane, (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101)
    power = cv2.GaussianBlur(detail * detail, (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101)
    # What blurring leaves of a constant image is rounding.
    detail[np.abs(detail) < 1e-3] = 0
    return detail / np.sqrt(power + CONTRAST_FLOOR**2)


# A job holds the images of several classes, each against themselves and then against the same training images.
@functools.lru_cache(maxsize=2)
def _thumbnails(points: ImageSet) -> np.ndarray:
    """The thumbnails of a set, image by image, at each zoom: float32 [n * zooms, 144]."""
    return np.stack([_thumbnail(image, zoom) for image in _grey(points.pixels) for zoom in ZOOMS])


def _thumbnail(image: np.ndarray, zoom: int) -> np.ndarray:
    """The middle of a thumbnail as a vector, float32 [144]."""
    plane = resize(image[None, ..., None], THUMBNAIL * zoom // ZOOMS[0])[0, ..., 0].astype(np.float32)
    return _direction(_middle(plane, THUMBNAIL - 4))


def _views(image: np.ndarray) -> np.ndarray:
    """A thumbnail's middle, at shifts of up to a pixel (6 %), mirrored or not, as vectors: float32 [18, 144]."""
    plane = resize(image[None, ..., None], THUMBNAIL)[0, ..., 0].astype(np.float32)
    side, starts = THUMBNAIL - 4, (1, 2, 3)
    parts = [plane[top : top + side, left : left + side] for top in starts for left in starts]
    return np.stack([_direction(view) for part in parts for view in (part, part[:, ::-1])])


def _direction(plane: np.ndarray) -> np.ndarray:
    """Of mean 0 and length 1, or 0 where there is no structure."""
    vector = (plane - plane.mean()).ravel()
    return vector / max(np.linalg.norm(vector), 1e-6)


def _middle(plane: np.ndarray, side: int) -> np.ndarray:
    start = (len(plane) - side) // 2
    return np.ascontiguousarray(plane[start : start + side, start : start + side])


def _grey(images: np.ndarray) -> np.ndarray:
    """uint8 [n, height, width]."""
    return images[..., 0] if images.shape[-1] == 1 else images.mean(axis=-1).round().astype(np.uint8)
