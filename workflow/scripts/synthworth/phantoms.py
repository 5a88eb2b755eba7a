"""The demo's images: chest radiographs drawn from seeded numbers. Phantoms, not patients.

`PATTERNS` says what the classes look like; `draw_phantoms` samples patients and writes their images and manifest.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from synthworth.errors import StudyError
from synthworth.files import replacing
from synthworth.findings import ABSENT, JOINT, PRESENT, phantom_labels
from synthworth.phantom_anatomy import SIDES, Anatomy, Exposure, Frame, Opacity, Pathology
from synthworth.phantom_drawing import draw_phantom
from synthworth.progress import progress
from synthworth.seeds import seed as seed_of

__all__ = [
    "PATTERNS",
    "Pattern",
    "draw_phantom",
    "draw_phantoms",
    "joint_pathology",
    "sample_anatomy",
    "sample_exposure",
    "sample_pathology",
]

Range = tuple[float, float]


@dataclass(frozen=True)
class Pattern:
    """How a class shows in the lungs: ranges from which a patient's opacities are drawn; see `Opacity` for units.

    `count` is the number of opacities per affected lung; `lungs` how many lungs are affected (0, 1 or 2).
    """

    lungs: int = 0
    count: tuple[int, int] = (0, 0)
    depth: Range = (0.0, 1.0)
    level: Range = (0.0, 1.0)
    radius: Range = (0.05, 0.10)
    density: Range = (0.3, 0.6)
    aspect: Range = (0.8, 1.3)
    softness: float = 0.25
    irregularity: float = 0.2
    grain: float = 0.2
    fissure: bool = False
    markings: Range = (0.8, 1.25)


# The textbook pictures of the classes of Schaudt et al. 2023. Ranges reach down to what is hard to see, so that a
# classifier of phantoms errs as one of patients does.
PATTERNS: dict[str, Pattern] = {
    "healthy": Pattern(),
    # Lobar pneumonia: one dense consolidation of one lung, often with a fissure for a border.
    "bacterial": Pattern(
        lungs=1,
        count=(1, 1),
        depth=(0.25, 0.75),
        level=(0.25, 0.88),
        radius=(0.08, 0.16),
        density=(0.45, 1.0),
        softness=0.22,
        irregularity=0.16,
        grain=0.15,
        fissure=True,
    ),
    # Interstitial pneumonia: a haze around both hila with coarse markings.
    "viral": Pattern(
        lungs=2,
        count=(1, 3),
        depth=(0.05, 0.45),
        level=(0.35, 0.70),
        radius=(0.08, 0.15),
        density=(0.18, 0.60),
        aspect=(1.1, 1.7),
        softness=0.6,
        irregularity=0.25,
        grain=0.4,
        markings=(0.9, 1.3),
    ),
    # Ground glass in patches along the chest wall of both lower zones.
    "covid19": Pattern(
        lungs=2,
        count=(1, 3),
        depth=(0.60, 0.98),
        level=(0.50, 0.92),
        radius=(0.05, 0.10),
        density=(0.28, 0.70),
        softness=0.4,
        irregularity=0.3,
        grain=0.3,
        markings=(0.9, 1.4),
    ),
    # Round nodules, mainly of the upper zones.
    "fungal": Pattern(
        lungs=2,
        count=(1, 5),
        depth=(0.15, 0.85),
        level=(0.15, 0.55),
        radius=(0.020, 0.045),
        density=(0.25, 0.75),
        aspect=(0.9, 1.1),
        softness=0.18,
        irregularity=0.06,
        grain=0.05,
    ),
}
FEMALE_FRACTION = 0.38  # Schaudt et al. 2023, Table 1
AP_FRACTION = 0.28  # Schaudt et al. 2023, Table 1


def draw_phantoms(
    manifest: Path,
    images: Path,
    patients: Mapping[str, int],
    seed: int,
    size: int = 256,
    images_per_patient: float = 1.3,
    findings: Sequence[str] = (),
    uncertain_share: float = 0.0,
    unmentioned_share: float = 0.0,
) -> None:
    """Draws a data set of phantoms: 8-bit grey PNGs of `size` pixels in the folder `images`, and their `manifest`.

    `patients` gives the number of patients per class: a key of `PATTERNS`, or several joined by `+`, whose patients
    have all these diseases at once. A patient has one image and, on average, `images_per_patient - 1` more, which share
    anatomy and disease and differ in positioning, exposure and noise. Everything about a patient is a function of
    (`seed`, class, number): more patients never change those before them.

    With `findings`, some of the keys, each has a column: 1 or 0, in the share `uncertain_share` of all fields -1, and
    empty in the share `unmentioned_share` of those that would be 0. `label` is then that of an image's findings
    (`findings.phantom_labels`), whatever the fields hide.

    The manifest has a row per image: `image` (relative to the manifest's folder), `patient`, `label`, `view` (AP, PA),
    `age` (years), `sex` (F, M) and what the image was drawn from, in image sides unless said otherwise:
    `opacity_count`; `opacity_side` (the patient's side: none, right, left, both); of the opacity that replaces most
    air: `opacity_x`, `opacity_y` (fractions of the image from its upper left corner), `opacity_radius` and
    `opacity_density` (fraction of air replaced), empty where there is none; `heart_width` (cardiothoracic ratio),
    `thorax_width` (half), `lung_height`, `breast` (0 to 1), `markings` (factor), `inspiration` (fraction),
    `magnification`, `rotation` (degrees), `contrast` and `brightness` (of the exposure).

    Raises StudyError for classes that are not known, counts below 0 and fewer than one image per patient.
    """
    problems = [
        f"class '{name}': known are {', '.join(PATTERNS)}, and these joined by {JOINT}"
        for name in patients
        if not set(name.split(JOINT)) <= set(PATTERNS)
    ]
    problems += [f"class '{name}': {count} patients; give 0 or more" for name, count in patients.items() if count < 0]
    if images_per_patient < 1:
        problems.append(f"images_per_patient is {images_per_patient}; give 1 or more")
    if size < 8:
        problems.append(f"size is {size}; give 8 pixels or more")
    if problems:
        raise StudyError("These phantoms cannot be drawn.", problems)

    images.mkdir(parents=True, exist_ok=True)
    labels = phantom_labels(patients, findings)
    people = [(name, number) for name, count in patients.items() for number in range(count)]
    rows = []
    for name, number in progress(people, "drawing phantoms"):
        identity = (seed, "phantoms", name, number)
        generator = np.random.default_rng(seed_of(*identity))
        age, sex = int(np.clip(generator.normal(57, 16), 18, 92)), "F" if generator.random() < FEMALE_FRACTION else "M"
        anatomy = sample_anatomy(generator, age, sex)
        pathology = joint_pathology([sample_pathology(generator, PATTERNS[part]) for part in name.split(JOINT)])
        for image in range(1 + generator.poisson(images_per_patient - 1)):
            exposure = sample_exposure(np.random.default_rng(seed_of(*identity, "image", image)))
            file = images / f"{name}-{number:04d}-{image + 1}.png"
            _write_png(file, draw_phantom(anatomy, pathology, exposure, size))
            rows.append(
                {
                    "image": Path(os.path.relpath(file, manifest.parent)).as_posix(),
                    "patient": f"{name}-{number:04d}",
                    "label": labels[name],
                    **_fields(name, findings, uncertain_share, unmentioned_share, seed_of(*identity, "said", image)),
                    "view": exposure.view,
                    "age": age,
                    "sex": sex,
                    **_factors(anatomy, pathology, exposure),
                }
            )
    with replacing(manifest) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)


def sample_anatomy(generator: np.random.Generator, age: int, sex: str) -> Anatomy:
    """A thorax at random: women's are narrower with breast shadows, old people's aorta is wide and their bone thin."""
    female, years = sex == "F", (age - 55) / 20
    uniform, normal = generator.uniform, generator.normal
    return Anatomy(
        thorax_width=float(np.clip(normal(0.360 if female else 0.375, 0.018), 0.31, 0.42)),
        lung_apex=uniform(0.09, 0.15),
        lung_height=uniform(0.52, 0.66),
        dome_step=uniform(0.005, 0.04),
        dome_depth=uniform(0.07, 0.13),
        heart_width=float(np.clip(normal(0.46 + 0.015 * years, 0.04), 0.36, 0.60)),
        heart_height=uniform(0.26, 0.34),
        mediastinum_width=uniform(0.055, 0.080),
        aorta_radius=float(np.clip(normal(0.036 + 0.005 * years, 0.005), 0.025, 0.055)),
        trachea_shift=normal(0, 0.008),
        spine_bend=normal(0, 0.006),
        rib_drop=uniform(0.17, 0.28),
        rib_width=uniform(0.018, 0.025),
        bone_density=float(np.clip(normal(1.0 - 0.1 * years, 0.15), 0.55, 1.4)),
        clavicle_slope=uniform(0.02, 0.10),
        soft_tissue=uniform(0.03, 0.11),
        breast=uniform(0.3, 1.0) if female else 0.0,
        vessel_density=uniform(0.75, 1.25),
        stomach_bubble=uniform(0.0, 1.0),
        texture=int(generator.integers(2**32)),
    )


def sample_pathology(generator: np.random.Generator, pattern: Pattern) -> Pathology:
    """A patient's disease at random, within the ranges of its class."""
    uniform = generator.uniform
    sides = list(generator.permutation(SIDES))[: pattern.lungs]
    opacities = tuple(
        Opacity(
            side=int(side),
            depth=uniform(*pattern.depth),
            level=uniform(*pattern.level),
            radius=uniform(*pattern.radius),
            density=uniform(*pattern.density),
            aspect=uniform(*pattern.aspect),
            softness=pattern.softness,
            irregularity=pattern.irregularity,
            grain=pattern.grain,
            fissure=int(generator.choice([-1, 0, 1])) if pattern.fissure else 0,
        )
        for side in sides
        for _ in range(generator.integers(pattern.count[0], pattern.count[1] + 1))
    )
    return Pathology(opacities, markings=uniform(*pattern.markings))


def joint_pathology(pathologies: Sequence[Pathology]) -> Pathology:
    """Several diseases of one patient: the opacities of all, and the coarsest markings."""
    opacities = tuple(opacity for pathology in pathologies for opacity in pathology.opacities)
    return Pathology(opacities, markings=max(pathology.markings for pathology in pathologies))


def sample_exposure(generator: np.random.Generator) -> Exposure:
    """Positioning, view, exposure and noise of one image at random; independent of the disease."""
    uniform, normal = generator.uniform, generator.normal
    return Exposure(
        view="AP" if generator.random() < AP_FRACTION else "PA",
        shift_x=normal(0, 0.018),
        shift_y=normal(0, 0.022),
        rotation=normal(0, 1.8),
        magnification=uniform(0.95, 1.14),
        inspiration=uniform(0.92, 1.0),
        contrast=uniform(0.85, 1.20),
        brightness=normal(0, 0.035),
        vignette=uniform(0.0, 0.12),
        noise=uniform(0.006, 0.022),
        marker=(uniform(0.02, 0.12), uniform(0.07, 0.20)) if generator.random() < 0.7 else None,
        texture=int(generator.integers(2**32)),
    )


def _fields(name: str, findings: Sequence[str], uncertain: float, unmentioned: float, said_seed: int) -> dict[str, str]:
    """What a manifest says of the findings of an image of the class `name`."""
    fields = {}
    lots = np.random.default_rng(said_seed).random((len(findings), 2))
    for finding, (lot, other_lot) in zip(findings, lots, strict=True):
        shown = finding in name.split(JOINT)
        fields[finding] = PRESENT if shown else "" if other_lot < unmentioned else ABSENT
        if lot < uncertain:
            fields[finding] = "-1"
    return fields


def _factors(anatomy: Anatomy, pathology: Pathology, exposure: Exposure) -> dict[str, object]:
    sides = {opacity.side for opacity in pathology.opacities}
    # An image's left is the patient's right.
    side = {(): "none", (-1,): "right", (1,): "left", (-1, 1): "both"}[tuple(sorted(sides))]
    main = max(pathology.opacities, key=lambda opacity: opacity.density * opacity.radius**2, default=None)
    x, y = Frame(anatomy, exposure).opacity_position(main) if main else (None, None)
    numbers = {
        "opacity_x": x,
        "opacity_y": y,
        "opacity_radius": main.radius if main else None,
        "opacity_density": main.density if main else None,
        "heart_width": anatomy.heart_width,
        "thorax_width": anatomy.thorax_width,
        "lung_height": anatomy.lung_height,
        "breast": anatomy.breast,
        "markings": pathology.markings,
        "inspiration": exposure.inspiration,
        "magnification": exposure.magnification,
        "rotation": exposure.rotation,
        "contrast": exposure.contrast,
        "brightness": exposure.brightness,
    }
    rounded = {name: None if value is None else round(float(value), 4) for name, value in numbers.items()}
    return {"opacity_count": len(pathology.opacities), "opacity_side": side, **rounded}


def _write_png(file: Path, image: np.ndarray) -> None:
    with replacing(file) as partial:
        partial.write_bytes(cv2.imencode(".png", image)[1].tobytes())
