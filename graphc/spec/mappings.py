"""Python's own values as a tree whose places are paths: `layers[2].conv2d.kernel`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from graphc.errors import Place, SpecError, clipped, one_line
from graphc.spec.source import LIMITS, SpecList, SpecMap, Tree

LONGEST_KEY = 60
"""Characters of a key that a path shows."""
ROOT = "spec"
"""What the place of the whole is called."""


def tree_of(value: Any, path: str) -> Tree:
    """The tree of mappings, sequences, texts, numbers, booleans and None; a SpecError, at its path, for all else.

    A value of NumPy that stands for one number is that number; a path of pathlib is its text. What is in several places
    counts as often.
    """
    return _tree(value, path, 0, itertools.count(1))


def _tree(value: Any, path: str, depth: int, counted: Iterator[int]) -> Tree:
    place = Place(path or ROOT)
    if next(counted) > LIMITS.nodes:
        raise SpecError("G108", f"more than {LIMITS.nodes:,} keys and values", place)
    if depth > LIMITS.depth:
        raise SpecError("G108", f"nested deeper than {LIMITS.depth} levels", place)
    if isinstance(value, Mapping):
        return _mapping(value, path, place, depth, counted)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        found = SpecList((), place, [])
        for number, item in enumerate(value):
            below = f"{path}[{number}]"
            found.put(_tree(item, below, depth + 1, counted), Place(below))
        return found
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, PurePath):
        value = value.as_posix()
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError("G120", f"expected a finite number, found {value}", place)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise SpecError("G120", "the number is too large, integers are below 2**63", place)
    if isinstance(value, str):
        check_letters(value, place)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise SpecError("G107", f"expected text, a number, a mapping or a list, found {clipped(value)}", place)


def _mapping(value: Mapping[Any, Any], path: str, place: Place, depth: int, counted: Iterator[int]) -> SpecMap:
    found = SpecMap.empty(place)
    for key, inner in value.items():
        if not isinstance(key, str):
            raise SpecError("G106", f"expected text as a key, found {clipped(key)}", place)
        check_letters(key, place)
        next(counted)
        below = f"{path}.{clipped_key(key)}" if path else clipped_key(key)
        found.put(key, _tree(inner, below, depth + 1, counted), Place(below), Place(below))
    return found


def check_letters(text: str, place: Place) -> None:
    """A SpecError where a text has characters that no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}"
        message = f"expected text, found {found}, half of a character, in {clipped(text)}"
        raise SpecError("G104", message, place) from None


def clipped_key(key: str) -> str:
    """A key in a path."""
    return one_line(key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 3]}...")


def plain(tree: Any) -> Any:
    """A tree as Python's own values again."""
    if isinstance(tree, SpecMap):
        return {key: plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, SpecList) else tree
