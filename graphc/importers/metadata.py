"""Names of classes in a file's metadata, in the forms that exporters write: JSON, or a mapping as Python prints it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

KEYS = ("graphc.classes", "names", "classes", "class_names", "labels")
PRINTED = re.compile(r"(\d{1,6})\s*:\s*(?:'([^'\\]{0,200})'|\"([^\"\\]{0,200})\")")
"""`{0: 'person', 1: 'bicycle'}`."""
LONGEST = 200_000
"""Letters of a text that is looked at."""
SHOWN = 10
MOST_DIGITS = 10
"""Of the number of a class."""


def classes_of(facts: Mapping[str, str]) -> list[str]:
    """The names of classes, in order; none where the file has none, or in another form."""
    return next((found for key in KEYS if (found := _read(facts.get(key, "")))), [])


def _read(text: str) -> list[str]:
    if not text or len(text) > LONGEST:
        return []
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = {number: one or other for number, one, other in PRINTED.findall(text)}
    if isinstance(read, dict) and all(key.isdecimal() and len(key) < MOST_DIGITS for key in read):
        read = [read[key] for key in sorted(read, key=int)]
    return read if isinstance(read, list) and all(isinstance(each, str) for each in read) else []


def described(classes: Sequence[str]) -> str:
    """`80 classes: person, bicycle, …` on one line."""
    listed = ", ".join(" ".join(each.split()) for each in classes[:SHOWN])
    return f"{len(classes)} classes: {listed}{', …' if len(classes) > SHOWN else ''}"
