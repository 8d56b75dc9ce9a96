"""Areas of COCO's annotations as arrays of truth values: polygons and run lengths, to the pixel as COCO's own tools.

Pixels are counted down the columns, from left to right. An area is known by the places in this count at which it
begins or ends: a pixel is inside where an odd number of places lies at it or before it. Run lengths are the distances
between these places. The edge of a polygon gives one place for each column of pixels that it crosses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.types import Array

FINER = 5
"""Edges of polygons are followed on a grid so many times finer than the pixels."""
FAR = 20
"""A polygon may reach beyond the image by so many times its longer side."""
LONGEST = 400_000
"""Pixels along the edges of a polygon: a point of the finer grid takes 70 bytes."""
EDGE = 100
"""Pixels that are looked at in the time of one along an edge."""


class BadAreaError(ValueError):
    """An area that cannot be drawn."""


def area_of(segmentation: Any, height: int, width: int) -> Array:
    """Truth values [height, width]: whether a pixel is inside; several polygons together are one area."""
    found = np.zeros((height, width), bool, order="F")
    paint(found, segmentation, True)
    return found


def paint(into: Array, segmentation: Any, value: int) -> None:
    """Write a value where an area is into `into`, [height, width], which lies in columns (order F). What is not
    near the area takes no time."""
    height, width = into.shape
    if isinstance(segmentation, Mapping):
        starts, ends = _stretches(run_lengths(segmentation, height, width))
        if len(starts):
            lengths = np.zeros(2 * len(starts) - 1, np.int64)
            lengths[::2], lengths[1::2] = ends - starts, starts[1:] - ends[:-1]
            inside = np.repeat(np.arange(len(lengths)) % 2 == 0, lengths)
            into.reshape(-1, order="F")[starts[0] : ends[-1]][inside] = value
        return
    for polygon in polygons_of(segmentation, height, width):
        columns, rows = _crossings(polygon, height, width)
        if len(rows) and (top := rows.min()) < (bottom := rows.max()):
            left, right = columns.min(), columns.max() + 1
            places = (columns - left) * (bottom - top) + rows - top
            into[top:bottom, left:right][_inside(places, bottom - top, right - left)] = value


def cost_of(segmentation: Any, height: int, width: int) -> int:
    """How many pixels could be looked at in the time in which an area is painted."""
    if isinstance(segmentation, Mapping):
        starts, ends = _stretches(run_lengths(segmentation, height, width))
        return int(ends[-1] - starts[0]) if len(starts) else 0
    polygons = polygons_of(segmentation, height, width)
    corners, first = np.clip(np.concatenate(polygons), 0, (width, height)), _firsts(polygons)
    sides = np.ceil(np.maximum.reduceat(corners, first)) - np.floor(np.minimum.reduceat(corners, first))
    return int(sides.prod(axis=1).sum()) + EDGE * int(_lengths(polygons).sum())


def _firsts(polygons: Sequence[Array]) -> Array:
    """The row of each polygon's first corner where the corners of all lie one behind another, int64 [N]."""
    counts = np.array([len(polygon) for polygon in polygons])
    return np.asarray(np.cumsum(counts) - counts)


def _lengths(polygons: Sequence[Array]) -> Array:
    """Pixels along the edges of each polygon, each edge counted in its longer direction, float64 [N]."""
    corners, first = np.concatenate(polygons), _firsts(polygons)
    following = np.roll(corners, -1, axis=0)
    following[np.append(first[1:], len(corners)) - 1] = corners[first]
    return np.floor(np.add.reduceat(np.abs(following - corners).max(axis=1), first))


def polygons_of(segmentation: Any, height: int, width: int) -> list[Array]:
    """The corners (x, y) of each polygon, as arrays [K, 2]."""
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str) or not segmentation:
        raise BadAreaError("expected polygons or run lengths")
    found, far = [], FAR * max(height, width)
    for polygon in segmentation:
        try:
            corners = np.array(polygon, np.float64)
        except (TypeError, ValueError, OverflowError):
            raise BadAreaError("expected polygons of numbers") from None
        if corners.ndim != 1 or len(corners) % 2 or len(corners) < 6:
            raise BadAreaError(f"expected a polygon of x and y of three corners or more, found {corners.size} numbers")
        found.append(corners.reshape(-1, 2))
    if not (np.abs(np.concatenate(found)) <= far).all():
        raise BadAreaError(f"expected corners near an image of {height}×{width}, found one far from it")
    if (longest := int(_lengths(found).max())) > LONGEST:
        raise BadAreaError(f"expected a polygon with edges of at most {LONGEST:,} pixels, found {longest:,}")
    return found


def run_lengths(segmentation: Mapping[str, Any], height: int, width: int) -> Array:
    """The run lengths, int64 [K], of a mapping with `size` and `counts`, outside first: a list, or COCO's compressed
    text."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise BadAreaError(f"expected run lengths of an image of {[height, width]}, found {size}")
    if isinstance(counts, str):
        found = _uncompressed(counts)
    elif isinstance(counts, list) and all(type(count) is int and 0 <= count <= height * width for count in counts):
        found = np.array(counts, np.int64)
    else:
        raise BadAreaError("expected run lengths as a list of whole numbers or as text")
    total = sum(found.tolist())  # which has no largest number
    if found.min(initial=0) < 0 or total != height * width:
        raise BadAreaError(f"expected run lengths of {height * width} pixels together, found {total}")
    return found


def box_of(segmentation: Any, height: int, width: int) -> list[float] | None:
    """Left, top, right, bottom of an area: of a polygon's corners, else of its pixels; None where it is empty."""
    if not isinstance(segmentation, Mapping):
        corners = np.concatenate(polygons_of(segmentation, height, width))
        return [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
    starts, ends = _stretches(run_lengths(segmentation, height, width))
    if not len(starts):
        return None
    first, last = starts // height, (ends - 1) // height
    whole = bool((first < last).any())  # it goes on in the next column, from its lowest pixel to the highest there
    top, bottom = (0, height - 1) if whole else ((starts % height).min(), ((ends - 1) % height).max())
    return [float(first[0]), float(top), last[-1] + 1.0, bottom + 1.0]


def _stretches(lengths: Array) -> tuple[Array, Array]:
    """(where each run that is inside begins, where it ends), int64 [K], in order; none is empty."""
    ends = np.cumsum(lengths)
    starts, ends = ends[:-1:2], ends[1::2]
    there = starts[: len(ends)] < ends
    return starts[: len(ends)][there], ends[there]


def _inside(places: Array, height: int, width: int) -> Array:
    """Pixels with an odd number of places at or before them."""
    passed = np.cumsum(np.bincount(places, minlength=height * width + 1)[: height * width])
    return np.asarray((passed % 2 == 1).reshape(width, height).T)


def _crossings(corners: Array, height: int, width: int) -> tuple[Array, Array]:
    """(columns of pixels that a polygon's edge crosses, the rows from which on they change sides), int64 [K].

    Corners are rounded to the finer grid, and edges followed on it. Where the edge goes from one column of the grid
    to the next, and what lies between them is the middle of a column of pixels, everything in that column from the
    edge on changes sides. The first pixel that changes is the first whose middle is not above the edge.
    """
    fine = np.trunc(FINER * corners + 0.5)
    x, y = _followed(fine, np.roll(fine, -1, axis=0))
    steps = np.flatnonzero(np.diff(x))
    column = (np.minimum(x[steps], x[steps + 1]) + 0.5) / FINER - 0.5
    row = np.ceil(np.clip((np.minimum(y[steps], y[steps + 1]) + 0.5) / FINER - 0.5, 0, height))
    middle = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    return column[middle].astype(np.int64), row[middle].astype(np.int64)


def _followed(starts: Array, ends: Array) -> tuple[Array, Array]:
    """(x, y) of every point of the grid along the edges, one a step of the longer direction, corners twice.

    A point's place in the shorter direction is worked out from the edge's end with the smaller longer coordinate,
    so that an edge is the same in both directions.
    """
    apart = ends - starts
    flat = np.abs(apart[:, 0]) >= np.abs(apart[:, 1])
    length = np.abs(apart).max(axis=1).astype(np.int64)
    edge = np.repeat(np.arange(len(length)), length + 1)
    along = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    long_axis = np.where(flat, 0, 1)
    every = np.arange(len(length))
    backward = apart[every, long_axis] < 0
    first = np.where(backward[:, None], ends, starts)
    last = np.where(backward[:, None], starts, ends)
    slope = (last - first)[every, 1 - long_axis] / np.maximum(length, 1)
    t = np.where(backward[edge], length[edge] - along, along)
    longer = first[every, long_axis][edge] + t
    shorter = np.trunc(first[every, 1 - long_axis][edge] + slope[edge] * t + 0.5)
    return np.where(flat[edge], longer, shorter), np.where(flat[edge], shorter, longer)


def _uncompressed(text: str) -> Array:
    """Run lengths from COCO's text.

    Each number is written in characters of six bits, counted from `0`: five bits of the number, the lowest first, and
    one that says that more follow; the highest bit of the last five is the sign. From the fourth on, a number is the
    difference from the one two before it.
    """
    signs = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - ord("0")
    if not len(signs):
        return np.zeros(0, np.int64)
    last = signs & 32 == 0
    if (signs < 0).any() or (signs > 63).any() or not last[-1]:
        raise BadAreaError("the text of run lengths is damaged")
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > math.ceil(60 / 5):
        raise BadAreaError("the text of run lengths is damaged: a number is too large")
    starts = ends - lengths + 1
    shift = 5 * (np.arange(len(signs)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((signs & 31) << shift, starts)
    numbers -= np.where(signs[ends] & 16, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return np.asarray(numbers)
