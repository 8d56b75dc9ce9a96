"""A plain scalar's text to its value, by YAML 1.2's core schema."""

from __future__ import annotations

import math
import re
from typing import Any

from graphc.errors import Place, SpecError, clipped

CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
NOT_FINITE = re.compile(r"[-+]?(\.(inf|Inf|INF|nan|NaN|NAN)|Infinity|NaN)")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NUMBER_START = frozenset("0123456789+-.IN")


def resolve(text: str, place: Place) -> Any:
    """A plain scalar by YAML 1.2's core schema."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text[0] not in NUMBER_START:
        return text
    if INTEGER.fullmatch(text):
        return _integer(text, place)
    if FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise SpecError("G120", f"the number {clipped(text)} is too large", place)
        return number
    if NOT_FINITE.fullmatch(text):
        raise SpecError("G120", f"expected a finite number, found {text}", place, ["put it in quotes if it is a name"])
    return text


def _integer(text: str, place: Place) -> int:
    if len(text) <= 40:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number = int(text.removeprefix("0o"), 8) if base == 8 else int(text, base)
        if abs(number) < 2**63:
            return number
    raise SpecError("G120", f"the number {clipped(text)} is too large, integers are below 2**63", place)
