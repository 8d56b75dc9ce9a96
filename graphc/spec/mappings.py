"""Python's own values as a tree whose places are paths: `layers[2].conv2d.kernel`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from graphc.errors import Place, SpecError, clipped
from graphc.spec.source import LIMITS, SpecList, SpecMap, Tree

ROOT = "spec"
"""What the place of the whole is called."""


def tree_of(value: Any, path: str, depth: int = 0) -> Tree:
    """The tree of mappings, sequences, texts, numbers, booleans and None; a SpecError, at its path, for all else.

    A value of NumPy that stands for one number is that number; a path of pathlib is its text.
    """
    place = Place(path or ROOT)
    if depth > LIMITS.depth:
        raise SpecError("G108", f"nested deeper than {LIMITS.depth} levels", place)
    if isinstance(value, Mapping):
        return _mapping(value, path, place, depth)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [(f"{path}[{number}]", item) for number, item in enumerate(value)]
        return SpecList(
            [tree_of(item, below, depth + 1) for below, item in items], place, [Place(below) for below, _ in items]
        )
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, PurePath):
        value = value.as_posix()
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError("G120", f"expected a finite number, found {value}", place)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise SpecError("G107", f"expected text, a number, a mapping or a list, found {clipped(value)}", place)


def _mapping(value: Mapping[Any, Any], path: str, place: Place, depth: int) -> SpecMap:
    found = SpecMap.empty(place)
    for key, inner in value.items():
        below = f"{path}.{key}" if path else str(key)
        if not isinstance(key, str):
            raise SpecError("G106", f"expected text as a key, found {clipped(key)}", place)
        found.put(key, tree_of(inner, below, depth + 1), Place(below), Place(below))
    return found


def plain(tree: Any) -> Any:
    """A tree as Python's own values again."""
    if isinstance(tree, SpecMap):
        return {key: plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, SpecList) else tree
