"""Memory that a process shares with those it forks.

Each mapping reserves as many addresses as the machine has memory and takes a page when it is touched (`MAP_NORESERVE`),
so nothing has to grow, and every process finds a thing at the same place. A group of processes has three a shard and
three more, a network one for its variables. Addresses are plenty, 128 TiB of them on 64-bit Linux; where the system
grants no more than it has memory, there is an OSError, and threads do the work.
"""

from __future__ import annotations

import json
from typing import Any

from graphc.lazy import np
from graphc.parallel.encoding import LENGTH, before_one, described, is_plain, of_head, value_of
from graphc.system import shared_memory
from graphc.types import Array
from graphc.workspace import ALIGNMENT, Block, Workspace


class SharedChannel:
    """One value at a time, from one process to others; its arrays are read where they lie.

    An array by itself, which is what ranks bring to most collective calls, has its shape and dtype in a few bytes, and
    takes 6 µs there and back in place of 13; anything else is described in JSON.
    """

    def __init__(self) -> None:
        self._memory = memoryview(shared_memory())

    def write(self, value: Any) -> None:
        """Arrays, numbers, texts, and mappings, lists and tuples of them. They stay until the next `write`, which must
        not come before everyone is done with what was read. Whatever their strides, arrays are read in C order."""
        if is_plain(value):
            self._memory[:ALIGNMENT] = before_one(value)
            np.copyto(np.ndarray(value.shape, value.dtype, self._memory, ALIGNMENT), value)
            return
        arrays: list[Array] = []
        text = json.dumps(described(value, arrays)).encode()
        LENGTH.pack_into(self._memory, 0, len(text))
        self._memory[LENGTH.size : LENGTH.size + len(text)] = text
        at = LENGTH.size + len(text)
        for array in arrays:
            at += -at % ALIGNMENT
            np.copyto(np.ndarray(array.shape, array.dtype, self._memory, at), array)
            at += array.nbytes

    def read(self) -> Any:
        """What was written last; arrays are views of the shared memory, tuples are lists."""
        (length,) = LENGTH.unpack_from(self._memory)
        if length < 0:
            dtype, shape = of_head(self._memory, LENGTH.size)
            return np.ndarray(shape, dtype, self._memory, ALIGNMENT)
        at = LENGTH.size + length

        def take(dtype: str, shape: list[int]) -> Array:
            nonlocal at
            at += -at % ALIGNMENT
            array: Array = np.ndarray(shape, dtype, self._memory, at)
            at += array.nbytes
            return array

        return value_of(json.loads(bytes(self._memory[LENGTH.size : at])), take)


class SharedArena(Workspace):
    """A workspace in shared memory: one process takes arrays from it, the others find them by their offset."""

    smallest = 0

    def __init__(self) -> None:
        super().__init__()
        self._memory = shared_memory()
        self._address = np.frombuffer(self._memory, np.uint8).ctypes.data

    def _new_block(self, size: int) -> Block:
        offset = self.allocated
        self.allocated += size
        return self._memory, offset

    def offset(self, array: Array) -> int:
        """Where in the shared memory an array of this arena, of any shape, begins, in bytes."""
        return int(array.ctypes.data) - self._address

    def at(self, offset: int, shape: tuple[int, ...], dtype: Any) -> Array:
        """The array of this shape and dtype ([…]: any) that the owner has there: a view."""
        return np.ndarray(shape, dtype, self._memory, offset)
