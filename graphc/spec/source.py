"""Text to a tree in which every value knows its line and column.

YAML 1.2's core types, not 1.1's: `1e-3` is a number, `no` is a string, `010` is ten. JSON is read by the same
parser, being YAML. The parser's events are turned into a tree in one loop without recursion, and every limit is
checked before what it bounds is built. An alias is the very object that its anchor named, so that a bomb of
aliases costs nothing here; its written-out size counts against the limit.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from graphc.errors import Place, SpecError, clipped
from graphc.files import read_limited, shown
from graphc.spec.scalars import resolve
from graphc.spec.surrogates import PAIR, Pairs, is_json
from graphc.spec.syntax import SAID, syntax_error, too_many_directives, touching, unprintable


@dataclass(frozen=True, slots=True)
class Limits:
    """How much text a spec may be; checked before anything of that size is built."""

    file_bytes: int = 4_000_000
    total_bytes: int = 16_000_000
    """Over a spec and all that it includes."""
    files: int = 100
    depth: int = 64
    nodes: int = 200_000
    """Keys, values and list items, aliases written out."""


LIMITS = Limits()


class Extent(NamedTuple):
    """What a value holds, aliases and shared parts written out."""

    nodes: int
    """Keys, values and items, itself included."""
    height: int
    """Levels below it."""
    letters: int
    """Characters of texts with a `${…}` in it."""


def extent(value: Any) -> Extent:
    """What a value holds; worked out once for a mapping or list of a spec, however often it is asked for."""
    if isinstance(value, SpecMap | SpecList):
        if value.extent is None:
            parts = [extent(each) for each in (value.values() if isinstance(value, SpecMap) else value)]
            nodes = 1 + sum(each.nodes for each in parts)
            height = 1 + max((each.height for each in parts), default=0)
            value.extent = Extent(nodes, height, sum(each.letters for each in parts))
        return value.extent
    return Extent(1, 0, len(value) if isinstance(value, str) and "${" in value else 0)


class SpecMap(dict[str, Any]):
    """A mapping with the place of itself, of each key and of each value."""

    __slots__ = ("extent", "key_places", "place", "places")

    def __init__(
        self, values: Mapping[str, Any], place: Place, key_places: dict[str, Place], places: dict[str, Place]
    ) -> None:
        super().__init__(values)
        self.place = place
        self.key_places = key_places
        self.places = places
        self.extent: Extent | None = None

    @classmethod
    def empty(cls, place: Place) -> SpecMap:
        return cls({}, place, {}, {})

    def copy(self) -> SpecMap:
        """The same values under the same keys."""
        return SpecMap(self, self.place, dict(self.key_places), dict(self.places))

    def put(self, key: str, value: Any, key_place: Place, place: Place) -> None:
        """Set a key with its places."""
        self[key] = value
        self.extent = None
        self.key_places[key] = key_place
        self.places[key] = place


class SpecList(list[Any]):
    """A list with the place of itself and of each item."""

    __slots__ = ("extent", "place", "places")

    def __init__(self, values: Iterable[Any], place: Place, places: list[Place]) -> None:
        super().__init__(values)
        self.place = place
        self.places = places
        self.extent: Extent | None = None

    def put(self, value: Any, place: Place) -> None:
        """Append an item with its place."""
        self.append(value)
        self.extent = None
        self.places.append(place)


Tree: TypeAlias = SpecMap | SpecList | str | int | float | bool | None

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CORE_TAG = "tag:yaml.org,2002:"
SCALAR_TYPES: dict[str, Any] = {
    "null": (type(None),), "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)
}  # fmt: skip
LIBYAML_DEPTH = 1000
CURLY_QUOTES = "“”„‟‘’‚«»"
CURLY = frozenset(CURLY_QUOTES)
CURLY_WORD = re.compile(rf"[{CURLY_QUOTES}]\S*")
"""A word in typographic quotes, which YAML takes for letters."""
BREAK = re.compile(r"\r\n|\r|\n")


def load_file(path: Path | str, limits: Limits = LIMITS, number_keys: bool = False) -> Tree:
    """The tree of a YAML or JSON file."""
    return load_text(read_limited(path, limits.file_bytes), shown(path), limits, number_keys)


def load_text(text: str | bytes, path: str, limits: Limits = LIMITS, number_keys: bool = False) -> Tree:
    """The tree of a YAML or JSON text; `path` is what errors call it; `number_keys`: 255 is the key "255"."""
    if len(text) > limits.file_bytes:
        raise SpecError("G101", f"the text has {len(text):,} bytes, the limit is {limits.file_bytes:,}", Place(path))
    content = decode(text, path)
    pairs = Pairs(content) if PAIR.search(content) and is_json(content) else None
    content = content if pairs is None else pairs.text
    if (at := too_many_directives(content)) is not None:
        raise SpecError("G107", f"expected tags of YAML's core, found {SAID}", _place_after(content[:at], path))
    reader = _Reader(path, limits, number_keys, content, pairs)
    try:
        for event in yaml.parse(content, Loader=LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise syntax_error(error, path, min(limits.depth, LIBYAML_DEPTH)) from None
    except yaml.YAMLError as error:
        raise SpecError("G102", f"this is not YAML: {error}", Place(path)) from None
    if not reader.documents or (reader.root is None and reader.implicit):
        what = "holds only comments" if content.strip() else "is empty"
        raise SpecError("G103", f"the file {what}, expected a spec: see `graphc new`", Place(path))
    return reader.root


def decode(text: str | bytes, path: str) -> str:
    """Text without a byte order mark, every character of it printable."""
    if isinstance(text, bytes):
        utf16 = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if utf16 else "utf-8"
        try:
            text = text.decode(encoding)
        except UnicodeDecodeError as error:
            place = _place_after(error.object[: error.start].decode(encoding, "replace"), path)
            found = " ".join(f"0x{byte:02X}" for byte in error.object[error.start : error.start + 2])
            raise SpecError("G104", f"expected {encoding.upper()} text, found the bytes {found}", place) from None
    text = text.removeprefix("\ufeff")
    if refused := unprintable(text):
        name = f"U+{ord(refused[0]):04X}"
        raise SpecError("G104", f"expected printable text, found {name}", _place_after(text[: refused.start()], path))
    return text


def _place_after(text: str, path: str) -> Place:
    lines = BREAK.split(text)
    return Place(path, len(lines), len(lines[-1]) + 1)


@dataclass(slots=True)
class _Open:
    """A container that is being read."""

    tree: SpecMap | SpecList
    anchor: str | None
    key: str | None = None
    key_place: Place | None = None
    size: int = 1
    """Nodes in it so far, aliases written out."""
    height: int = 1


@dataclass(slots=True)
class _Anchor:
    place: Place
    value: Any
    size: int
    height: int
    complete: bool = True


@dataclass(slots=True)
class _Reader:
    """Builds the tree, one event at a time."""

    path: str
    limits: Limits
    number_keys: bool
    text: str
    pairs: Pairs | None = None
    root: Tree = None
    implicit: bool = False
    documents: int = 0
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    nodes: int = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is ScalarEvent:
            self._scalar(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            self._start(event)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._stands_apart(event)
            self._end()
        elif kind is AliasEvent:
            self._alias(event)
        elif kind is DocumentStartEvent:
            self._document(event)

    def _document(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            raise SpecError("G103", "a second document starts here; a spec is one document", self._place(event))
        if event.version not in (None, (1, 2)):
            found = ".".join(map(str, event.version))
            message = f"expected YAML 1.2, found %YAML {found}, which reads other values"
            raise SpecError("G107", message, self._place(event))

    def _scalar(self, event: ScalarEvent) -> None:
        place = self._place(event)
        frame = self.stack[-1] if self.stack else None
        self._count(1, place)
        self._stands_apart(event)
        if frame is not None and frame.key is None and type(frame.tree) is SpecMap:
            self._key(frame, event, place)
            return
        value = self._value(event, place)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(place, value, 1, 0)
        if frame is None:
            self.implicit = event.implicit[0] and not event.value
        self._put(value, place, 1, 0)

    def _key(self, frame: _Open, event: ScalarEvent, place: Place) -> None:
        key = self._value(event, place)
        if self.number_keys and type(key) is int and str(key) == event.value:
            key = event.value
        if not isinstance(key, str):
            found = event.value if len(event.value) <= 40 else event.value[:37] + "..."
            raise SpecError("G106", f'expected text as a key, found {found or "nothing"}: write "{found}"', place)
        if key == "<<" and event.implicit[0]:
            notes = ["for defaults use arg_scope, for a common base `extends`, for repeated layers a block"]
            raise SpecError("G107", "merge keys (<<) are not part of the language", place, notes)
        if key in frame.tree:
            first = frame.tree.key_places[key]  # type: ignore[union-attr]
            raise SpecError("G105", f"the key {clipped(key)} is written twice, first at {first}", place)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(place, key, 1, 0)
        frame.key, frame.key_place = key, place

    def _value(self, event: ScalarEvent, place: Place) -> Any:
        if event.value[:1] in CURLY and event.implicit[0] and CURLY_WORD.fullmatch(event.value):
            straight = event.value.strip(CURLY_QUOTES)
            message = f"expected straight quotes, found {event.value[0]}, as word processors write it"
            raise SpecError("G104", f'{message}: write "{straight}"', place)
        if event.tag is None:
            return resolve(event.value, place) if event.implicit[0] else event.value
        if event.tag in ("!", CORE_TAG + "str"):
            return event.value
        name = event.tag.removeprefix(CORE_TAG)
        if event.tag == name or name not in SCALAR_TYPES:
            raise SpecError("G107", f"the tag {clipped(event.tag)} is not one of YAML's core types", place)
        value = resolve(event.value, place)
        if not isinstance(value, SCALAR_TYPES[name]) or (name != "bool" and isinstance(value, bool)):
            raise SpecError("G107", f"{clipped(event.value)} is not of the type !!{name}", place)
        return float(value) if name == "float" else value

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        place = self._place(event)
        self._count(1, place)
        is_map = type(event) is MappingStartEvent
        if self.stack and type(self.stack[-1].tree) is SpecMap and self.stack[-1].key is None:
            raise SpecError("G106", f"expected text as a key, found a {'mapping' if is_map else 'list'}", place)
        if len(self.stack) >= self.limits.depth:
            raise SpecError("G108", f"nested deeper than {self.limits.depth} levels", place)
        if event.tag not in (None, "!", CORE_TAG + ("map" if is_map else "seq")):
            raise SpecError("G107", f"the tag {clipped(event.tag)} is not one of YAML's core types", place)
        tree = SpecMap.empty(place) if is_map else SpecList((), place, [])
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(place, tree, 0, 0, complete=False)
        self.stack.append(_Open(tree, event.anchor))

    def _end(self) -> None:
        done = self.stack.pop()
        if done.anchor:
            anchor = self.anchors[done.anchor]
            if anchor.value is done.tree:
                anchor.size, anchor.height, anchor.complete = done.size, done.height, True
        self._put(done.tree, done.tree.place, done.size, done.height)

    def _alias(self, event: AliasEvent) -> None:
        place = self._place(event)
        anchor = self.anchors.get(event.anchor or "")
        if anchor is None:
            raise SpecError("G109", f"no anchor &{event.anchor} above this alias", place)
        if not anchor.complete:
            raise SpecError("G109", f"recursive alias: *{event.anchor} is inside its own anchor", place)
        if self.stack and type(self.stack[-1].tree) is SpecMap and self.stack[-1].key is None:
            raise SpecError("G106", "expected text as a key, found an alias", place)
        if len(self.stack) + anchor.height > self.limits.depth:
            raise SpecError("G108", f"nested deeper than {self.limits.depth} levels by this alias", place)
        self._count(anchor.size, place)
        self._put(anchor.value, place, anchor.size, anchor.height)

    def _stands_apart(self, event: Any) -> None:
        if (found := touching(self.text, event)) is not None:
            at, what = found
            raise SpecError("G102", f"this is not YAML 1.2: {what}", _place_after(self.text[:at], self.path))

    def _put(self, value: Any, place: Place, size: int, height: int) -> None:
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        frame.size += size
        if height >= frame.height:
            frame.height = height + 1
        tree = frame.tree
        if type(tree) is SpecMap:
            assert frame.key is not None
            assert frame.key_place is not None
            tree.put(frame.key, value, frame.key_place, place)
            frame.key = None
        else:
            tree.put(value, place)  # type: ignore[call-arg]

    def _count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > self.limits.nodes:
            more = "; aliases count as often as they are used" if self.anchors else ""
            raise SpecError("G108", f"more than {self.limits.nodes:,} keys and values{more}", place)

    def _place(self, event: Any) -> Place:
        line, column = event.start_mark.line, event.start_mark.column
        return Place(self.path, line + 1, 1 + (column if self.pairs is None else self.pairs.column(line, column)))
