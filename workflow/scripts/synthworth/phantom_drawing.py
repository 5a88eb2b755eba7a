"""Draws a chest radiograph from numbers. What it gives are drawn phantoms, not patients, and no basis for a diagnosis.

A picture is an account of what the beam met: chest wall, minus the air of the lungs, plus bones, heart and vessels.
An opacity is air replaced by water, so that it is clipped by the lung, hides vessels and leaves the ribs visible, as
consolidation does.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from synthworth.phantom_anatomy import (
    SIDES,
    Anatomy,
    Body,
    Exposure,
    Pathology,
    blurred,
    elliptic_radius,
    soft_step,
)

# Pictures are drawn at least this large and reduced by area, so that one phantom is the same picture at every size.
CANVAS = 256
RIBS = 10


def draw_phantom(anatomy: Anatomy, pathology: Pathology, exposure: Exposure, size: int = 256) -> np.ndarray:
    """A drawn chest radiograph: uint8 [size, size], bones bright. A pure function of its arguments, bit for bit."""
    body = Body(anatomy, exposure, max(size, CANVAS))
    film = _beam(body, pathology)
    film = _develop(film, body)
    if exposure.marker:
        film = np.maximum(film, _marker(body.pixels, exposure.marker))
    if body.pixels != size:
        film = cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA)
    return np.round(np.clip(film, 0, 1) * 255).astype(np.uint8)


def _beam(body: Body, pathology: Pathology) -> np.ndarray:
    """What the beam met at each pixel, about 0 (air) to 1 (abdomen, spine): float32."""
    anatomy = body.anatomy
    wall, thickness = _wall(body)
    heart, mediastinum, shadow = _heart(body)
    chest = _chest(body)
    air = _lungs(body) * chest * (1 - 0.8 * heart) * (1 - 0.92 * mediastinum)
    generator = np.random.default_rng(anatomy.texture)
    vessels = _vessels(body, generator) * anatomy.vessel_density * pathology.markings
    haze = _opacities(body, pathology, generator)
    bones = _bones(body) * anatomy.bone_density * (0.45 + 0.55 * chest) * (1 - 0.45 * heart)
    film = wall * (0.44 + 0.13 * thickness + bones + (1 - chest) * _abdomen(body, generator) + _breasts(body))
    film += shadow * (0.25 + 0.75 * chest) + _spine(body)
    # Consolidated lung is a little denser than the chest wall, and as dense as its vessels, which vanish in it.
    film += air * (0.07 * haze - (0.36 - 0.08 * (1 - thickness)) * (1 - haze))
    film += air * (1 - 0.7 * haze) * (0.13 * vessels + 0.012 * body.noise(generator, 48))
    film -= _airway(body)
    return film + 0.012 * wall * body.noise(generator, 7)


def _wall(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """The outline of neck, shoulders and trunk in [0, 1], and the relative thickness of what lies within."""
    distance = np.abs(body.x)
    axilla = np.clip((body.y - 0.16) / 0.30, 0, 1)
    flank = body.anatomy.thorax_width + body.anatomy.soft_tissue
    trunk = 0.58 + (flank - 0.58) * axilla * axilla * (3 - 2 * axilla) + 0.03 * np.clip(body.y - 0.6, 0, None)
    shoulder = np.clip((distance - 0.11) / 0.34, 0, 1)
    top = -0.05 + 0.16 * shoulder**1.3 - 0.3 * soft_step(0.10 - distance, 0.03)
    wall = soft_step(trunk - distance, 0.008) * soft_step(body.y - top, 0.012)
    arm = soft_step(distance - 0.50 - 0.06 * np.clip(body.y - 0.3, 0, None), 0.012) * soft_step(body.y - top, 0.012)
    thickness = np.sqrt(np.clip(1 - (distance / trunk) ** 2, 0, 1)) * np.clip(0.45 + 2.5 * (body.y - top), 0, 1)
    return np.maximum(wall, 0.8 * arm), thickness


def _chest(body: Body) -> np.ndarray:
    """1 above the diaphragm, 0 below it."""
    right, left = (soft_step(body.diaphragm(body.x, side) - body.y, 0.006) for side in SIDES)
    return right + (left - right) * soft_step(body.x, 0.02)


def _lungs(body: Body) -> np.ndarray:
    """The air of both lungs in [0, 1]: thinner towards the lateral wall; open below."""
    distance = np.abs(body.x)
    outer = body.outer(body.y)
    across = soft_step(outer - distance, 0.006) * soft_step(distance - body.inner(body.y), 0.006)
    depth = np.sqrt(np.clip(1 - (distance / (outer + 0.02)) ** 4, 0, 1))
    return across * soft_step(body.y - body.anatomy.lung_apex, 0.006) * (0.55 + 0.45 * depth)


def _heart(body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of heart and mediastinum in [0, 1], and the density that they add."""
    anatomy = body.anatomy
    width = 2 * anatomy.heart_width * anatomy.thorax_width * (1.12 if body.exposure.view == "AP" else 1.0)
    base = body.dome(1) + 0.05
    s = (body.y - base + anatomy.heart_height + 0.05) / (anatomy.heart_height + 0.05)
    # Pulmonary trunk, ventricle and apex on the image's right; the atrium's bulge on its left. Two thirds of a heart
    # lie left of the patient's midline.
    left = _profile(s, (0.0, 0.32, 0.50, 0.78, 0.97, 1.0, 0.9), anatomy.mediastinum_width, 0.66 * width)
    right = _profile(s, (0.0, 0.0, 0.45, 0.92, 1.0, 0.8, 0.6), 0.8 * anatomy.mediastinum_width, 0.36 * width)
    heart = soft_step(left - body.x, 0.007) * soft_step(body.x + right, 0.008) * soft_step(s + 0.05, 0.08)
    level = anatomy.lung_apex + 0.25 * body.height
    aorta = soft_step(
        1 - elliptic_radius(body, 0.035 + anatomy.aorta_radius * 0.4, level, anatomy.aorta_radius, 0.04), 0.15
    )
    pedicle = soft_step(
        anatomy.mediastinum_width * (1 - 0.25 * soft_step(level - body.y, 0.06)) - np.abs(body.x), 0.010
    )
    mediastinum = np.maximum(pedicle, aorta)
    return heart, mediastinum, 0.15 * heart + 0.10 * mediastinum * (1 - 0.6 * heart)


def _spine(body: Body) -> np.ndarray:
    """The vertebral column: bodies, discs and pedicles, faint behind heart and abdomen."""
    middle = body.x - body.anatomy.spine_bend * np.sin(2 * math.pi * body.y)
    discs = 0.5 + 0.5 * np.cos(2 * math.pi * body.y / 0.068)
    pedicles = np.exp(-(((np.abs(middle) - 0.026) / 0.008) ** 2) - ((discs - 0.75) / 0.2) ** 2)
    return (
        soft_step(0.042 - np.abs(middle), 0.008) * (0.025 + 0.03 * discs + 0.03 * pedicles) * body.anatomy.bone_density
    )


def _profile(s: np.ndarray, bulges: tuple[float, ...], least: float, most: float) -> np.ndarray:
    """A smooth border: `bulges`, evenly spaced over s in [0, 1], as fractions of the way from `least` to `most`."""
    curve = PchipInterpolator(np.linspace(0, 1, len(bulges)), bulges)(np.linspace(0, 1, 64))
    return least + (most - least) * np.interp(s, np.linspace(0, 1, 64), curve).astype(np.float32)


def _abdomen(body: Body, generator: np.random.Generator) -> np.ndarray:
    """What lies under the diaphragm: liver, and a bubble of air in the stomach."""
    density = 0.17 + 0.035 * soft_step(-body.x - 0.02, 0.08) + 0.02 * body.noise(generator, 6)
    bubble = elliptic_radius(body, 0.55 * body.anatomy.thorax_width, body.dome(1) + 0.07, 0.10, 0.045, 0.15)
    air = 0.16 * body.anatomy.stomach_bubble * soft_step(1 - bubble - 0.1 * body.noise(generator, 8), 0.12)
    return soft_step(1.05 * body.outer(body.y) - np.abs(body.x), 0.04) * (density - air)


def _breasts(body: Body) -> np.ndarray:
    """Breast shadows: denser towards their lower fold."""
    width = body.anatomy.thorax_width
    shadow = np.zeros_like(body.x)
    for side in SIDES:
        radius = elliptic_radius(body, side * 0.60 * width, body.dome(-1) - 0.10, 0.42 * width, 0.15, -side * 0.2)
        shadow += soft_step(1 - radius, 0.06) * np.clip(0.35 + (body.y - body.dome(-1) + 0.22) / 0.3, 0, 1)
    return 0.14 * body.anatomy.breast * shadow


def _airway(body: Body) -> np.ndarray:
    """The dark column of the trachea and the two main bronchi."""
    carina = body.anatomy.lung_apex + 0.30 * body.height
    shift = body.anatomy.trachea_shift
    trachea = [(np.array([[0.0, -0.1], [0.4 * shift, 0.5 * carina], [shift, carina]]), 0.030)]
    bronchi = [(np.array([[shift, carina], [shift + side * 0.07, carina + 0.055]]), 0.018) for side in SIDES]
    return 0.10 * body.lines(trachea, 0.007) + 0.06 * body.lines(bronchi, 0.007)


def _bones(body: Body) -> np.ndarray:
    """Ribs, clavicles and scapulae: cortex brighter than the marrow between."""
    front, back = [], []
    for side in SIDES:
        for rib in range(RIBS):
            curve = _rib(body, side, rib)
            front.append((curve[19:], body.anatomy.rib_width * 1.15))
            back.append((curve[:18], body.anatomy.rib_width))
    clavicles = [(_clavicle(body, side), 0.026) for side in SIDES]
    blades = [curve for side in SIDES for curve in _scapula(body, side)]
    return (
        0.105 * _cortical(body, back)
        + 0.065 * _cortical(body, front)
        + 0.12 * _cortical(body, clavicles)
        + 0.06 * body.lines(blades, 0.004)
    )


def _cortical(body: Body, curves: list[tuple[np.ndarray, float]]) -> np.ndarray:
    marrow = [(points, 0.5 * width) for points, width in curves]
    return body.lines(curves, 0.0025) - 0.35 * body.lines(marrow, 0.0025)


def _rib(body: Body, side: int, rib: int) -> np.ndarray:
    """A rib as an inclined hoop seen from the front: from the spine (0) by the flank (pi/2) to the cartilage."""
    anatomy = body.anatomy
    head = anatomy.lung_apex - 0.015 + rib * body.height / 8.3
    drop = anatomy.rib_drop * (0.70 + 0.30 * min(1.0, rib / 4))
    reach = float(body.outer(np.float64(head + 0.5 * drop))) + 0.008
    angle = np.linspace(0.1, 2.35, 28)
    x = 0.035 + (reach - 0.035) * np.sin(angle)
    y = head + drop * (1 - np.cos(angle)) / 2 - 0.012 * np.sin(2 * np.minimum(angle, math.pi / 2))
    return np.stack([side * x, y], axis=1)


def _clavicle(body: Body, side: int) -> np.ndarray:
    t = np.linspace(0, 1, 12)
    start = body.anatomy.lung_apex + (0.03 if body.exposure.view == "AP" else 0.055)
    y = start - body.anatomy.clavicle_slope * t - 0.012 * np.sin(2 * math.pi * t)
    return np.stack([side * (0.035 + 0.36 * t), y], axis=1)


def _scapula(body: Body, side: int) -> Iterator[tuple[np.ndarray, float]]:
    """The medial and lateral borders of a shoulder blade; over the lung in an AP film, beside it in a PA film."""
    medial = body.anatomy.thorax_width + (-0.05 if body.exposure.view == "AP" else 0.02)
    t = np.linspace(0, 1, 10)
    yield np.stack([side * (medial - 0.01 + 0.02 * t + 0.02 * np.sin(3 * t)), 0.12 + 0.30 * t], axis=1), 0.010
    yield np.stack([side * (medial + 0.12 - 0.11 * t), 0.17 + 0.25 * t], axis=1), 0.014


def _vessels(body: Body, generator: np.random.Generator) -> np.ndarray:
    """Hila, and vessels that branch from them towards the periphery, float32 about [0, 1]."""
    anatomy = body.anatomy
    vessels, hila = [], []
    for side in SIDES:
        # The left hilum stands higher.
        hilum = np.array([side * (anatomy.mediastinum_width + 0.015), anatomy.lung_apex + 0.43 * body.height])
        hilum[1] -= 0.01 * side
        hila.append((hilum + [[0.0, -0.035], [0.01 * side, 0.0], [0.012 * side, 0.055]], 0.045))
        directions = np.linspace(-1.25, 1.35, 8) + generator.normal(0, 0.12, 8)
        vessels += _branches(hilum, side, directions, generator)
    return 0.65 * body.lines(vessels, 0.0024) + 0.6 * body.lines(hila, 0.016)


def _branches(
    start: np.ndarray, side: int, directions: np.ndarray, generator: np.random.Generator
) -> list[tuple[np.ndarray, float]]:
    """Curves with widths: a vessel in each direction (angle below the horizontal, outwards), forking four times."""
    curves: list[tuple[np.ndarray, float]] = []
    along = np.linspace(0, 1, 5)
    starts = np.repeat(start[None], len(directions), axis=0)
    widths, lengths = np.full(len(directions), 0.013), np.full(len(directions), 0.10)
    for _ in range(5):
        bends = generator.normal(0, 0.25, len(directions))
        angles = directions[:, None] + bends[:, None] * along
        steps = np.stack([side * np.cos(angles), np.sin(angles)], axis=-1)
        points = starts[:, None] + lengths[:, None, None] * along[None, :, None] * steps
        curves += zip(points, widths, strict=True)
        turns = np.tile([-0.38, 0.34], len(directions)) + generator.normal(0, 0.15, 2 * len(directions))
        directions = np.repeat(directions + bends, 2) + turns
        starts = np.repeat(points[:, -1], 2, axis=0)
        widths = np.repeat(widths, 2) * generator.uniform(0.55, 0.75, len(directions))
        lengths = np.repeat(lengths, 2) * generator.uniform(0.70, 0.95, len(directions))
    return curves


def _opacities(body: Body, pathology: Pathology, generator: np.random.Generator) -> np.ndarray:
    """The fraction of air that is replaced by water at each pixel, float32 [0, 1)."""
    clear = np.ones_like(body.x)
    edges, net = body.noise(generator, 14), body.noise(generator, 56)
    holes = np.clip(0.5 + 0.7 * net, 0, 1.5)
    for opacity in pathology.opacities:
        x, y = body.lung_point(opacity.side, opacity.depth, opacity.level)
        radius = elliptic_radius(body, x, y, opacity.radius, opacity.radius * opacity.aspect)
        shape = soft_step(1 - radius + opacity.irregularity * edges, opacity.softness)
        if opacity.fissure:
            border = y + opacity.fissure * 0.45 * opacity.radius * opacity.aspect - 0.12 * np.abs(body.x - x)
            shape = shape * soft_step(opacity.fissure * (border - body.y), 0.006)
        # Fluid does not cross the mediastinum.
        shape = shape * (body.x * opacity.side > 0)
        clear *= 1 - opacity.density * shape * np.clip(1 - opacity.grain * holes, 0, 1)
    return 1 - clear


def _develop(beam: np.ndarray, body: Body) -> np.ndarray:
    """From what the beam met to the film: scatter, noise, exposure, vignette, the film's curve. About [0, 1]."""
    exposure = body.exposure
    generator = np.random.default_rng(exposure.texture)
    film = 0.82 * beam + 0.18 * blurred(beam, 0.05)
    grain = blurred(generator.normal(size=film.shape).astype(np.float32), 0.5 / CANVAS)
    # Fewer quanta pass where the body is dense.
    film = film + exposure.noise * np.exp(0.7 * film) * grain
    corner = (body.x**2 + (body.y - 0.5) ** 2) / 0.5
    film = (film - 0.45) * exposure.contrast + 0.45 + exposure.brightness - exposure.vignette * corner
    return 0.03 + 0.93 * soft_step(film - 0.47, 0.40)


def _marker(pixels: int, position: tuple[float, float]) -> np.ndarray:
    """The letter R, which tells the patient's right, its lower left corner at `position`."""
    mask = np.zeros((pixels, pixels), np.uint8)
    scale = pixels / CANVAS
    origin = (round(position[0] * pixels), round(position[1] * pixels))
    cv2.putText(mask, "R", origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, 235, max(1, round(1.5 * scale)), cv2.LINE_AA)
    return mask.astype(np.float32) / 255
