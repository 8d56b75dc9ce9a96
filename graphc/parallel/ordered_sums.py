"""Sums of arrays over the shards of a batch, in the order of shards, while the processes compute.

Each process owns a block of every array. It receives that block of every shard, adds them in the order of shards, and
sends the sum to all: as many bytes as any all-reduce, where a process has one shard, and the same bits as one process
that adds whole arrays one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.lazy import np
from graphc.parallel.world import Request, World
from graphc.types import Array

PARTS, SUM, KINDS = 0, 1, 2
"""Of the messages of an array: those of a rank's shards come in the order of the shards, as they are sent."""


@dataclass
class _Sum:
    """One array of all shards on its way."""

    own: Sequence[Array]
    """Those of this process's shards, flat [n]."""
    total: Array
    """Flat [n]: the sum."""
    shares: dict[int, Array]
    """Others' shards -> their part of this process's block [n / size]."""
    arriving: dict[int, list[Request]]
    """Parts of this process's block, by rank."""
    added: bool = False
    moving: dict[int, list[Request]] = field(default_factory=dict)
    """What is sent, and other blocks' sums, by rank."""


class OrderedSums:
    """Sums of arrays, each under a number that is the same in every rank."""

    def __init__(self, world: World, shards: Sequence[range]) -> None:
        """`shards`: of each rank."""
        self._world = world
        self._shards = shards
        self._sums: dict[int, _Sum] = {}
        self._lock = threading.Lock()

    def start(self, number: int, own: Sequence[Array], shape: tuple[int, ...], dtype: Any) -> None:
        """Begin to add arrays [...] of this shape: `own` has those of this process's shards, in order, which stay as
        they are until `finish`."""
        world, size = self._world, self._world.size
        flat = [np.ascontiguousarray(array).reshape(-1) for array in own]
        total = np.empty(int(np.prod(shape, dtype=np.int64)), dtype)
        blocks = [slice(len(total) * rank // size, len(total) * (rank + 1) // size) for rank in range(size)]
        mine = blocks[world.rank]
        new = _Sum(flat, total, {}, {})
        with self._lock:
            for rank in range(size):
                if rank == world.rank:
                    continue
                for shard in self._shards[rank]:
                    new.shares[shard] = share = np.empty(mine.stop - mine.start, dtype)
                    new.arriving.setdefault(rank, []).append(world.receive(share, rank, PARTS + KINDS * number))
                moving = new.moving.setdefault(rank, [])
                for array in flat:
                    moving.append(world.send(array[blocks[rank]], rank, PARTS + KINDS * number))
                moving.append(world.receive(total[blocks[rank]], rank, SUM + KINDS * number))
            self._sums[number] = new
        self.progress()

    def progress(self) -> None:
        """Add and send what has come."""
        with self._lock:
            for number, each in self._sums.items():
                if not each.added and _through(each.arriving):
                    self._add(number, each)

    def finish(self) -> dict[int, Array]:
        """The sums, flat [n] each, by number."""
        with self._lock:
            sums = dict(self._sums)
        for each in sums.values():
            self._world.wait(each.arriving, self.progress)
        self.progress()
        for each in sums.values():
            self._world.wait(each.moving)
        self._sums = {}
        return {number: each.total for number, each in sums.items()}

    def _add(self, number: int, each: _Sum) -> None:
        """In the order of shards."""
        world, size = self._world, self._world.size
        mine = slice(len(each.total) * world.rank // size, len(each.total) * (world.rank + 1) // size)
        own = dict(zip(self._shards[world.rank], each.own, strict=True))
        parts = {**each.shares, **{shard: array[mine] for shard, array in own.items()}}
        first, *others = (parts[shard] for shard in sorted(parts))
        total = each.total[mine]
        total[...] = first
        for other in others:
            total += other
        for rank in range(size):
            if rank != world.rank:
                each.moving[rank].append(world.send(total, rank, SUM + KINDS * number))
        each.added = True


def _through(requests: dict[int, list[Request]]) -> bool:
    for rank in list(requests):
        requests[rank] = [request for request in requests[rank] if not request.Test()]
        if not requests[rank]:
            del requests[rank]
    return not requests
