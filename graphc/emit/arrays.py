"""Arrays as they lie in the file: C order, little-endian, float32 or int64, or the types of converted models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.types import Array

LINE = 64
"""Bytes of a line of the cache."""
TILE = 1 << 15
"""Numbers that are transposed at a time, which stay in the cache with what they come from and go to."""
TILE_ROWS = 128
"""Rows of the target, which are often columns of the source, at a time."""
BUFFER = 1 << 18
"""Numbers that are copied before they are written."""


CONVERTED = {"int8": "|i1", "uint8": "|u1", "int32": "<i4", "float16": "<f2"}
"""Types that stay as they are: those of quantized tensors, and of half precision."""


def file_dtype(array: Array) -> str:
    """Floats of any shape become float32, whole numbers int64, but for those of converted models."""
    return CONVERTED.get(array.dtype.name, "<f4" if array.dtype.kind == "f" else "<i8")


def file_size(array: Array) -> int:
    """Bytes of an array of any shape in the file."""
    return array.size * np.dtype(file_dtype(array)).itemsize


def file_parts(array: Array) -> Iterator[memoryview]:
    """The bytes of an array of any shape in the file, in order; a part is good until the next is asked for.

    What lies otherwise in memory is copied through one small buffer, which stays in the cache.
    """
    if not array.size:
        return
    if array.ndim == 0 or _lies_as_in_file(array):
        yield c_ordered(array).data.cast("B")
        return
    rows = max(1, BUFFER // (array.size // len(array)))
    buffer = np.empty((min(rows, len(array)), *array.shape[1:]), file_dtype(array))
    for first in range(0, len(array), rows):
        source = array[first : first + rows]
        target = buffer[: len(source)]
        copy(source, target)
        yield target.data.cast("B")


def _lies_as_in_file(array: Array) -> bool:
    return bool(array.flags.c_contiguous) and array.dtype == file_dtype(array)


def c_ordered(array: Array) -> Array:
    """The array, of any shape, in C order and the file's type."""
    if _lies_as_in_file(array):
        return array
    found = np.empty(array.shape, file_dtype(array))
    copy(array, found)
    return found


def copy(source: Array, target: Array) -> None:
    """Copy between arrays of one shape and different orders, tile by tile.

    Rows of weights are a power of two apart, so that a column of them falls into a few places of the cache and has no
    room there. A tile is therefore copied to memory in the source's order first, with rows that are an odd number of
    lines apart, and from there to the target: 3 to 5 times as fast as at once.
    """
    if source.ndim < 2 or not source.size:
        np.copyto(target, source)
        return
    rows = min(len(source), TILE_ROWS)
    columns = min(source.shape[1], max(1, TILE // (rows * source[0, 0].size)))
    memory = _padded((rows, columns, *source.shape[2:]), source.strides, target.dtype)
    for top in range(0, len(source), rows):
        for left in range(0, source.shape[1], columns):
            part = np.s_[top : top + rows, left : left + columns]
            tile = memory[: len(source[part]), : source[part].shape[1]]
            np.copyto(tile, source[part])
            np.copyto(target[part], tile)


def _padded(shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Memory for an array of this shape whose axes lie in the order of these strides, the innermost one padded to an
    odd number of lines."""
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    sizes = [shape[axis] for axis in order]
    lines = -(-sizes[-1] * dtype.itemsize // LINE)
    sizes[-1] = (lines | 1) * LINE // dtype.itemsize
    found: Array = np.empty(sizes, dtype).transpose(np.argsort(order))
    return found[tuple(map(slice, shape))]
