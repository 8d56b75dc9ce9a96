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
        rows = None if buffer is None else buffer[0][buffer[1]]
        brought = {"value": value, "rows": rows if self.rank else None}
        here = self._local.all_gather(brought)
        everyones = joined(self._world.exchange(here, self._processes)) if self._local.rank == 0 else None
        everyones = self._local.all_gather(everyones)[0]
        if buffer is not None and self.rank == 0:
            for rank, each in enumerate(everyones[1:], start=1):
                buffer[0][rows_of(len(buffer[0]), rank, self.world_size)] = each["rows"]
        found = [each["value"] for each in everyones]
        found[self.rank] = value
        return found

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        array = np.empty(shape, dtype)
        self._rows = array, rows_of(shape[0], self.rank, self.world_size)
        return array
