"""What a form of a whole file is: it names other files, and a spec takes some of their keys."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from graphc.errors import Place, SpecError, clipped
from graphc.spec.overlay import overlay
from graphc.spec.schema_terms import NAMES, Schema, documentation
from graphc.spec.source import SpecList, SpecMap


class FileForm(ABC):
    """One form: a key whose value is a path, or a list of paths. Its docstring is its documentation."""

    key: ClassVar[str]
    taken: ClassVar[tuple[str, ...]]
    """What it takes of a file; everything else there is left."""
    example: ClassVar[str]

    @property
    def description(self) -> str:
        return documentation(type(self))

    def schema(self) -> Schema:
        return {**NAMES, "description": self.description}

    def paths(self, tree: SpecMap) -> list[tuple[str, Place]]:
        """The paths that a file has under the key."""
        return listed(tree, self.key)

    def merge(self, below: SpecMap, other: SpecMap) -> None:
        """Lay what it takes of a file on what lies below the spec so far, in place."""
        overlay(below, other, self.taken)


def listed(tree: SpecMap, key: str) -> list[tuple[str, Place]]:
    """The paths under a key: one, or a list."""
    value = tree.get(key)
    if value is None:
        return []
    items = list(zip(value, value.places, strict=True)) if isinstance(value, SpecList) else [(value, tree.places[key])]
    seen: set[str] = set()
    for item, place in items:
        if not isinstance(item, str):
            raise SpecError("G151", f"{key} expects a path or a list of paths, found {clipped(item)}", place)
        if item in seen:
            raise SpecError("G151", f"{key} names {clipped(item)} twice", place)
        seen.add(item)
    return items
