"""Where layers, blocks, scopes and variables are named in a file, and where their names are used.

A name of a layer means what `passes/wiring.py` says: the nearest one, from the group outwards. Here it is looked up
among the names that are written; an element of a repeat or stack, such as `conv1/conv1_2`, means the repeat.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from graphc.errors import Place
from graphc.layers import CATALOGUE
from graphc.lsp.outline import Outline, WrittenEntry, parameters_of
from graphc.lsp.text import Text
from graphc.lsp.types import Position, Span
from graphc.passes.wiring import candidates
from graphc.spec.expressions import INSIDE
from graphc.spec.forms import FORMS
from graphc.spec.forms.frame import scoped
from graphc.spec.source import SpecList, SpecMap

NameKind: TypeAlias = Literal["layer", "block", "scope", "variable", "parameter"]
READS = ("inputs", "like", "share", "pool")
"""Keys of entries whose values are names of layers."""
FOLLOWERS = ("activation", "normalizer")
LONGEST_PATH = 10_000
"""Characters of a path of names that is looked up."""
BY_LAYER = ("receptive_field", "stride", "padding", "outputs")
"""Budgets by layer."""
WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Named:
    """A name where it is defined or used."""

    kind: NameKind
    name: str
    """Of a layer its full name within the list of layers that it stands in: `block1/conv2`."""
    root: str
    """`layers`, or `blocks/NAME`: whose names and parameters these are; empty for what the whole spec shares."""
    span: Span
    """The last part of the name, where it is a path."""
    is_definition: bool


@dataclass(frozen=True, slots=True)
class Scoped:
    """An entry with the groups around it."""

    entry: WrittenEntry
    root: str
    group: str

    @property
    def full(self) -> str | None:
        return scoped(self.group, self.entry.name) if self.entry.name is not None else None


def scoped_entries(outline: Outline) -> Iterator[Scoped]:
    """Every entry of a file with its group's full name, as far as it is written."""
    roots = [("layers", outline.layers), *((f"blocks/{name}", inside) for name, inside in outline.blocks.items())]
    for root, tops in roots:
        waiting = [Scoped(entry, root, "") for entry in reversed(tops)]
        while waiting:
            each = waiting.pop()
            yield each
            below = each.full or each.group
            waiting += [Scoped(child, root, below) for child in reversed(each.entry.children)]


def names_of(outline: Outline) -> list[Named]:
    """All names of a file."""
    entries = list(scoped_entries(outline))
    defined = {(each.root, each.full): each.entry for each in entries if each.full is not None}
    found = list(_defined(outline))
    for each in entries:
        found += _of_entry(outline.text, each, defined)
    found += _of_tops(outline, defined)
    found += _of_expressions(outline)
    found += _of_scopes(outline)
    return found


def _defined(outline: Outline) -> Iterator[Named]:
    """Blocks, scopes and variables."""
    text = outline.text
    kinds: tuple[tuple[NameKind, str], ...] = (("block", "blocks"), ("scope", "arg_scopes"), ("variable", "vars"))
    for kind, key in kinds:
        written = outline.mapping(key)
        for name, place in written.key_places.items():
            if place.path == outline.path:
                yield Named(kind, name, "", text.inner_span_at(place), True)
    for name, block in outline.mapping("blocks").items():
        for one, at in parameters_of(block):
            yield Named("parameter", one, f"blocks/{name}", text.inner_span_at(at), True)


def _of_entry(text: Text, each: Scoped, defined: Mapping[tuple[str, str], WrittenEntry]) -> Iterator[Named]:
    entry = each.entry
    yield Named("block", entry.kind, "", text.inner_span_at(entry.place), False)
    if each.full is not None and entry.name_place is not None and "${" not in (entry.name or ""):
        yield Named("layer", each.full, each.root, text.inner_span_at(entry.name_place), True)
    if not isinstance(entry.body, SpecMap):
        return
    for key in READS:
        for written, place in texts_under(entry.body, key):
            yield from _reference(text, each.root, each.group, written, place, defined)
    for key in FOLLOWERS:
        yield from _kind_under(text, entry.body, key)
    if entry.kind not in CATALOGUE and entry.kind not in FORMS:
        for key, place in entry.body.key_places.items():
            yield Named("parameter", key, f"blocks/{entry.kind}", text.inner_span_at(place), False)


def _kind_under(text: Text, body: SpecMap, key: str) -> Iterator[Named]:
    value = body.get(key)
    if isinstance(value, str):
        yield Named("block", value, "", text.inner_span_at(body.places[key]), False)
    elif isinstance(value, SpecMap) and value:
        kind = next(iter(value))
        yield Named("block", kind, "", text.inner_span_at(value.key_places[kind]), False)


def texts_under(tree: SpecMap, key: str) -> list[tuple[str, Place]]:
    """The text, or texts, under a key."""
    value = tree.get(key)
    if isinstance(value, str):
        return [(value, tree.places[key])]
    if isinstance(value, SpecList):
        return [(item, at) for item, at in zip(value, value.places, strict=True) if isinstance(item, str)]
    return []


def _reference(
    text: Text,
    root: str,
    group: str,
    written: str,
    place: Place,
    defined: Mapping[tuple[str, str], WrittenEntry],
) -> Iterator[Named]:
    """The layers that a path of names means: each of its parts that is the name of a group or layer."""
    if "${" in written or "*" in written:
        return
    start = text.inner_span_at(place).start
    parts = written.split("/")
    if len(written) > LONGEST_PATH:
        return
    for count in range(1, len(parts) + 1):
        head = "/".join(parts[:count])
        column = start.column + len(head) - len(parts[count - 1])
        span = Span(Position(start.line, column), Position(start.line, start.column + len(head)))
        for full in candidates(head, group):
            if (root, full) in defined:
                yield Named("layer", full, root, span, False)
                break
            element = element_of(full, root, defined)
            if element is not None:
                yield Named("layer", element, root, span, False)
                break


def element_of(full: str, root: str, defined: Mapping[tuple[str, str], WrittenEntry]) -> str | None:
    """The repeat or stack of which a name is an element: of `conv1/conv1_2` it is `conv1`."""
    above, _, last = full.rpartition("/")
    repeat = defined.get((root, above))
    if repeat is None or repeat.kind not in ("repeat", "stack") or not isinstance(repeat.body, SpecMap):
        return None
    each, _, number = last.rpartition("_")
    return above if each == str(repeat.body.get("each", repeat.name)) and number.isdecimal() else None


def _of_tops(outline: Outline, defined: Mapping[tuple[str, str], WrittenEntry]) -> Iterator[Named]:
    """Names in `outputs`, `end_points` and `expect`."""
    text = outline.text
    outputs = outline.mapping("outputs")
    for name, value in outputs.items():
        if isinstance(value, str):
            yield from _reference(text, "layers", "", value, outputs.places[name], defined)
    ends = outline.tree.get("end_points") if outline.tree is not None else None
    if isinstance(ends, SpecList):
        for item, place in zip(ends, ends.places, strict=True):
            if isinstance(item, str):
                yield from _reference(text, "layers", "", item, place, defined)
            elif isinstance(item, SpecMap):
                for name, value in item.items():
                    if isinstance(value, str):
                        yield from _reference(text, "layers", "", value, item.places[name], defined)
    expect = outline.mapping("expect")
    for key in BY_LAYER:
        below = expect.get(key)
        if isinstance(below, SpecMap):
            for name, place in below.key_places.items():
                yield from _reference(text, "layers", "", name, place, defined)


def _of_expressions(outline: Outline) -> Iterator[Named]:
    """Names in `${…}`: parameters inside their block, else variables."""
    text = outline.text
    extents: list[tuple[Position, str, Span, Set[str]]] = []
    for name, block in outline.mapping("blocks").items():
        named = {one for one, _ in parameters_of(block)}
        place = outline.mapping("blocks").key_places[name]
        begin = text.span_at(place).start
        extents.append((begin, f"blocks/{name}", Span(begin, text.end_of(place)), named))
    extents.sort(key=itemgetter(0))
    for number, line in enumerate(text.lines):
        for match in expressions_in(line):
            at = bisect_right(extents, Position(number, match.start()), key=itemgetter(0))
            _, root, extent, known = extents[at - 1] if at else NO_BLOCK
            for word in WORD.finditer(re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: " " * len(quoted[0]), match[1])):
                start = match.start(1) + word.start()
                span = Span(Position(number, start), Position(number, start + len(word[0])))
                is_parameter = word[0] in known and span.start in extent
                kind: NameKind = "parameter" if is_parameter else "variable"
                yield Named(kind, word[0], root if is_parameter else "", span, False)


NO_BLOCK = (Position(0, 0), "", Span(Position(0, 0), Position(0, 0)), frozenset[str]())


def expressions_in(line: str) -> Iterator[re.Match[str]]:
    """The `${…}` of a line. What lies behind the eighth that does not end is passed over: each is read to the line's
    end."""
    at = failed = 0
    while (at := line.find("${", at)) >= 0 and failed < 8:
        match = INSIDE.match(line, at)
        if match is not None:
            yield match
        failed += match is None
        at = match.end() if match is not None else at + 2


def _of_scopes(outline: Outline) -> Iterator[Named]:
    """Names of scopes under `arg_scope`, and kinds in scopes, which may be blocks."""
    waiting: list[Any] = [outline.tree]
    while waiting:
        tree = waiting.pop()
        if isinstance(tree, SpecList):
            waiting += tree
        if not isinstance(tree, SpecMap):
            continue
        for key, value in tree.items():
            waiting.append(value)
            scopes = [value] if key == "arg_scope" else list(value.values()) if key == "arg_scopes" and value else []
            if key == "arg_scope":
                for written, place in texts_under(tree, key):
                    yield Named("scope", written, "", outline.text.inner_span_at(place), False)
            yield from _kinds_of_scopes(outline.text, scopes)


def _kinds_of_scopes(text: Text, scopes: Sequence[Any]) -> Iterator[Named]:
    for scope in scopes:
        for each in scope if isinstance(scope, SpecList) else [scope]:
            if not isinstance(each, SpecMap):
                continue
            for kinds, place in each.key_places.items():
                start = text.inner_span_at(place).start
                for word in re.finditer(r"[^\s,]+", kinds):
                    at = Position(start.line, start.column + word.start())
                    span = Span(at, Position(start.line, start.column + word.end()))
                    yield Named("block", word[0], "", span, False)
                arguments = each[kinds]
                if isinstance(arguments, SpecMap):
                    for key in FOLLOWERS:
                        yield from _kind_under(text, arguments, key)
