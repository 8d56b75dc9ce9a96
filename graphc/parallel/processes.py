"""Ranks in processes: rank 0 is the caller, the others are workers forked from it.

Threads take turns at the interpreter; processes do not. A worker carries out commands and keeps what it likes in
between. Everything goes through memory that is shared, and semaphores say when: `graphc.parallel` has the rules.

Measured (docs/performance.md). resnet20 did 630 images a second in threads of one process, where two processes that
never wait for each other did 770; processes with collective calls did 870 of 950. Pipes are for errors: a message over
a pipe takes 6 µs when nothing else runs, but 50 to 80 in a step, whose data throw the interpreter's code out of the
caches. LeNet's step, with some twelve messages, gained 0.2 ms by semaphores. Processes bound to processors gained
nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.communicator import Communicator, Shard, shard_slices
from graphc.parallel.shared_memory import SharedArena, SharedChannel
from graphc.parallel.waiting import SPIN, Overdue, acquire
from graphc.parallel.worker import State, Worker, WorkerProcess, end_all, no_answer, start_all
from graphc.system import fork_context
from graphc.types import Array

T = TypeVar("T")

Commands: TypeAlias = Mapping[str, Callable[..., Any]]
"""What a worker can be told to do, by name. What a command gives back goes to rank 0: arrays, numbers, texts, None, and
dicts, lists and tuples of them. Its arguments were that too, and may be used until the next command has ended."""


class Side(Protocol):
    """What a communicator asks of the process that it is in: `Worker`, or rank 0's `_Parent`."""

    def enter(self, state: State) -> None:
        """Say what it does."""

    def waiting_for(self, rank: int) -> Callable[[], None]:
        """What is done now and then while this rank is waited for: it raises, or ends the process, where the others
        are not there any more, or give no answer."""


class ProcessGroup:
    """The ranks above 0 in workers, from `ProcessGroup()` until `close()`, an error, or the group's end."""

    def __init__(self, num_shards: int, commands: Callable[[Callable[[int], Shard]], Commands]) -> None:
        """`commands` is called once in each worker, with what cuts a batch of so many examples and gives the worker's
        shard. OSError or ImportError where the system has no more memory, processes or semaphores."""
        self._shared = shared = _Shared(num_shards)
        starts = [
            partial(
                WorkerProcess,
                partial(_serve, shared, rank, commands),
                f"the process of shard {rank}",
                "G521",
                close_files=True,
            )
            for rank in range(1, num_shards)
        ]
        self._workers = start_all(starts)
        self._side = _Parent(self._workers)
        self.close = weakref.finalize(self, end_all, self._workers)
        """End the workers."""

    @property
    def alive(self) -> bool:
        return self.close.alive

    def shard(self, count: int) -> Shard:
        """Rank 0's, of a batch of `count` examples."""
        return self._shared.shard(0, count, self._side)

    def run(
        self, command: str, arguments: tuple[Any, ...], own: Callable[[], T], world_size: int, *, spin: bool = False
    ) -> tuple[T, list[Any]]:
        """What `own` gives here, in rank 0, and what the command gives in the other ranks, in order: arrays that last
        until the next command. RuntimeError where the group has been ended, and errors as of a worker's `receive`.

        `spin`: the next command comes soon, and workers look for it for `SPIN` seconds before they sleep.
        """
        if not self.alive:
            raise RuntimeError("the processes of this group have been ended")
        shared, workers = self._shared, self._workers[: world_size - 1]
        ranks = range(1, world_size)
        try:
            if workers:
                shared.tell(ranks)  # they wake while we write
                shared.current.value ^= 1
                shared.commands[shared.current.value].write((command, spin, *arguments))
                shared.tell(ranks)
            found = own()
            for rank in ranks:
                acquire(shared.done[rank], self._side.waiting_for(rank))
        except BaseException:
            self.close()  # or the others would wait for ever
            raise
        return found, [shared.results[rank].read() for rank in ranks]


class _Shared:
    """What the ranks of a group share; made before the workers are forked."""

    def __init__(self, num_shards: int) -> None:
        context = fork_context()
        self.num_shards = num_shards
        self.channels = [(SharedChannel(), SharedChannel()) for _ in range(num_shards)]
        """[rank][buffer]: what a rank gives to a collective."""
        self.posted = [[context.Semaphore(0) for _ in range(num_shards)] for _ in range(num_shards)]
        """[from][to]: how often one rank has posted what another has not yet taken."""
        self.arena = SharedArena()
        self.commands = (SharedChannel(), SharedChannel())
        self.current = context.RawValue("b", 0)
        """Which of the two buffers has the last command."""
        self.results = [SharedChannel() for _ in range(num_shards)]
        self.told, self.done = ([context.Semaphore(0) for _ in range(num_shards)] for _ in range(2))
        """[rank]: raised twice for a command, before it is written and after; and when it is carried out."""

    def shard(self, rank: int, count: int, side: Side) -> Shard:
        examples = shard_slices(count, self.num_shards)
        return Shard(ProcessCommunicator(rank, len(examples), self, side), examples[rank])

    def tell(self, ranks: range) -> None:
        for rank in ranks:
            self.told[rank].release()


class _Parent:
    """Rank 0's side. Not the group: a communicator that held it would keep it from being let go of."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        self._workers = workers

    def enter(self, state: State) -> None:
        """Nobody asks."""

    def waiting_for(self, rank: int) -> Callable[[], None]:
        return partial(self._look_around, self._workers[rank - 1], Overdue())

    def _look_around(self, awaited: WorkerProcess, overdue: Overdue) -> None:
        for worker in self._workers:
            worker.look()
        if overdue.after_nap():
            raise no_answer([awaited, *self._workers], overdue.limit)


class ProcessCommunicator(Communicator):
    """What a rank sees of those in processes beside it, for one batch, forward and backward: layers keep it in their
    closures. The next batch has a communicator of its own, which begins with the first buffer again."""

    def __init__(self, rank: int, world_size: int, shared: _Shared, side: Side) -> None:
        self.rank = rank
        self.world_size = world_size
        self._others = [other for other in range(world_size) if other != rank]
        self._shared = shared
        self._side = side
        self._calls = 0

    def all_gather(self, value: Any) -> list[Any]:
        if not self._others:
            return [value]
        shared, buffer = self._shared, self._calls % 2
        self._calls += 1
        shared.channels[self.rank][buffer].write(value)
        self._side.enter(State.COLLECTIVE)
        for other in self._others:
            shared.posted[self.rank][other].release()
        found = [value] * self.world_size
        for other in self._others:
            acquire(shared.posted[other][self.rank], self._side.waiting_for(other))
            found[other] = shared.channels[other][buffer].read()
        self._side.enter(State.WORKING)
        return found

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        arena = self._shared.arena
        array = arena.empty(shape, dtype) if self.rank == 0 else None
        offset = self.all_gather(None if array is None else arena.offset(array))[0]
        return arena.at(offset, shape, dtype) if array is None else array


def _serve(shared: _Shared, rank: int, commands: Callable[[Callable[[int], Shard]], Commands], worker: Worker) -> None:
    """A worker: one command after the other."""
    known = commands(lambda count: shared.shard(rank, count, worker))
    spin_seconds = 0.0
    with single_threaded_blas:
        while True:
            worker.enter(State.WAITING)
            acquire(shared.told[rank], worker.look_around, spin_seconds)
            acquire(shared.told[rank], worker.look_around)
            command, spin, *arguments = shared.commands[shared.current.value].read()
            spin_seconds = SPIN if spin else 0.0  # else others need the processor
            worker.enter(State.WORKING)
            value = known[command](*arguments)
            worker.enter(State.REPORTING)
            shared.results[rank].write(value)
            del value, arguments  # memory that the next command can use
            shared.done[rank].release()
