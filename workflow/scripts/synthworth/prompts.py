"""Prompts: what text-conditioned generators are told of an image, at training and at synthesis."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

# In a class's own prompt or the template, this stands for the class's label.
PLACEHOLDER = "{label}"


def class_prompt(prompts: Mapping[str, Any], name: str, label: str) -> str:
    """The prompt of a class: its own under `prompts.classes`, else `prompts.template` with its label in place."""
    return (prompts["classes"].get(name) or prompts["template"]).replace(PLACEHOLDER, label)


def training_prompts(prompts: Mapping[str, Any] | None, rows: pd.DataFrame) -> list[str]:
    """The prompt of each training image: the manifest's `text`, or that of its class; empty without `prompts`.

    `rows` are rows of an index, with the columns class, label and, for `source: text`, text.
    """
    if prompts is None:
        return [""] * len(rows)
    if prompts["source"] == "text":
        return rows["text"].tolist()
    return [class_prompt(prompts, *pair) for pair in zip(rows["class"], rows["label"], strict=True)]


def sampling_prompts(
    prompts: Mapping[str, Any] | None, name: str, label: str, seeds: Sequence[int], texts: Sequence[str]
) -> list[str]:
    """The prompt of each image to be drawn, by its seed: one of `texts`, those of the class's training images.

    Without `texts` it is the prompt of the class; empty without `prompts`.
    """
    if prompts is None:
        return [""] * len(seeds)
    if prompts["source"] == "text":
        return [texts[seed % len(texts)] for seed in seeds]
    return [class_prompt(prompts, name, label)] * len(seeds)
