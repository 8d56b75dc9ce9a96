"""Which part of every value before it one output sees: its receptive field, followed back through the network.

At each layer the region is cut to what there is: an output at the border sees padding, and padding sees nothing.
What comes out is the smallest box around the support of the output's gradient.
"""

from __future__ import annotations

from typing import TypeAlias

from graphc.dims import Shape
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.receptive_field import Reach

Interval: TypeAlias = tuple[int, int]
"""First and last position, both seen."""
Region: TypeAlias = tuple[Interval, ...]
"""Along each spatial axis: rows and columns of an image."""
EMPTY: Interval = (0, -1)


def seen(plan: Plan, node: str, *position: int) -> dict[str, Region | None]:
    """The region of each value (by node or input name) that the output of `node` at a position (row, column) sees.

    None where all of it is seen; values that are not seen are left out.
    """
    regions: dict[str, Region | None] = {node: tuple((place, place) for place in position)}
    for each in reversed(plan.nodes):
        if each.node.name not in regions or each.node.layer.sees_nothing:
            continue
        region = regions[each.node.name]
        read = plan.input_shapes(each.node)
        reaches = each.node.layer.reach(*read)
        for source, whole in zip(each.node.inputs, each.node.layer.sees_all(*read), strict=True):
            sizes = fixed(plan.shapes[source], source)[:-1]
            everything = whole and any(size > 1 for size in sizes)
            if region is None or everything or not len(region) == len(reaches) == len(sizes):
                regions[source] = None
                continue
            before = tuple(back(*along) for along in zip(region, reaches, sizes, strict=True))
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
    return tuple(join(one, another) for one, another in zip(region, other, strict=True))


def join(one: Interval, other: Interval) -> Interval:
    if one[0] > one[1] or other[0] > other[1]:
        return other if one[0] > one[1] else one
    return min(one[0], other[0]), max(one[1], other[1])


def fixed(shape: Shape, name: str) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if isinstance(size, int))
    if len(sizes) < len(shape):
        raise SpecError("G205", f"{name}: where an output looks needs fixed sizes; set the resolution")
    return sizes
