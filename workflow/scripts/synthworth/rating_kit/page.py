"""The page of a kit: template, style and script of workflow/rating_kit/ in one file that loads nothing but its images.

Its security policy forbids every connection, and any script but its own, whose hash it holds.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

SOURCES = Path(__file__).parents[3] / "rating_kit"
# In the order in which they lean on each other.
SCRIPTS = ("ratings.js", "viewer.js", "page.js", "keys.js")


def read_questions(mode: str) -> dict[str, Any]:
    """What is asked in a mode: its `title`, `task` and `advice`, and `scores`, each with name, title, question and
    options."""
    return yaml.safe_load((SOURCES / "questions.yaml").read_text(encoding="utf-8"))[mode]


def write_page(path: str | Path, kit: str, mode: str, size: int, items: Sequence[Mapping[str, Any]]) -> None:
    """Writes the page of a kit.

    `items` in their order: `item`; `images` (paths from the page, two for a pair, the left one first); `shown`, what
    stands beside the image (the finding that it is meant to show, or its prompt; None in a pair). Nothing else about an
    image may get here.
    """
    questions = read_questions(mode)
    scores = {score["name"]: [option["value"] for option in score["options"]] for score in questions["scores"]}
    style = (SOURCES / "style.css").read_text(encoding="utf-8")
    script = "\n".join((SOURCES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    data = {"kit": kit, "mode": mode, "size": size, "scores": scores, "items": list(items)}
    environment = Environment(
        loader=FileSystemLoader(SOURCES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("index.html.j2").render(
        questions,
        kit=kit,
        mode=mode,
        size=size,
        items=len(items),
        sides=("left", "right") if mode == "pair" else ("",),
        data=Markup(json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )
    Path(path).write_text(page, encoding="utf-8")


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        "default-src 'none'; img-src 'self' file: data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'"
    )
