"""The conda environments hold the versions of the lock."""

import re
from pathlib import Path

import pytest
import yaml

HOUSE = Path(__file__).parents[1]
LOCK = (HOUSE / "requirements.lock").read_text()


def pins(environment):
    for entry in yaml.safe_load(environment.read_text())["dependencies"]:
        yield from entry["pip"] if isinstance(entry, dict) else [entry]


@pytest.mark.parametrize("environment", sorted(HOUSE.glob("workflow/envs/*.yaml")), ids=lambda path: path.stem)
def test_pins_are_those_of_the_lock(environment):
    found = [match for pin in pins(environment) if (match := re.fullmatch(r"([\w.-]+) ?==?([\w.]+)", pin))]
    assert len(found) > 10
    for name, version in (match.groups() for match in found):
        if name != "python":
            assert re.search(rf"^{re.escape(name)}=={re.escape(version)}(?= |$)", LOCK, re.MULTILINE), name
