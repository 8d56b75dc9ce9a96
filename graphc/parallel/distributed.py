"""Ranks in the processes of a world: each process has one shard of a batch, or several in threads of its own."""

from __future__ import annotations

from typing import Any

from graphc.lazy import np
from graphc.parallel.communicator import Communicator, rows_of
from graphc.parallel.world import World, joined
from graphc.types import Array


class WorldCommunicator(Communicator):
    """What a shard's rank sees of those in this process and in others."""

    def __init__(self, local: Communicator, world: World, shards: list[range]) -> None:
        """`local`: of the shards of this process; `shards`: of each process that has some, in the order of ranks."""
        self.rank = shards[world.rank].start + local.rank
        self.world_size = sum(map(len, shards))
        self._local, self._world = local, world
        self._processes = len(shards)
        self._rows: tuple[Array, slice] | None = None
        """Of a shared buffer, those that this shard writes: they go out with the next call."""

    def all_gather(self, value: Any) -> list[Any]:
        buffer, self._rows = self._rows, None
        if buffer is None:
            return self._gathered(value)
        array, own = buffer
        everyones = self._gathered([value, array[own] if self.rank else None])
        if self.rank == 0:
            for rank, (_, rows) in enumerate(everyones[1:], start=1):
                array[rows_of(len(array), rank, self.world_size)] = rows
        return [each for each, _ in everyones]

    def _gathered(self, value: Any) -> list[Any]:
        here = self._local.all_gather(value)
        everyones = joined(self._world.exchange(here, self._processes)) if self._local.rank == 0 else None
        return list(self._local.all_gather(everyones)[0])

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        array = np.empty(shape, dtype)
        self._rows = array, rows_of(shape[0], self.rank, self.world_size)
        return array
