"""Rows of equal items as repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.documented import flow
from graphc.importers.structure.items import Call, Item, Leaf, Repeat, holes, is_free, layers_of, signature
from graphc.importers.structure.names import Naming

MOST_ITEMS = 4
"""Of one element of a repeat."""


def fold(items: tuple[Item, ...], kept: frozenset[str], naming: Naming) -> tuple[Item, ...]:
    """The items with rows of equal ones folded; values that are `kept` are read by name, so that they stay."""
    for length in range(1, MOST_ITEMS + 1):
        items = _folded(items, length, kept, naming)
    return items


def _folded(items: tuple[Item, ...], length: int, kept: frozenset[str], naming: Naming) -> tuple[Item, ...]:
    found: list[Item] = []
    at = 0
    while at < len(items):
        first = items[at : at + length]
        times = 1
        while _same(first, items[at + times * length : at + (times + 1) * length], kept):
            times += 1
        if times > 1 and _worth(length, times) and _may_fold(first, kept):
            elements = tuple(items[at + number * length : at + (number + 1) * length] for number in range(times))
            found.append(Repeat(naming.of_row(elements, "repeat"), elements))
            at += times * length
        else:
            found.append(items[at])
            at += 1
    return tuple(found)


def _worth(length: int, times: int) -> bool:
    """Whether fewer lines come of it: a repeat of one item is one line, of several four more than they are."""
    return length == 1 or (times - 1) * length > 4


def _same(first: Sequence[Item], other: Sequence[Item], kept: frozenset[str]) -> bool:
    if len(first) != len(other) or not _may_fold(other, kept):
        return False
    return [_whole(item) for item in first] == [_whole(item) for item in other]


def _may_fold(items: Sequence[Item], kept: frozenset[str]) -> bool:
    names = [layer.name for layer in layers_of(items)]
    simple = all(isinstance(item, (Leaf, Call)) and is_free(item) for item in items)
    return simple and kept.isdisjoint(names)


def _whole(item: Item) -> Any:
    """Everything that is written of an item but its name."""
    return signature(item), [flow(value) for _, value in holes([item])]
