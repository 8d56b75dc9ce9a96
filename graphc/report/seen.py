"""Which part of every value before it one output sees: its receptive field, followed back through the network.

At each layer the region is cut to what there is: an output at the border sees padding, and padding sees nothing.
What comes out is the smallest rectangle around the support of the output's gradient.
"""

from __future__ import annotations

from typing import TypeAlias

from graphc.dims import Shape, is_image, is_static
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.receptive_field import Reach

Interval: TypeAlias = tuple[int, int]
"""First and last position, both seen."""
Region: TypeAlias = tuple[Interval, Interval]
"""Rows and columns."""
EMPTY: Interval = (0, -1)


def seen(plan: Plan, node: str, row: int, column: int) -> dict[str, Region | None]:
    """The region of each value (by node or input name) that the output (row, column) of `node` depends on.

    None where all of it is seen; values that are not seen are left out.
    """
    regions: dict[str, Region | None] = {node: ((row, row), (column, column))}
    for each in reversed(plan.nodes):
        if each.node.name not in regions:
            continue
        region = regions[each.node.name]
        everything = region is None or each.node.layer.sees_everything
        reaches = None if everything else each.node.layer.reach(*plan.input_shapes(each.node))
        for source in each.node.inputs:
            if region is None or reaches is None or not is_image(plan.shapes[source]):
                regions[source] = None
                continue
            height, width, _ = fixed(plan.shapes[source], source)
            before = (back(region[0], reaches[0], height), back(region[1], reaches[1], width))
            regions[source] = around(regions[source], before) if source in regions else before
    return regions


def back(interval: Interval, reach: Reach, size: int) -> Interval:
    """The inputs, of `size` there are, that an interval of outputs sees."""
    first, last = interval
    if first > last:
        return EMPTY
    if size == 1:  # one value for all places
        return 0, 0
    seen = range(first, last + 1)
    low = min(reach.first(position) for position in seen)
    high = max(reach.last(position) for position in seen)
    return max(low, 0), min(high, size - 1)


def around(region: Region | None, other: Region) -> Region | None:
    """The smallest region that holds both."""
    if region is None:
        return None
    return join(region[0], other[0]), join(region[1], other[1])


def join(one: Interval, other: Interval) -> Interval:
    if one[0] > one[1] or other[0] > other[1]:
        return other if one[0] > one[1] else one
    return min(one[0], other[0]), max(one[1], other[1])


def fixed(shape: Shape, name: str) -> tuple[int, int, int]:
    if not is_static(shape):
        raise SpecError("G205", f"{name}: where an output looks needs fixed sizes; set the resolution")
    height, width, channels = shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    assert isinstance(channels, int)
    return height, width, channels
