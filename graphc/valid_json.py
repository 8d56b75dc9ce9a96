"""JSON as its grammar has it: NaN and infinities, which it lacks, become null; no key is there twice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    """The text of a value; numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def whole_number(text: str) -> int:
    """An integer, for `json.loads`; an OverflowError where no float is as large."""
    value = int(text)
    float(value)
    return value


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of these, for `json.loads`; a ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def not_finite(record: dict[str, Any]) -> dict[str, str]:
    """The values of a record that are, or hold, a number that is not finite, as `nan`, `inf` or `-inf`."""
    found = {key: next(_bad(value), None) for key, value in record.items()}
    return {key: str(value) for key, value in found.items() if value is not None}


def lacking(content: Any, needed: Mapping[str, Any], optional: Mapping[str, Any] = MappingProxyType({})) -> str:
    """What a value lacks to be a mapping with these keys, of values of these types (or unions of types), in words; else
    nothing."""
    if not isinstance(content, dict):
        return "expected a mapping"
    wrong = [key for key, kind in needed.items() if not _is(content.get(key), kind)]
    wrong += [key for key, kind in optional.items() if key in content and not _is(content[key], kind)]
    return f"expected {', '.join(wrong)} in it, as graphc writes it" if wrong else ""


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bad(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _bad(each)
    elif isinstance(value, float) and not math.isfinite(value):
        yield float(value)
