"""Which way each value of a metric should go as images get worse, and where it is not meant to go anywhere, and why.

Every reason is one of definition, not of a measurement: what the metric says it measures.
"""

from typing import NamedTuple

UP, DOWN, NEITHER = 1, -1, 0

_REPEATS = "asks whether each image is plausible; repeats of real images are"
_SPREAD = "asks how far the images spread, not how real they are; outliers can widen it"
_OWN_SET = "compares the images with each other only, not with real ones"
_REWARDED = "the reference is what was copied: a gain here is a reward for copying"
_NO_REFERENCE = "knows no reference: copies are real images to it"


class Expectation(NamedTuple):
    """`direction` is UP, DOWN or NEITHER with growing severity; `reason` says why, where that is no plain loss."""

    direction: int
    reason: str = ""


EXPECTATIONS: dict[str, dict[str, Expectation]] = {
    name: {
        "blur": Expectation(UP),
        "noise": Expectation(UP),
        "mode_drop": Expectation(UP),
        "class_mix": Expectation(UP),
        "copies": Expectation(DOWN, _REWARDED),
    }
    for name in ("fid", "kid")
}
EXPECTATIONS |= {
    name: {
        "blur": Expectation(DOWN),
        "noise": Expectation(DOWN),
        "mode_drop": Expectation(NEITHER, _REPEATS),
        "class_mix": Expectation(DOWN),
        "copies": Expectation(UP, _REWARDED),
    }
    for name in ("precision", "density")
}
EXPECTATIONS |= {
    "recall": {
        "blur": Expectation(NEITHER, _SPREAD),
        "noise": Expectation(NEITHER, _SPREAD),
        "mode_drop": Expectation(DOWN),
        "class_mix": Expectation(NEITHER, _SPREAD),
        "copies": Expectation(UP, _REWARDED),
    },
    "coverage": {
        "blur": Expectation(DOWN),
        "noise": Expectation(DOWN),
        "mode_drop": Expectation(DOWN),
        "class_mix": Expectation(DOWN),
        "copies": Expectation(UP, _REWARDED),
    },
    "vendi": {
        "blur": Expectation(NEITHER, _OWN_SET),
        "noise": Expectation(NEITHER, _OWN_SET),
        "mode_drop": Expectation(DOWN),
        "class_mix": Expectation(NEITHER, _OWN_SET),
        "copies": Expectation(NEITHER, _NO_REFERENCE),
    },
}
EXPECTATIONS |= {
    name: {
        "blur": Expectation(NEITHER, _OWN_SET),
        "noise": Expectation(NEITHER, _OWN_SET),
        "mode_drop": Expectation(UP),
        "class_mix": Expectation(NEITHER, _OWN_SET),
        "copies": Expectation(NEITHER, _NO_REFERENCE),
    }
    for name in ("ms_ssim", "prompt_ms_ssim")
}
UNKNOWN = Expectation(NEITHER, "nothing is declared for this metric in metric_selftest/expectations.py")


def expectation(name: str, kind: str) -> Expectation:
    """What the value `name` of a metric should do under a kind of degradation."""
    return EXPECTATIONS.get(name, {}).get(kind, UNKNOWN)
