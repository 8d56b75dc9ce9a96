"""Rows of equal items as repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphc.documented import flow
from graphc.importers.structure.items import Call, Item, Leaf, Repeat, holes, is_free, layers_of, signature
from graphc.importers.structure.names import Naming

MOST_ITEMS = 4
"""Of one element of a repeat."""
LookedAt: TypeAlias = dict[int, tuple[Item, Any]]
"""By its identity an item, and everything that is written of it but its name."""


def fold(items: tuple[Item, ...], kept: frozenset[str], naming: Naming) -> tuple[Item, ...]:
    """The items with rows of equal ones folded; values that are `kept` are read by name, so that they stay."""
    looked_at: LookedAt = {}
    for length in range(1, MOST_ITEMS + 1):
        items = _folded(items, length, kept, naming, looked_at)
    return items


def _folded(
    items: tuple[Item, ...], length: int, kept: frozenset[str], naming: Naming, looked_at: LookedAt
) -> tuple[Item, ...]:
    found: list[Item] = []
    at = 0
    while at < len(items):
        first = items[at : at + length]
        times = 1
        while _same(first, items[at + times * length : at + (times + 1) * length], kept, looked_at):
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


def _same(first: Sequence[Item], other: Sequence[Item], kept: frozenset[str], looked_at: LookedAt) -> bool:
    if len(first) != len(other) or not _may_fold(other, kept):
        return False
    for item in (*first, *other):
        if id(item) not in looked_at:
            looked_at[id(item)] = item, _whole(item)
    return all(looked_at[id(one)][1] == looked_at[id(two)][1] for one, two in zip(first, other, strict=True))


def _may_fold(items: Sequence[Item], kept: frozenset[str]) -> bool:
    names = [layer.name for layer in layers_of(items)]
    simple = all(isinstance(item, (Leaf, Call)) and is_free(item) for item in items)
    return simple and kept.isdisjoint(names)


def _whole(item: Item) -> Any:
    """Everything that is written of an item but its name."""
    return signature(item), [flow(value) for _, value in holes([item])]
