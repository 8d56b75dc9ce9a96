"""The processes that run one command together, on one host or several, and what they exchange.

The words are MPI's: a world of `size` processes, each with its `rank`; all of them run the same program and make the
same calls in the same order. A process works on one shard of a batch or on several in a row (`shards_of`). A command
that nobody started with `mpiexec` is a world of one, `LOCAL_WORLD`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from graphc.errors import MachineError, SpecError
from graphc.types import Array

Request: TypeAlias = Any
"""A message under way: `Test()` says whether it is through."""


class World(Protocol):
    """What a process sees of the others."""

    rank: int
    """Of this process, from 0."""
    size: int
    """How many there are."""

    def exchange(self, value: Any, count: int | None = None) -> list[Any]:
        """The value of each of the first `count` ranks (default: of all), in their order; every one of them makes this
        call. Values are those of `graphc.parallel.encoding`; others' arrays are the caller's own. A MachineError that
        names rank and host where one of them is lost or gives no answer."""

    def send(self, array: Array, rank: int, tag: int) -> Request:
        """Begin to send a contiguous array [...], which stays as it is until the request is through. What goes to one
        rank under one tag is received in the order in which it was sent."""

    def receive(self, array: Array, rank: int, tag: int) -> Request:
        """Begin to receive into a contiguous array [...] what this rank sends under this tag."""

    def wait(self, requests: dict[int, list[Request]], progress: Callable[[], None] = lambda: None) -> None:
        """Until the requests, by the rank that they are of, are through; `progress` is called meanwhile. Errors as of
        `exchange`."""

    def name(self, rank: int) -> str:
        """What messages call it: `rank 2 (host b, pid 77)`."""


@dataclass(frozen=True)
class LocalWorld(World):
    """A world of one process."""

    rank: int = 0
    size: int = 1

    def exchange(self, value: Any, count: int | None = None) -> list[Any]:
        return [value]

    def send(self, array: Array, rank: int, tag: int) -> Request:
        raise ValueError("there is no other rank")

    def receive(self, array: Array, rank: int, tag: int) -> Request:
        raise ValueError("there is no other rank")

    def wait(self, requests: dict[int, list[Request]], progress: Callable[[], None] = lambda: None) -> None:
        """Nobody is waited for."""

    def name(self, rank: int) -> str:
        return f"rank {rank}"


LOCAL_WORLD = LocalWorld()


def shards_of(rank: int, size: int, num_shards: int, used: int | None = None) -> range:
    """The shards that a rank works on: runs of nearly equal length; of a batch that has `used` shards only, those of
    them that are there."""
    start, stop = (num_shards * each // size for each in (rank, rank + 1))
    most = num_shards if used is None else used
    return range(min(start, most), min(stop, most))


def check_shards(world: World, num_shards: int) -> None:
    """A SpecError where there are more processes than shards of a batch."""
    if world.size > num_shards:
        message = f"expected at most as many MPI ranks as shards, found {world.size} with shards: {num_shards}"
        notes = [f"--set shards={world.size} at `train`; the results depend on how many there are"]
        raise SpecError("G617", message, notes=notes)


def from_first(world: World, value: Any) -> Any:
    """Rank 0's value, in every rank; what other ranks bring is not looked at."""
    return world.exchange(value if world.rank == 0 else None)[0] if world.size > 1 else value


def check_equal(world: World, what: str, found: dict[str, Any]) -> None:
    """A MachineError, in every rank, that names what is not as it is in rank 0: `found`, texts and numbers by name."""
    first, *others = world.exchange(found)
    notes = [
        f"{key}: {first.get(key)} in {world.name(0)}, {other.get(key)} in {world.name(rank)}"
        for rank, other in enumerate(others, start=1)
        for key in sorted({*first, *other})
        if first.get(key) != other.get(key)
    ]
    if notes:
        raise MachineError("G525", f"expected {what} to be the same in all ranks, found differences", notes=notes)


def joined(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """What each rank has of its shards, as one list in the order of shards."""
    return [each for part in parts for each in part]
