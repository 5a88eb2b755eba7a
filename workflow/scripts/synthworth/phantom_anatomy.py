"""What a drawn chest is: the numbers of its anatomy, disease and exposure, and the geometry that they give.

Body coordinates: x from the midline, positive on the image's right (the patient's left), y downwards from the image's
upper edge, both in image sides.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

# An image's left is the patient's right.
SIDES = (-1, 1)


@dataclass(frozen=True)
class Anatomy:
    """One patient's thorax at full inspiration. Lengths are in image sides, densities relative to 1."""

    thorax_width: float = 0.37  # half the width inside the rib cage
    lung_apex: float = 0.12
    lung_height: float = 0.60  # from the apex to the right dome of the diaphragm
    dome_step: float = 0.02  # by how much the left dome lies lower
    dome_depth: float = 0.10  # from a dome down to the costophrenic angle
    heart_width: float = 0.46  # cardiothoracic ratio
    heart_height: float = 0.30
    mediastinum_width: float = 0.065  # half
    aorta_radius: float = 0.035
    trachea_shift: float = 0.0
    spine_bend: float = 0.0
    rib_drop: float = 0.16  # from a rib's head to its anterior end
    rib_width: float = 0.021
    bone_density: float = 1.0
    clavicle_slope: float = 0.06
    soft_tissue: float = 0.05  # thickness of the chest wall beside the rib cage
    breast: float = 0.0  # 0 none to 1 dense
    vessel_density: float = 1.0
    stomach_bubble: float = 0.5
    texture: int = 0  # seeds what has no number of its own: the branching of vessels, irregular edges


@dataclass(frozen=True)
class Opacity:
    """A region of a lung in which air is replaced by water.

    `depth` runs from the mediastinum (0) to the chest wall (1), `level` from the apex (0) to the dome (1). `radius` is
    in image sides, `aspect` height over width, `density` the fraction of air that is replaced. `softness` is the width
    of the edge in radii, `irregularity` how far the edge strays, `grain` how far the inside is mottled.
    An opacity with `fissure` ends sharply at its lobe's border, here a line below (+1) or above (-1) its centre.
    """

    side: int
    depth: float
    level: float
    radius: float
    density: float
    aspect: float = 1.0
    softness: float = 0.25
    irregularity: float = 0.2
    grain: float = 0.2
    fissure: int = 0


@dataclass(frozen=True)
class Pathology:
    """What is wrong with the lungs: opacities, and `markings`, by which factor vessels and interstitium stand out."""

    opacities: tuple[Opacity, ...] = ()
    markings: float = 1.0


@dataclass(frozen=True)
class Exposure:
    """How one image was taken: what differs between two images of one patient. AP magnifies heart and scapulae."""

    view: str = "PA"
    shift_x: float = 0.0
    shift_y: float = 0.0
    rotation: float = 0.0  # degrees
    magnification: float = 1.0
    inspiration: float = 1.0  # 1 full
    contrast: float = 1.0
    brightness: float = 0.0
    vignette: float = 0.1
    noise: float = 0.02
    marker: tuple[float, float] | None = (0.05, 0.10)  # where the letter R stands, in fractions of the image
    texture: int = 0  # seeds the noise


@dataclass(frozen=True)
class Frame:
    """The borders of the lungs in body coordinates, and where body coordinates lie in the image."""

    anatomy: Anatomy
    exposure: Exposure

    @property
    def height(self) -> float:
        """From the apex of the lungs to the right dome, as far as the patient breathed in."""
        # An AP film is mostly taken lying or sitting: the diaphragm stands higher.
        return self.anatomy.lung_height * self.exposure.inspiration * (0.94 if self.exposure.view == "AP" else 1.0)

    def dome(self, side: int) -> float:
        """Height of the diaphragm's dome."""
        return self.anatomy.lung_apex + self.height + (self.anatomy.dome_step if side > 0 else 0.0)

    def outer(self, y: np.ndarray) -> np.ndarray:
        """Distance of the lung's lateral border from the midline: a dome above, nearly straight below."""
        t = np.clip((y - self.anatomy.lung_apex) / (self.height + self.anatomy.dome_depth), 1e-4, 1.0)
        apex = 0.42 * self.anatomy.thorax_width
        return apex + (self.anatomy.thorax_width - apex) * np.sqrt(1 - (1 - t) ** 2.6)

    def inner(self, y: np.ndarray) -> np.ndarray:
        """Distance of the lung's medial border from the midline."""
        t = np.clip((y - self.anatomy.lung_apex) / (0.3 * self.height), 0.0, 1.0)
        apex = 0.42 * self.anatomy.thorax_width
        return apex - (apex - 0.7 * self.anatomy.mediastinum_width) * np.sqrt(1 - (1 - t) ** 2)

    def diaphragm(self, x: np.ndarray, side: int) -> np.ndarray:
        """Height of the diaphragm: a dome that falls steeply into the costophrenic angle."""
        t = (side * x / self.anatomy.thorax_width - 0.48) / 0.52
        fall = np.where(t > 0, np.abs(t) ** 2.4, 0.45 * t**2)
        return self.dome(side) + self.anatomy.dome_depth * np.minimum(fall, 1.6)

    def lung_point(self, side: int, depth: float, level: float) -> tuple[float, float]:
        """The body coordinates of a depth and level of a lung; see `Opacity`."""
        y = self.anatomy.lung_apex + level * (self.dome(side) - self.anatomy.lung_apex)
        inner = max(float(self.inner(np.float64(y))), self.anatomy.mediastinum_width)
        return side * (inner + depth * (float(self.outer(np.float64(y))) - inner)), y

    def opacity_position(self, opacity: Opacity) -> tuple[float, float]:
        """Where an opacity's centre lies, as fractions (x, y) of the image from its upper left corner."""
        x, y = self.place(np.array([self.lung_point(opacity.side, opacity.depth, opacity.level)]))[0]
        return float(x), float(y)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Body coordinates [n, 2] as fractions of the image."""
        angle, scale = math.radians(self.exposure.rotation), self.exposure.magnification
        x, y = points[:, 0], points[:, 1] - 0.5
        return np.stack(
            [
                0.5 + self.exposure.shift_x + scale * (math.cos(angle) * x - math.sin(angle) * y),
                0.5 + self.exposure.shift_y + scale * (math.sin(angle) * x + math.cos(angle) * y),
            ],
            axis=1,
        )


@dataclass(frozen=True)
class Body(Frame):
    """A frame on a canvas: `x` and `y` are the body coordinates of each pixel, float32 [pixels, pixels]."""

    pixels: int
    x: np.ndarray = field(init=False, repr=False)
    y: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        angle, scale = math.radians(self.exposure.rotation), self.exposure.magnification
        centres = (np.arange(self.pixels, dtype=np.float32) + 0.5) / self.pixels - 0.5
        right = (centres - self.exposure.shift_x)[None] / scale
        down = (centres - self.exposure.shift_y)[:, None] / scale
        object.__setattr__(self, "x", math.cos(angle) * right + math.sin(angle) * down)
        object.__setattr__(self, "y", math.cos(angle) * down - math.sin(angle) * right + np.float32(0.5))

    def lines(self, curves: list[tuple[np.ndarray, float]], blur: float) -> np.ndarray:
        """Curves (points [n, 2], width in image sides) as a float32 mask in [0, 1], edges blurred by image sides."""
        mask = np.zeros((self.pixels, self.pixels), np.uint8)
        placed = np.round(self.place(np.concatenate([points for points, _ in curves])) * self.pixels * 16)
        ends = np.cumsum([len(points) for points, _ in curves])
        for fixed, (_, width) in zip(np.split(placed.astype(np.int32), ends[:-1]), curves, strict=True):
            # A line cannot be thinner than a pixel: a finer one is drawn fainter.
            thickness = width * self.exposure.magnification * self.pixels
            shade = int(255 * min(1.0, thickness))
            cv2.polylines(mask, [fixed], False, shade, max(1, round(thickness)), cv2.LINE_AA, shift=4)
        return blurred(mask.astype(np.float32) / 255, blur)

    def noise(self, generator: np.random.Generator, cells: int) -> np.ndarray:
        """Smooth noise of unit variance with about `cells` hills along a side, float32 [pixels, pixels]."""
        coarse = generator.normal(size=(cells, cells)).astype(np.float32)
        return cv2.resize(coarse, (self.pixels, self.pixels), interpolation=cv2.INTER_CUBIC)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """`image` after a Gaussian blur; `sigma` in image sides."""
    return cv2.GaussianBlur(image, (0, 0), sigma * image.shape[0])


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """A soft edge: 0 where `distance` is far below 0, 1 where it is far above; `width` is its slope's length."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def elliptic_radius(body: Body, x: float, y: float, width: float, height: float, tilt: float = 0.0) -> np.ndarray:
    """The elliptic radius of each pixel: 1 on the ellipse with these half axes."""
    right, down = body.x - x, body.y - y
    cosine, sine = math.cos(tilt), math.sin(tilt)
    return np.hypot((cosine * right + sine * down) / width, (cosine * down - sine * right) / height)
