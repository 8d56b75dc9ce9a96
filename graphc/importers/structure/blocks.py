"""Blocks: what is written alike in several places, with parameters for the numbers that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.importers.names import unique
from graphc.importers.structure.items import (
    Block,
    Branches,
    Call,
    Item,
    Leaf,
    Repeat,
    Residual,
    children,
    filled,
    holes,
    is_free,
    layers_of,
    signature,
)
from graphc.importers.structure.names import Naming, slot_names

MOST_PARAMS = 5
"""A block with more says less than its layers."""
WIDTHS = ("filters", "units")
"""Parameters that stand before others."""
ODD_ONE = 2
"""Parameters that one use may not cost alone."""
MOST_LAYERS = 6
"""Of a row of layers that becomes a block."""
MOST_ALONE = 64
"""Uses of a row among which one is looked for that costs parameters alone."""
MOST_BLOCKS = 50
"""Before rows of layers become none any more."""


@dataclass
class Blocks:
    """The blocks so far, and the values that are read by name, which a block would hide."""

    kept: frozenset[str]
    naming: Naming
    found: list[Block] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    """Names of uses."""
    numbers: dict[Any, int] = field(default_factory=dict)
    """Signature -> its number."""
    kinds: dict[int, tuple[Item, int]] = field(default_factory=dict)
    """By its identity an item that was looked at, and the number of its signature."""
    values: dict[int, tuple[Item, list[Any]]] = field(default_factory=dict)
    """By its identity an item that was looked at, and the numbers of its holes."""

    # whole residuals and branches --------------------------------------------------------------------------

    def of_composites(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Residuals and branches that are written alike in several places as uses of blocks, inner ones first."""
        while True:
            places: dict[Any, set[Any]] = {}
            uses: dict[Any, list[Item]] = {}
            for item, context in _composites(items, ("top",)):
                if self.may_move(item):
                    mark = signature(item)
                    places.setdefault(mark, set()).add(context)
                    uses.setdefault(mark, []).append(item)
            alike = [mark for mark in uses if len(places[mark]) > 1]
            if not alike:
                return items
            least = min(_depth(uses[mark][0]) for mark in alike)
            made = {
                mark: self.make([(item,) for item in uses[mark]], _stem(uses[mark][0]))
                for mark in alike
                if _depth(uses[mark][0]) == least
            }
            items = tuple(self.replaced(item, made) for item in items)

    def replaced(self, item: Item, made: dict[Any, Template]) -> Item:
        """The item, or what is in it, as uses of these blocks."""
        if isinstance(item, (Residual, Branches)) and self.may_move(item) and (block := made.get(signature(item))):
            return block.use((item,))
        if isinstance(item, Residual):
            body, shortcut = (tuple(self.replaced(each, made) for each in part) for part in (item.body, item.shortcut))
            return Residual(body, shortcut, item.merge)
        if isinstance(item, Branches):
            paths = tuple(tuple(self.replaced(each, made) for each in path) for path in item.paths)
            return Branches(paths, item.merge)
        return item

    def may_move(self, item: Item) -> bool:
        """Whether a block may hide what is in the item: nobody reads it by name, but for what it gives in the end."""
        names = [layer.name for layer in layers_of([item])]
        return is_free(item) and self.kept.isdisjoint(names[:-1])

    # rows of layers ----------------------------------------------------------------------------------------

    def of_rows(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Rows of layers that are there several times as uses of blocks, the longest saving first."""
        while len(self.found) < MOST_BLOCKS and (best := self.best_row(items)) is not None:
            length, places = best
            spots, uses = self.spots(items, length, places)
            block = self.make(uses, "stage")
            new: list[Item] = []
            at = 0
            while at < len(items):
                if at in spots:
                    new.append(block.use(items[at : at + length]))
                    at += length
                else:
                    new.append(items[at])
                    at += 1
            items = tuple(new)
        return items

    def best_row(self, items: tuple[Item, ...]) -> tuple[int, list[int]] | None:
        """The (length, places) of the row that saves most lines."""
        kinds = [self.kind_of(item) for item in items]
        marks: dict[tuple[int, ...], list[int]] = {}
        for length in range(2, MOST_LAYERS + 1):
            for at in range(len(items) - length + 1):
                marks.setdefault(tuple(kinds[at : at + length]), []).append(at)
        rows = [(len(mark), places) for mark, places in marks.items() if len(places) > 1 and 0 not in mark]
        at_most = [(length - 1) * len(_spots(places, length)) - length - 2 for length, places in rows]
        best, most, found = None, 0, 0
        for number in sorted(range(len(rows)), key=lambda number: -at_most[number]):
            length, places = rows[number]
            if at_most[number] < max(most, 1):
                break
            spots, uses = self.spots(items, length, places)
            params = len(_bases(self.columns(uses)))
            saved = (length - 1) * len(spots) - length - (3 if params else 2)
            is_first = saved > most or (0 < saved == most and number < found)
            if len(spots) > 1 and is_first and params <= MOST_PARAMS:
                best, most, found = (length, places), saved, number
        return best

    def kind_of(self, item: Item) -> int:
        """A number for all items of one signature; 0 where it may be in no row."""
        if id(item) not in self.kinds:
            number = 0
            if self.may_be_in_row(item):
                number = self.numbers.setdefault(signature(item), len(self.numbers) + 1)
            self.kinds[id(item)] = item, number
        return self.kinds[id(item)][1]

    def spots(
        self, items: tuple[Item, ...], length: int, places: list[int]
    ) -> tuple[list[int], list[tuple[Item, ...]]]:
        """Where a row is, of these places none over another, and each row; one for which alone the block would need two
        parameters more stays as it is."""
        spots = _spots(places, length)
        uses = {at: items[at : at + length] for at in spots}
        if not 2 < len(spots) <= MOST_ALONE:
            return spots, list(uses.values())
        columns = list(
            {str(column): column for column in self.columns(list(uses.values())) if _varies(column)}.values()
        )
        fewer = len(_bases(columns)) - ODD_ONE
        for number, at in enumerate(spots if fewer >= 0 else ()):
            if len(_bases([column[:number] + column[number + 1 :] for column in columns], fewer)) <= fewer:
                del uses[at]
                break
        return list(uses), list(uses.values())

    def columns(self, uses: Sequence[Sequence[Item]]) -> list[list[Any]]:
        """For each hole its numbers in all uses."""
        rows = ([value for item in use for value in self.values_of(item)] for use in uses)
        return [list(column) for column in zip(*rows, strict=True)]

    def values_of(self, item: Item) -> list[Any]:
        if id(item) not in self.values:
            self.values[id(item)] = item, [value for _, value in holes([item])]
        return self.values[id(item)][1]

    def may_be_in_row(self, item: Item) -> bool:
        free = isinstance(item, (Leaf, Call)) and is_free(item)
        return free and self.kept.isdisjoint(layer.name for layer in layers_of([item]))

    # blocks ------------------------------------------------------------------------------------------------

    def make(self, uses: Sequence[Sequence[Item]], stem: str) -> Template:
        """A block for these lists, all of one signature."""
        name = unique(stem, self.taken)
        params, written = _params([name for name, _ in holes(uses[0])], self.columns(uses))
        names = {**slot_names(uses), **_call_names(uses[0])}
        layers = filled(uses[0], iter(written), names)
        self.found.append(Block(name, tuple((each.name, each.default) for each in params), layers))
        return Template(name, tuple(params), self.naming, self.called)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a block: the number of one hole, of which others may be multiples."""

    name: str
    hole: int
    default: Any


@dataclass(frozen=True, slots=True)
class Template:
    """A block that can be used."""

    name: str
    params: tuple[Param, ...]
    naming: Naming
    called: set[str]

    def use(self, items: Sequence[Item]) -> Call:
        values = [value for _, value in holes(items)]
        given = {each.name: values[each.hole] for each in self.params if values[each.hole] != each.default}
        return Call(self.name, unique(self.naming.of_use(items, self.name), self.called), given, tuple(items))


def _bases(columns: Sequence[Sequence[Any]], most: int | None = None) -> list[int]:
    """The holes that need a parameter: those that vary, and are no multiple of another that does. Where they are more
    than `most`, one more of them than that."""
    chosen: list[int] = []
    for hole in sorted(range(len(columns)), key=lambda hole: _size(columns[hole])):
        column = columns[hole]
        if _varies(column) and not any(_factor(column, columns[other]) for other in chosen):
            chosen.append(hole)
            if most is not None and len(chosen) > most:
                break
    return sorted(chosen)


def _params(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> tuple[list[Param], list[Any]]:
    """The parameters of uses, and what is written in each hole: a number, or an expression. `names` are the holes'."""
    params: list[Param] = []
    written: list[Any] = []
    taken: set[str] = set()
    for hole in _bases(columns):
        name, number = names[hole], 1
        while name in taken:
            number += 1
            name = f"{names[hole]}_{number}"
        taken.add(name)
        params.append(Param(name, hole, _majority(columns[hole])))
    for hole, column in enumerate(columns):
        written.append(_expression(column, hole, params, columns) if _varies(column) else column[0])
    return sorted(params, key=lambda each: (each.default is not None, not each.name.startswith(WIDTHS))), written


def _varies(column: Sequence[Any]) -> bool:
    return any(value != column[0] for value in column)


def _size(column: Sequence[Any]) -> float:
    try:
        total: float = sum(column)
    except TypeError:  # lists, too
        return sum(value for value in column if isinstance(value, (int, float)))
    return total


def _factor(column: Sequence[Any], base: Sequence[Any]) -> int:
    """How many times the base a column is, in every use; 0 where it is no whole number of times."""
    if column == base:
        return 1
    if not _is_count(column[0]) or not _is_count(base[0]) or column[0] % base[0]:
        return 0
    factor: int = column[0] // base[0]
    pairs = zip(column, base, strict=True)
    return factor if factor > 1 and all(a == b * factor and _is_count(a) and _is_count(b) for a, b in pairs) else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _expression(column: Sequence[Any], hole: int, params: Sequence[Param], columns: Sequence[Sequence[Any]]) -> str:
    """The parameter that a hole is, or a multiple of one."""
    for each in params:
        if each.hole == hole:
            return f"${{{each.name}}}"
    factors = [(_factor(column, columns[each.hole]), each.name) for each in params]
    factor, name = min((factor, name) for factor, name in factors if factor)
    return f"${{{name}}}" if factor == 1 else f"${{{factor} * {name}}}"


def _majority(column: Sequence[Any]) -> Any:
    """The value of more than half of the uses, where there are more than two."""
    texts = [str(value) for value in column]
    value, count = Counter(texts).most_common(1)[0]
    return column[texts.index(value)] if len(column) > 2 and 2 * count > len(column) else None


def _depth(item: Item) -> int:
    """Levels of residuals and branches in an item, itself included."""
    own = isinstance(item, (Residual, Branches))
    return own + max(map(_depth, children(item)), default=0)


def _composites(items: Sequence[Item], context: tuple[Any, ...]) -> Iterator[tuple[Item, Any]]:
    """Every residual and branches with where it is written: at the top each is a place of its own, within others what
    is at one place of one signature is one."""
    for number, item in enumerate(items):
        place = (*context, number)
        if isinstance(item, (Residual, Branches)):
            yield item, place
            yield from _composites(children(item), ("in", signature(item)))


def _stem(item: Item) -> str:
    """What a block of this form is called."""
    if isinstance(item, Branches):
        return "branches_unit" if len(item.paths) > 2 else "unit"
    assert isinstance(item, Residual)
    return "gate" if item.merge.kind in GATES else "unit"


GATES = frozenset({"multiply"})


def _call_names(items: Sequence[Item]) -> dict[str, str]:
    """Names of uses of blocks within a block: the block's, numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for item in _uses(items):
        found[item.name] = unique(item.block if isinstance(item, Call) else "row", taken)
    return found


def _uses(items: Sequence[Item]) -> Iterator[Call | Repeat]:
    for item in items:
        if isinstance(item, (Call, Repeat)):
            yield item
        else:
            yield from _uses(children(item))


def _spots(places: Sequence[int], length: int) -> list[int]:
    """Those of these places, in their order, where rows of this length begin, none over another."""
    found: list[int] = []
    for at in places:
        if not found or at >= found[-1] + length:
            found.append(at)
    return found
