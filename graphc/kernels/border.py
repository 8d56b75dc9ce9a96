"""Borders made of an image's own pixels: mirrored, repeated or continued at the other side.

x is [N, …, C], with a pair of pixels (before, after) for each axis between. Axes are done one after the other, the
corners with the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from graphc.lazy import np
from graphc.types import Array, Context

BorderMode: TypeAlias = Literal["reflect", "edge", "symmetric", "circular"]
"""reflect: mirrored at the border pixel, which is not repeated. edge: the border pixel, again and again. symmetric:
mirrored with the border pixel. circular: from the other side."""


def border_pixels(size: int, before: int, after: int, mode: BorderMode) -> Iterator[tuple[int, int]]:
    """Each pixel of the border along one axis, and the one of the image that it is a copy of, both as places in the
    padded image."""
    named = "wrap" if mode == "circular" else mode
    sources = np.pad(np.arange(size), (before, after), mode=named) + before
    for place in (*range(before), *range(before + size, before + size + after)):
        yield place, int(sources[place])


def add_border(context: Context, x: Array, pads: Sequence[tuple[int, int]], mode: BorderMode) -> Array:
    """x [N, …, C] with so many pixels around it: a new array [N, …, C]."""
    sizes = [size + sum(sides) for size, sides in zip(x.shape[1:-1], pads, strict=True)]
    padded = context.empty((len(x), *sizes, x.shape[-1]), x.dtype)
    _inside(padded, pads)[...] = x
    for axis, sides in enumerate(pads):
        rows = _lines(padded, axis, pads)
        for place, source in border_pixels(x.shape[1 + axis], *sides, mode):
            rows[place] = rows[source]
    return padded


def border_gradient(context: Context, dy: Array, pads: Sequence[tuple[int, int]], mode: BorderMode) -> Array:
    """The gradient [N, …, C] of x from that of x with its border, dy [N, …, C]; a view of a copy."""
    padded = context.empty(dy.shape, dy.dtype)
    padded[...] = dy
    for axis, sides in reversed(list(enumerate(pads))):
        rows = _lines(padded, axis, pads)
        for place, source in border_pixels(len(rows) - sum(sides), *sides, mode):
            rows[source] += rows[place]
    return _inside(padded, pads)


def _inside(padded: Array, pads: Sequence[tuple[int, int]], first: int = 0) -> Array:
    """The images inside their border, as a view; along the axes before `first` with it."""
    for axis, (before, after) in enumerate(pads):
        if axis >= first:
            lines = np.moveaxis(padded, 1 + axis, 0)
            padded = np.moveaxis(lines[before : len(lines) - after], 0, 1 + axis)
    return padded


def _lines(padded: Array, axis: int, pads: Sequence[tuple[int, int]]) -> Array:
    """The padded images as rows along one axis, of which those before have their border and those behind not yet: a
    view [H, N, …, C]."""
    lines: Array = np.moveaxis(_inside(padded, pads, axis + 1), 1 + axis, 0)
    return lines
