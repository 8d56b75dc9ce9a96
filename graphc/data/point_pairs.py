"""Key points that change places in a mirror: the left eye becomes the right one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Pairs: TypeAlias = Sequence[tuple[int | str, int | str]]
SIDES = {"left": "right", "right": "left"}


def mirrored_order(pairs: Pairs | None, names: Sequence[str], count: int) -> tuple[int, ...]:
    """For each of `count` key points the one that stands in its place in a mirror image.

    `pairs` are numbers counted from 0, or names; None: the names that differ in left and right. A pair that cannot be
    is a ValueError.
    """
    order = list(range(count))
    for pair in named_pairs(names) if pairs is None else pairs:
        a, b = (_number(point, names, count) for point in pair)
        if a == b or order[a] != a or order[b] != b:
            raise ValueError(f"expected pairs of two points, each point in one pair, found {list(pair)}")
        order[a], order[b] = b, a
    return tuple(order)


def named_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """The points whose names differ in left and right only."""
    places = {name.lower(): number for number, name in enumerate(names)}
    twins = {place: places.get(_other_side(name)) for name, place in places.items()}
    return [(place, twin) for place, twin in twins.items() if twin is not None and place < twin]


def _other_side(name: str) -> str:
    return re.sub("left|right", lambda side: SIDES[side[0]], name)


def _number(point: int | str, names: Sequence[str], count: int) -> int:
    if isinstance(point, str):
        if point not in names:
            known = ", ".join(names) or "no names: say numbers, counted from 0"
            raise ValueError(f"expected key points of the data ({known}), found {point!r}")
        return list(names).index(point)
    if not 0 <= point < count:
        raise ValueError(f"expected key points from 0 to {count - 1}, found {point}")
    return point
