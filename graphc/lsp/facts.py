"""Which layers a line makes, and what they are: the plan's facts by place of the file."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from graphc.dims import Shape, format_shape
from graphc.errors import Place
from graphc.graph import Plan, PlannedNode
from graphc.lsp.outline import Outline, WrittenEntry
from graphc.lsp.types import Position, Span
from graphc.receptive_field import ReceptiveField

IN_TRAIL = re.compile(r"(\S+):(\d+):(\d+)")
MOST_SHAPES = 4
"""Different shapes of one line that are shown."""


@dataclass(frozen=True)
class Facts:
    """A plan, seen from one of its files."""

    plan: Plan
    outline: Outline

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], list[PlannedNode]]:
        """The layers that a place makes: of their own line, and of the blocks, repeats and stacks around them."""
        found: dict[tuple[int, int], list[PlannedNode]] = {}
        path = self.outline.path
        trails: dict[tuple[str, ...], set[tuple[int, int]]] = {}
        for each in self.plan.nodes:
            trail = each.node.trail
            if trail not in trails:
                trails[trail] = {
                    (int(line), int(column))
                    for step in trail
                    for where, line, column in IN_TRAIL.findall(step)
                    if where == path
                }
            place = each.node.place
            own = {(place.line, place.column)} if place.path == path else set()
            for at in own | trails[trail]:
                found.setdefault(at, []).append(each)
        return found

    def made_by(self, entry: WrittenEntry) -> list[list[PlannedNode]]:
        """The layers of an entry, its own with what follows them and those inside it, in their order: a list for each
        time that a repeat or a block around it makes them."""
        extent = self.outline.extent(entry)
        first = bisect_left(self._places, (extent.start.line + 1, extent.start.column + 1))
        last = bisect_right(self._places, (extent.end.line + 1, extent.end.column + 1))
        found = {each.node.name: each for place in self._places[first:last] for each in self._by_place[place]}
        uses: dict[tuple[str, ...], list[PlannedNode]] = {}
        around: dict[tuple[str, ...], tuple[str, ...]] = {}
        for each in sorted(found.values(), key=lambda each: self._number[each.node.name]):
            trail = each.node.trail
            if trail not in around:
                around[trail] = tuple(takewhile(lambda step: not self._is_inside(step, extent), trail))
            uses.setdefault(around[trail], []).append(each)
        return list(uses.values())

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return sorted(self._by_place)

    def _is_inside(self, step: str, extent: Span) -> bool:
        """Whether a step of a trail is written inside of an entry."""
        found = [(line, column) for path, line, column in IN_TRAIL.findall(step) if path == self.outline.path]
        return any(Position(int(line) - 1, int(column) - 1) in extent for line, column in found)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {each.node.name: number for number, each in enumerate(self.plan.nodes)}

    def layers_at(self, place: Place) -> list[PlannedNode]:
        """The layers written at a place, without what follows them."""
        made = self._by_place.get((place.line, place.column), [])
        return [each for each in made if each.node.place == place]

    def output_of(self, nodes: Sequence[PlannedNode]) -> PlannedNode | None:
        """The one of several layers that no other of them reads; None where there are several."""
        read = {name for each in nodes for name in each.node.inputs}
        ends = [each for each in nodes if each.node.name not in read]
        return ends[0] if len(ends) == 1 else None


def shapes_of(nodes: Iterable[PlannedNode]) -> str:
    """The different shapes of layers, in their order."""
    shapes: dict[Shape, None] = dict.fromkeys(each.shape for each in nodes)
    told = [format_shape(shape) for shape in list(shapes)[:MOST_SHAPES]]
    return " | ".join([*told, *(["…"] if len(shapes) > MOST_SHAPES else [])])


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None where one is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def short(number: int | None) -> str:
    """`9.4 k`, `1.2 M`; `?` where a size is a symbol."""
    if number is None:
        return "?"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def field_size(field: ReceptiveField | None) -> str:
    """`7×7`; empty where all of the input is seen."""
    return "×".join(f"{size:g}" for size in field.size) if field is not None else ""
