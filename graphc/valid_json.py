"""JSON as its grammar has it: NaN and infinities, which it lacks, become null; no key is there twice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEEPEST = 32
"""Mappings and lists that lie in one another, in what graphc writes."""
LARGEST = 2**63
"""Above all whole numbers that graphc counts with."""


def dumps(value: Any, indent: int | None = None) -> str:
    """The text of a value; numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def loads(text: bytes | str) -> Any:
    """The value of a text that graphc has written; a ValueError that says what is otherwise: a key that is there twice,
    a number that no float holds, more than `DEEPEST` mappings and lists in one another, half a surrogate pair."""
    text = text if isinstance(text, str) else text.decode("utf-8")
    try:
        value = _decoder.decode(text)
    except (OverflowError, RecursionError) as error:
        said = "a number is too large" if isinstance(error, OverflowError) else "it is too deep"
        raise ValueError(said) from None
    if _is_deeper(value, DEEPEST):
        raise ValueError(f"expected at most {DEEPEST} mappings and lists in one another")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half a surrogate pair") from None
    return value


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
    """What a value lacks to be a mapping with these keys, of values of these types (or unions of types), numbers finite
    and whole ones below `LARGEST`, in words; else nothing."""
    if not isinstance(content, dict):
        return "expected a mapping"
    wrong = [key for key, kind in needed.items() if not _is(content.get(key), kind)]
    wrong += [key for key, kind in optional.items() if key in content and not _is(content[key], kind)]
    return f"expected {', '.join(wrong)} in it, as graphc writes it" if wrong else ""


def _is(value: Any, kind: Any) -> bool:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return False
    if isinstance(value, int):
        return abs(value) < LARGEST
    return not isinstance(value, float) or math.isfinite(value)


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


_decoder = json.JSONDecoder(
    object_pairs_hook=without_duplicates,
    parse_int=whole_number,
    parse_float=_finite_number,
    parse_constant=_finite_number,
)
"""One for all: a line of a log takes a third of the time that making one takes."""


def _is_deeper(value: Any, most: int) -> bool:
    """Looked at level by level, so that no text is too deep for it."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


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
