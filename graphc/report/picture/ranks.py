"""Blocks that read from each other in ways that are no series of parallels: ranks below each other.

A block's rank is the longest way to it. An edge over several ranks passes each of them in a lane of its own. Within a
rank things are ordered by the average place of what they are connected to, swept up and down a few times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from graphc.errors import SpecError
from graphc.report.picture.box import ASIDE, LANE, Box
from graphc.report.picture.canvas import Canvas
from graphc.report.picture.items import Tangle

SWEEPS = 8
MOST_LANES = 20_000
"""Pieces of lines, each from one rank to the next."""
BETWEEN = 22.0
"""Between ranks: room for the bends of several edges."""


@dataclass(eq=False)
class Spot:
    """A block, or a lane of an edge that passes by, in a rank."""

    rank: int
    box: Box | None
    above: list[Spot] = field(default_factory=list)
    below: list[Spot] = field(default_factory=list)
    centre: float = 0.0

    @property
    def half(self) -> float:
        return self.box.width / 2 if self.box is not None else LANE / 2


def ranked(item: Tangle, boxes: Mapping[str, Box]) -> Box:
    """The tangle as one box, with lines from its top and to its bottom."""
    ranks = spots(item, boxes)
    for sweep in range(SWEEPS):
        order(ranks, down=sweep % 2 == 0)
    for sweep in range(SWEEPS):
        settle(ranks, down=sweep % 2 == 0)
    left = min(spot.centre - spot.half for rank in ranks for spot in rank)
    right = max(spot.centre + spot.half for rank in ranks for spot in rank)
    tops, y = [], -BETWEEN if item.begins else 0.0
    heights = [max((spot.box.height for spot in rank if spot.box is not None), default=0.0) for rank in ranks]
    for height in heights:
        tops.append(y)
        y += height + BETWEEN
    axis = ranks[0][0].centre - left
    last = ranks[-1][0].centre

    def draw(canvas: Canvas, x: float, top: float) -> None:
        for rank, above, height in zip(ranks, tops, heights, strict=True):
            for spot in rank:
                at = x + spot.centre - left
                if spot.box is not None:
                    spot.box.draw(canvas, at - spot.box.axis, top + above)
                elif 0 < spot.rank < len(ranks) - 1:
                    canvas.connect(at, top + above, at, top + above + height, top, False)
                for number, lower in enumerate(spot.below):
                    start = top + above + (spot.box.height if spot.box is not None else height)
                    end = top + tops[spot.rank + 1]
                    bend = end - 6 - 3 * ((rank.index(spot) + number) % 5)
                    canvas.connect(at, start, x + lower.centre - left, end, bend, lower.box is not None)
        if not item.ends:  # back to the axis
            end = top + tops[-1]
            canvas.connect(x + last - left, end, x + axis, end + 8, end + 4, False)

    total = tops[-1] + (-BETWEEN if item.ends else 8)
    return Box(right - left, total, axis, draw, solid=False, begins=item.begins, ends=item.ends)


def spots(item: Tangle, boxes: Mapping[str, Box]) -> list[list[Spot]]:
    """Ranks of blocks and lanes; the first and last hold one point each, where lines enter and leave."""
    level: dict[str, int] = {}
    read: dict[str | None, list[str]] = {}
    for source, target in item.edges:
        if source is not None:
            read.setdefault(target, []).append(source)
    for block in item.blocks:
        level[block.name] = 1 + max((level[source] for source in read.get(block.name, ())), default=0)
    depth = max(level.values()) + 2
    lanes = sum(level.get(target or "", depth - 1) - level.get(source or "", 0) for source, target in item.edges)
    if lanes > MOST_LANES:
        much = f"{len(item.edges):,} lines between {len(item.blocks):,} layers are more than can be drawn"
        raise SpecError("G334", f"{much}: `--until` stops at a layer, names with / make groups")
    ranks: list[list[Spot]] = [[] for _ in range(depth)]
    first, last = Spot(0, None), Spot(depth - 1, None)
    place: dict[str, Spot] = {}
    for block in item.blocks:
        place[block.name] = Spot(level[block.name], boxes[block.name])
        ranks[level[block.name]].append(place[block.name])
    ranks[0], ranks[-1] = [first], [last]
    for source, target in item.edges:
        if (source is None and item.begins) or (target is None and item.ends):
            continue
        upper = first if source is None else place[source]
        goal = last if target is None else place[target]
        while upper.rank + 1 < goal.rank:
            lane = Spot(upper.rank + 1, None)
            ranks[lane.rank].append(lane)
            join(upper, lane)
            upper = lane
        join(upper, goal)
    return ranks


def join(upper: Spot, lower: Spot) -> None:
    upper.below.append(lower)
    lower.above.append(upper)


def order(ranks: list[list[Spot]], down: bool) -> None:
    """One sweep: each rank ordered by the average place of its neighbours in the rank before."""
    for index in range(1, len(ranks)) if down else range(len(ranks) - 2, -1, -1):
        places = {id(spot): float(i) for i, spot in enumerate(ranks[index - 1 if down else index + 1])}
        own = {id(spot): float(i) for i, spot in enumerate(ranks[index])}

        def wanted(spot: Spot, places: dict[int, float] = places, own: dict[int, float] = own) -> float:
            near = spot.above if down else spot.below
            return sum(places[id(each)] for each in near) / len(near) if near else own[id(spot)]

        ranks[index].sort(key=wanted)


def settle(ranks: list[list[Spot]], down: bool) -> None:
    """One sweep: each spot goes where its neighbours are, as far as those beside it let it."""
    for rank in ranks if down else reversed(ranks):
        for spot in rank:
            near = (spot.above if down else spot.below) or [*spot.above, *spot.below]
            if near:
                spot.centre = sum(each.centre for each in near) / len(near)
        wanted = sum(spot.centre for spot in rank) / len(rank)
        for left, right in pairwise(rank):
            right.centre = max(right.centre, left.centre + left.half + ASIDE + right.half)
        shift = sum(spot.centre for spot in rank) / len(rank) - wanted
        for spot in rank:
            spot.centre -= shift
