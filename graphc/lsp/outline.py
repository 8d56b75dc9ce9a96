"""What a spec's own file says, found in its tree alone: entries of layers with their names, blocks, scopes, variables.

Nothing is expanded, so it holds for a file with errors too, as far as it can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphc.errors import Place, SpecError
from graphc.lsp.text import Text
from graphc.lsp.types import Position, Span
from graphc.spec.forms import FORMS
from graphc.spec.source import LIMITS, Limits, SpecList, SpecMap, Tree, load_text

REPAIRS = 12
"""Lines that are left out to read a text with errors, before nothing is known of it."""
LISTS = ("layers", "shortcut")
"""Keys of forms with a list of entries."""


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """An item of a list of layers, as it stands in the file."""

    kind: str
    place: Place
    """Of its kind."""
    body: Any
    body_place: Place
    name: str | None
    name_place: Place | None
    path: tuple[str | int, ...]
    """Keys and numbers from the tree's root to its body."""
    children: tuple[WrittenEntry, ...]

    @property
    def is_compound(self) -> bool:
        return self.kind in FORMS

    def all(self) -> Iterator[WrittenEntry]:
        """It and all entries inside it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.all()


def entries_of(layers: Any, path: tuple[str | int, ...]) -> tuple[WrittenEntry, ...]:
    """The entries of a list of layers; what is no entry is passed over."""
    if not isinstance(layers, SpecList):
        return ()
    found = (
        entry_of(item, place, (*path, number))
        for number, (item, place) in enumerate(zip(layers, layers.places, strict=True))
    )
    return tuple(each for each in found if each is not None)


def entry_of(item: Any, place: Place, path: tuple[str | int, ...]) -> WrittenEntry | None:
    if isinstance(item, str):
        return WrittenEntry(item, place, None, place, None, None, path, ())
    if not isinstance(item, SpecMap) or not item:
        return None
    kind, body = next(iter(item.items()))
    below = (*path, kind)
    name = body.get("name") if isinstance(body, SpecMap) else None
    name_place = body.places["name"] if isinstance(body, SpecMap) and isinstance(name, str) else None
    return WrittenEntry(
        kind,
        item.key_places[kind],
        body,
        item.places[kind],
        name if name_place is not None else None,
        name_place,
        below,
        _inside(kind, body, below),
    )


def _inside(kind: str, body: Any, path: tuple[str | int, ...]) -> tuple[WrittenEntry, ...]:
    """The entries inside a form."""
    if kind not in FORMS or not isinstance(body, SpecMap):
        return ()
    found: list[WrittenEntry] = []
    for key, value in body.items():
        if key in LISTS:
            found += entries_of(value, (*path, key))
        elif key == "layer":
            one = entry_of(value, body.places[key], (*path, key))
            found += [one] if one is not None else []
        elif key == "paths" and isinstance(value, SpecMap):
            for name, written in value.items():
                below = (*path, key, name)
                if isinstance(written, SpecMap):
                    found += entries_of(written.get("layers"), (*below, "layers"))
                else:
                    found += entries_of(written, below)
    return tuple(found)


def parameters_of(block: Any) -> list[tuple[str, Place]]:
    """The names of a block's parameters, as far as they can be read."""
    params = block.get("params") if isinstance(block, SpecMap) else None
    found: list[tuple[str, Place]] = []
    for item, place in zip(params, params.places, strict=True) if isinstance(params, SpecList) else ():
        if isinstance(item, str):
            found.append((item, place))
        elif isinstance(item, SpecMap):
            found += item.key_places.items()
    return found


class Outline:
    """A file's tree, and what is named in it."""

    def __init__(self, text: Text, path: str, tree: Tree, repaired: str | None) -> None:
        self.text = text
        self.path = path
        self.tree: SpecMap | None = tree if isinstance(tree, SpecMap) else None
        self.repaired = repaired
        """The text without the lines that cannot be read; None where all can be."""

    @cached_property
    def layers(self) -> tuple[WrittenEntry, ...]:
        return entries_of(self.tree.get("layers"), ("layers",)) if self.tree is not None else ()

    @cached_property
    def blocks(self) -> Mapping[str, tuple[WrittenEntry, ...]]:
        """The entries of each block of the file."""
        blocks = self.mapping("blocks")
        return {
            name: entries_of(body.get("layers"), ("blocks", name, "layers"))
            for name, body in blocks.items()
            if isinstance(body, SpecMap)
        }

    @cached_property
    def entries(self) -> tuple[WrittenEntry, ...]:
        """Every entry of the file: of its layers, then of its blocks."""
        tops = [*self.layers, *(entry for inside in self.blocks.values() for entry in inside)]
        return tuple(each for top in tops for each in top.all())

    def mapping(self, key: str) -> SpecMap:
        """The mapping under a key of the file; an empty one where there is none."""
        found = self.tree.get(key) if self.tree is not None else None
        return found if isinstance(found, SpecMap) else SpecMap.empty(Place(self.path, 1, 1))

    def entry_at(self, position: Position) -> WrittenEntry | None:
        """The innermost entry that a position lies in."""
        found = None
        for entry in self.entries:
            if position in self.extent(entry):
                found = entry
        return found

    def extent(self, entry: WrittenEntry) -> Span:
        """From an entry's kind to its end."""
        start = self.text.span_at(entry.place).start
        return Span(start, self.text.end_of(entry.place))


def read_outline(text: Text, path: str, limits: Limits = LIMITS) -> Outline:
    """The outline of a text; lines that make it unreadable are left out."""
    number_keys = text.content.lstrip().startswith(("recipe", '{"recipe')) or "\nrecipe:" in text.content
    try:
        return Outline(text, path, load_text(text.content, path, limits, number_keys), None)
    except SpecError as error:
        place = error.place
    lines = list(text.lines)
    last = None
    for _ in range(REPAIRS):
        if place is None or not lines:
            break
        last = _leave_out(lines, place.line - 1, last)
        repaired = "\n".join(lines)
        try:
            return Outline(text, path, load_text(repaired, path, limits, number_keys), repaired)
        except SpecError as error:
            place = error.place
    return Outline(text, path, None, None)


def _leave_out(lines: list[str], number: int, last: int | None) -> int:
    """Empty a line, or the one above it that is not empty where that was done before; its number."""
    number = min(number, len(lines) - 1)
    if number == last or not lines[number].strip():
        number = next((above for above in range(number - 1, -1, -1) if lines[above].strip()), number)
    lines[number] = ""
    return number
