"""Memory that is used again: a step's arrays come from a pool and go back when nobody holds them.

Python's reference counts are the liveness plan: an array and all its views keep one lease alive, and the lease's
end puts the memory back. After the first step the pool has what a step needs and nothing faults in fresh memory.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, TypeAlias

from graphc.lazy import np
from graphc.types import Array

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""
Block: TypeAlias = tuple[Array, int]
"""Memory, and the aligned address in it at which arrays start."""


class Workspace:
    """A pool of blocks by size. Threads may share it: taking and giving back are single list operations."""

    smallest = 1 << 12
    """Bytes below which NumPy's own allocation is as good."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[Block]] = defaultdict(list)
        self.allocated = 0
        """Bytes ever taken from the system: what the pool holds, lent or free."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array with no particular contents."""
        dtype = np.dtype(dtype)
        needed = math.prod(shape) * dtype.itemsize
        if needed < self.smallest:
            return np.empty(shape, dtype)
        size = block_size(needed)
        free = self._free[size]
        try:
            block = free.pop()
        except IndexError:
            block = self._new_block(size)
            self.allocated += size
        return np.asarray(_Lease(block, free, shape, dtype.str))

    def _new_block(self, size: int) -> Block:
        memory = np.empty(size + ALIGNMENT, np.uint8)
        address = memory.ctypes.data
        return memory, address + -address % ALIGNMENT


class _Lease:
    """The owner of one array's memory, until the array and its views are gone."""

    __slots__ = ("__array_interface__", "_block", "_free")

    def __init__(self, block: Block, free: list[Block], shape: tuple[int, ...], typestr: str) -> None:
        self._block = block
        self._free = free
        address = block[1]
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": typestr, "data": (address, False)}

    def __del__(self) -> None:
        self._free.append(self._block)


def block_size(needed: int) -> int:
    """`needed` rounded up to an eighth of its power of two, so that nearly equal sizes share blocks."""
    grain = max(ALIGNMENT, 1 << max(needed.bit_length() - 4, 0))
    return -(-needed // grain) * grain
