"""Seeds as hashes of names: nothing in a study depends on the clock, on job order or on batch size."""

import hashlib
import json


def seed(study_seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the thing that `names` identify within a study.

    The same names always give the same seed; any other names, an independent one.
    """
    identity = json.dumps([study_seed, *names]).encode()
    return int.from_bytes(hashlib.sha256(identity).digest()[:8], "big") >> 1
