"""The rows of a batch that a process of a world makes: those of its own shards; the others' targets come from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphc.data.batch import Batch
from graphc.parallel.communicator import shard_slices
from graphc.parallel.world import World, shards_of


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Which rows of a batch are this process's."""

    world: World
    num_shards: int

    def of(self, count: int) -> slice:
        """Of a batch of so many rows; none where it has fewer shards than there are ranks before this one."""
        slices = shard_slices(count, self.num_shards)
        own = slices[slice(*self._ends(len(slices)))]
        return slice(own[0].start, own[-1].stop) if own else slice(0, 0)

    def completed(self, batch: Batch) -> Batch:
        """The batch with everyones' targets; its inputs [N, …] are there in the own rows alone."""
        own = self.of(len(batch))
        parts = self.world.exchange({name: array[own] for name, array in batch.targets.items()})
        working = [part for part in parts if part and len(next(iter(part.values())))]
        targets = {name: np.concatenate([part[name] for part in working]) for name in working[0]} if working else {}
        return replace(batch, targets=targets)

    def _ends(self, used: int) -> tuple[int, int]:
        shards = shards_of(self.world.rank, self.world.size, self.num_shards, used)
        return shards.start, shards.stop
