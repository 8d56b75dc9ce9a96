"""Shards of a batch, and how the ranks that work on them exchange values.

The words are MPI's. A world of `world_size` ranks runs the same program, each rank on its own shard, and all of them
make the same calls in the same order. MPI's own collectives are not behind the protocol: the order of sums in its
`Allreduce` is the library's, and a call that waits for a rank that is lost does not return (`graphc.parallel.mpi`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.lazy import np
from graphc.types import Array

NUM_SHARDS = 2
"""Of a batch; a batch of fewer examples has one per example. More of them serve more cores and have shorter
operations."""


class Communicator(Protocol):
    """What one rank sees of the others. Every call is collective: each rank makes it, or none goes on."""

    rank: int
    """Of this rank, from 0."""
    world_size: int
    """How many ranks there are."""

    def all_gather(self, value: Any) -> list[Any]:
        """Every rank's value, in the order of ranks: arrays, numbers, texts, None, and dicts, lists and tuples of
        them. Arrays are not to be written in, and last until this rank's next call; their strides may be others than
        in the rank that they come from. What a rank brings it leaves as it is until its own next call has returned:
        others may read it where it lies."""

    def all_reduce(self, array: Array) -> Array:
        """The sum of every rank's array of this shape, added in the order of ranks: the same bits in each rank."""
        total: Array = sum(self.all_gather(array))
        return total

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """One array of this shape and dtype ([…]: any) without particular contents, in which each rank may write its
        own rows, those of `rows_of`. It is rank 0's, which may keep it; the others may use it until their next call.
        What they wrote is there for rank 0 after that call."""

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.all_gather(None)


class LocalCommunicator(Communicator):
    """A world of one rank."""

    rank = 0
    world_size = 1

    def all_gather(self, value: Any) -> list[Any]:
        return [value]

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)


@dataclass(frozen=True, slots=True)
class Shard:
    """What one rank works on."""

    communicator: Communicator
    examples: slice
    """Of the batch."""

    @property
    def rank(self) -> int:
        return self.communicator.rank

    def of(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Its own examples of a batch's arrays [N, …]: views [n, …]."""
        return {name: array[self.examples] for name, array in arrays.items()}


def whole_batch() -> Shard:
    """All examples of a batch, in a world of one rank."""
    return Shard(LocalCommunicator(), slice(None))


def rows_of(count: int, rank: int, world_size: int) -> slice:
    """A rank's run of so many rows."""
    return slice(count * rank // world_size, count * (rank + 1) // world_size)


def shard_slices(count: int, num_shards: int) -> list[slice]:
    """`count` examples in at most `num_shards` runs of nearly equal length, none of them empty."""
    num_shards = min(num_shards, count)
    bounds = [count * shard // num_shards for shard in range(num_shards + 1)]
    return [slice(*bounds[shard : shard + 2]) for shard in range(num_shards)]
