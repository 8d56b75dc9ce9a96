"""The shards of a batch in processes of their own: the first in this one, the others in workers forked from it.

Threads take turns at the interpreter; processes do not. A worker is told to go forward or backward and keeps its tape
in between. All goes through shared memory: variables lie in it, orders, batches and results are written to channels,
and a semaphore says when. Ranks meet by posting in their channel and raising the others' semaphores.

A worker's pipe is for what goes wrong: an error goes up, and its end comes down. A worker keeps nothing else open and
ends when it closes: with the network, or with this process, however it ends. Whatever goes wrong in one rank ends all
workers.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

from graphc.errors import MachineError
from graphc.execution.plan import ExecutionPlan
from graphc.execution.tape import Tape
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.communicator import Communicator, Shard, shard_slices
from graphc.parallel.shared_memory import SharedArena, SharedChannel
from graphc.system import close_all_but, fork_context, stop_signals
from graphc.types import Array, Gradient
from graphc.workers import fork, how_it_ended

T = TypeVar("T")

SPIN = 3e-4
"""Seconds to look again and again for what another process posts: to sleep and be woken takes a tenth of a
millisecond."""
PATIENCE = 1.0
"""Seconds for a worker whose pipe is closed to end."""
LOOK_AROUND = 0.2
"""Seconds after which who still waits makes sure that the others are there."""


@dataclass(frozen=True, slots=True)
class RemoteOutputs:
    """What came back from another rank's way forward."""

    values: dict[str, Array]
    batch: int
    """How many batches had gone forward: a worker can go back with the last one only."""


class Meeting:
    """Where ranks in several processes meet."""

    def __init__(self, num_shards: int) -> None:
        context = fork_context()
        self.channels = [(SharedChannel(), SharedChannel()) for _ in range(num_shards)]
        """Of each rank: nobody can be two meetings ahead, so two are enough."""
        self.posted = [[context.Semaphore(0) for _ in range(num_shards)] for _ in range(num_shards)]
        """[from][to]: how often one rank has posted what another has not yet taken."""
        self.arena = SharedArena()
        self.look_around: Callable[[], None] = lambda: None
        """Raises, or ends the process, where the others are not there any more."""


class ProcessCommunicator(Communicator):
    """What a rank sees of those in processes beside it."""

    def __init__(self, rank: int, world_size: int, meeting: Meeting) -> None:
        self.rank = rank
        self.world_size = world_size
        self._meeting = meeting
        self._meetings = 0

    def all_gather(self, value: Any) -> list[Any]:
        if self.world_size == 1:
            return [value]
        meeting, box = self._meeting, self._meetings % 2
        self._meetings += 1
        others = [rank for rank in range(self.world_size) if rank != self.rank]
        meeting.channels[self.rank][box].write(value)
        for rank in others:
            meeting.posted[self.rank][rank].release()
        found = [value] * self.world_size
        for rank in others:
            _wait(meeting.posted[rank][self.rank], meeting.look_around)
            found[rank] = meeting.channels[rank][box].read()
        return found

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        arena = self._meeting.arena
        array = arena.empty(shape, dtype) if self.rank == 0 else None
        offset = None if array is None else arena.offset(array)
        offset = self.all_gather(offset)[0]
        return arena.at(offset, shape, dtype) if array is None else array


class Crew:
    """The workers that run an execution plan."""

    def __init__(self, plan: ExecutionPlan, placed: Mapping[str, Array], num_shards: int) -> None:
        """`placed`: variables that lie in shared memory already."""
        self.plan = plan
        self.placed = placed
        self.num_shards = num_shards
        self.meeting = Meeting(num_shards)
        self.results = [SharedChannel() for _ in range(num_shards)]
        self.orders = (SharedChannel(), SharedChannel())
        """What the workers are to do, in turns: layers hold the inputs in one until they have gone back."""
        context = fork_context()
        self.turn = context.RawValue("b", 0)
        """Where the last order is."""
        self.told, self.done = ([context.Semaphore(0) for _ in range(num_shards)] for _ in range(2))
        """Of each rank: raised twice for an order, before it is written and after, and when it is carried out."""
        self._batches = 0
        self._workers = [Worker(rank, *fork(_work, f"graphc-rank-{rank}", self, rank)) for rank in range(1, num_shards)]
        self.meeting.look_around = partial(_look_at, self._workers)  # not a method: a circle would outlive its owner
        self.close = weakref.finalize(self, _end, self._workers)
        """End the workers."""

    def forward(
        self,
        wanted: frozenset[str],
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int,
    ) -> list[Tape | RemoteOutputs]:
        """Every rank's way through the layers."""
        count = len(next(iter(inputs.values())))
        elsewhere = {name: array for name, array in params.items() if array is not self.placed.get(name)}

        def own() -> Tape:
            return self.plan.run(wanted, self.shard(0, count), training, step, params, inputs)

        self._batches += 1
        order = ("forward", count, list(wanted), training, step, elsewhere, dict(inputs))
        tape, others = self._by_all(own, min(count, self.num_shards), order)
        return [tape, *(RemoteOutputs(values, self._batches) for values in others)]

    def backward(
        self, tape: Tape, elsewhere: Sequence[RemoteOutputs], gradients: Mapping[str, Array]
    ) -> list[dict[str, Gradient]]:
        """Every rank's gradients of variables, from rank 0's tape and those that the workers keep."""
        if any(outputs.batch != self._batches for outputs in elsewhere):
            raise RuntimeError("another batch has gone forward since: only the last one can go back")
        order = ("backward", dict(gradients))
        found, others = self._by_all(lambda: tape.backward(gradients), 1 + len(elsewhere), order)
        return [found, *others]

    def _by_all(self, own: Callable[[], T], world_size: int, order: tuple[Any, ...]) -> tuple[T, list[Any]]:
        """What rank 0 finds here, and the others in their processes."""
        workers = self._workers[: world_size - 1]
        try:
            if workers:
                self._raise_told(workers)  # they wake while we write
                self.turn.value ^= 1
                self.orders[self.turn.value].write(order)
                self._raise_told(workers)
            found = own()
            for worker in workers:
                _wait(self.done[worker.rank], self.meeting.look_around)  # at all: one may be waiting for another
        except BaseException:
            self.close()  # or the others would wait for ever
            raise
        return found, [self.results[worker.rank].read() for worker in workers]

    def _raise_told(self, workers: list[Worker]) -> None:
        for worker in workers:
            self.told[worker.rank].release()

    def shard(self, rank: int, count: int) -> Shard:
        """A rank's part of a batch of `count` examples."""
        examples = shard_slices(count, self.num_shards)
        return Shard(ProcessCommunicator(rank, len(examples), self.meeting), examples[rank])


class Worker:
    """A worker as its parent sees it."""

    def __init__(self, rank: int, process: Any, pipe: Connection) -> None:
        self.rank = rank
        self.process = process
        self._pipe = pipe

    def look(self) -> None:
        """Whether it has an error, or is gone."""
        try:
            if self._pipe.poll():
                raise self._pipe.recv()
        except (EOFError, OSError):
            raise self._died() from None

    def _died(self) -> MachineError:
        how = how_it_ended(self.process, PATIENCE)
        return MachineError("G521", f"the process of shard {self.rank} (pid {self.process.pid}) {how}")

    def end(self) -> None:
        self._pipe.close()
        self.process.kill()
        self.process.join()


def _look_at(workers: list[Worker]) -> None:
    for worker in workers:
        worker.look()


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.end()


def _work(pipe: Connection, crew: Crew, rank: int) -> NoReturn:
    """A worker's life."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)  # they reach the whole group: the parent decides
    close_all_but(pipe.fileno())
    parent = os.getppid()

    def look_around() -> None:
        if pipe.poll() or os.getppid() != parent:  # the pipe has nothing to say but its end
            os._exit(0)

    crew.meeting.look_around = look_around
    hands = Hands(crew, rank)
    spin = 0.0
    with single_threaded_blas:
        while True:
            _wait(crew.told[rank], look_around, spin)
            _wait(crew.told[rank], look_around)
            what, *arguments = crew.orders[crew.turn.value].read()
            spin = SPIN if what == "forward" else 0.0  # the way back will not be long; then others need the processor
            error = _tried(getattr(hands, what), arguments)
            if error is None:
                crew.done[rank].release()
                continue
            try:
                pipe.send(error)
            except OSError:
                os._exit(0)


def _wait(posted: Any, look_around: Callable[[], None], spin: float = SPIN) -> None:
    """Until somebody has raised this semaphore."""
    end = time.perf_counter() + spin
    while not posted.acquire(block=False):
        if time.perf_counter() >= end:
            while not posted.acquire(timeout=LOOK_AROUND):
                look_around()
            return


class Hands:
    """What a worker does when it is told."""

    def __init__(self, crew: Crew, rank: int) -> None:
        self._crew = crew
        self._rank = rank
        self._tape: Tape | None = None

    def forward(
        self,
        count: int,
        wanted: list[str],
        training: bool,
        step: int,
        elsewhere: dict[str, Array],
        inputs: dict[str, Array],
    ) -> None:
        crew = self._crew
        self._tape = None
        shard = crew.shard(self._rank, count)
        tape = crew.plan.run(frozenset(wanted), shard, training, step, {**crew.placed, **elsewhere}, inputs)
        crew.results[self._rank].write(tape.values)
        self._tape = tape

    def backward(self, gradients: dict[str, Array]) -> None:
        crew, tape = self._crew, self._tape
        assert tape is not None
        self._tape = None
        crew.results[self._rank].write(tape.backward(gradients))


def _tried(work: Callable[..., None], arguments: list[Any]) -> Exception | None:
    """The error that came of it, in a form that can be sent."""
    try:
        work(*arguments)
    except MemoryError as error:
        return MemoryError(str(error))  # NumPy's own cannot be sent
    except Exception as error:
        return error if type(error).__module__ == "builtins" else RuntimeError(traceback.format_exc())
    return None
