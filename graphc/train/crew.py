"""The parts of a batch in processes of their own: the first in this one, the others in workers forked from it.

Threads take turns at the interpreter; processes do not. A worker is told to go forward or backward and keeps its walk
in between. All goes through shared memory: variables lie in it, orders, batches and results are written to mailboxes,
and a semaphore says when. Parts meet by posting in their mailbox and raising the others' semaphores.

A worker's pipe is for what goes wrong: an error goes up, and its end comes down. A worker keeps nothing else open and
ends when it closes: with the network, or with this process, however it ends. Whatever goes wrong in one part ends all
workers.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

from graphc.errors import MachineError
from graphc.kernels.shared import Commons, Mailbox
from graphc.kernels.team import Member, parts_of, single_threaded_blas
from graphc.kernels.workspace import Workspace
from graphc.system import close_all_but, fork_context, stop_signals
from graphc.train.walk import Course, Walk
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
class Arrived:
    """What came back from another part's way forward."""

    values: dict[str, Array]
    batch: int
    """How many batches had gone forward: a worker can go back with the last one only."""


class Exchange:
    """Where parts in several processes meet."""

    def __init__(self, parts: int) -> None:
        context = fork_context()
        self._boxes = [(Mailbox(), Mailbox()) for _ in range(parts)]
        """Of each part: nobody can be two meetings ahead, so two are enough."""
        self._posted = [[context.Semaphore(0) for _ in range(parts)] for _ in range(parts)]
        """[from][to]: how often one part has posted what another has not yet taken."""
        self._commons = Commons()
        self.look_around: Callable[[], None] = lambda: None
        """Raises, or ends the process, where the others are not there any more."""
        self.parts = parts
        """At work in this run."""

    def gather(self, member: Member, value: Any) -> list[Any]:
        """Every part's value, in order."""
        if self.parts == 1:
            return [value]
        box = member.meetings % 2
        member.meetings += 1
        others = [part for part in range(self.parts) if part != member.part]
        self._boxes[member.part][box].write(value)
        for part in others:
            self._posted[member.part][part].release()
        found = [value] * self.parts
        for part in others:
            _wait(self._posted[part][member.part], self.look_around)
            found[part] = self._boxes[part][box].read()
        return found

    def common(self, member: Member, shape: tuple[int, ...], dtype: Any, workspace: Workspace) -> Array:
        """One array that all parts see."""
        array = self._commons.empty(shape, dtype) if member.part == 0 else None
        offset = None if array is None else self._commons.offset(array)
        offset = self.gather(member, offset)[0]
        return self._commons.at(offset, shape, dtype) if array is None else array


class Crew:
    """The workers that walk a course."""

    def __init__(self, course: Course, placed: Mapping[str, Array], parts: int) -> None:
        """`placed`: variables that lie in shared memory already."""
        self.course = course
        self.placed = placed
        self.parts = parts
        self.exchange = Exchange(parts)
        self.results = [Mailbox() for _ in range(parts)]
        self.orders = (Mailbox(), Mailbox())
        """What the workers are to do, in turns: layers hold the inputs in one until they have gone back."""
        context = fork_context()
        self.turn = context.RawValue("b", 0)
        """Where the last order is."""
        self.told, self.done = ([context.Semaphore(0) for _ in range(parts)] for _ in range(2))
        """Of each part: raised twice for an order, before it is written and after, and when it is carried out."""
        self._batches = 0
        self._workers = [Worker(part, *fork(_work, f"graphc-part-{part}", self, part)) for part in range(1, parts)]
        self.exchange.look_around = partial(_look_at, self._workers)  # not a method: a circle would outlive its owner
        self.close = weakref.finalize(self, _end, self._workers)
        """End the workers."""

    def forward(
        self,
        wanted: frozenset[str],
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int,
    ) -> list[Walk | Arrived]:
        """Every part's way through the layers."""
        count = len(next(iter(inputs.values())))
        elsewhere = {name: array for name, array in params.items() if array is not self.placed.get(name)}

        def own(member: Member) -> Walk:
            return self.course.walk(wanted, member, training, step, params, inputs)

        self._batches += 1
        order = ("forward", count, list(wanted), training, step, elsewhere, dict(inputs))
        walk, others = self._by_all(own, count, order)
        return [walk, *(Arrived(values, self._batches) for values in others)]

    def backward(self, walk: Walk, batch: int, gradients: Mapping[str, Array], count: int) -> list[dict[str, Gradient]]:
        """Every part's gradients of variables, from the first part's walk and those that the workers keep."""
        if batch != self._batches:
            raise RuntimeError("another batch has gone forward since: only the last one can go back")

        def own(member: Member) -> dict[str, Gradient]:
            return walk.backward(member, gradients)

        found, others = self._by_all(own, count, ("backward", count, dict(gradients)))
        return [found, *others]

    def _by_all(self, own: Callable[[Member], T], count: int, order: tuple[Any, ...]) -> tuple[T, list[Any]]:
        """What the first part finds here, and the others in their processes."""
        member = self.member(0, count)
        workers = self._workers[: self.exchange.parts - 1]
        try:
            if workers:
                self._raise_told(workers)  # they wake while we write
                self.turn.value ^= 1
                self.orders[self.turn.value].write(order)
                self._raise_told(workers)
            found = own(member)
            for worker in workers:
                _wait(self.done[worker.part], self.exchange.look_around)  # at all: one may be waiting for another
        except BaseException:
            self.close()  # or the others would wait for ever
            raise
        return found, [self.results[worker.part].read() for worker in workers]

    def _raise_told(self, workers: list[Worker]) -> None:
        for worker in workers:
            self.told[worker.part].release()

    def member(self, part: int, count: int) -> Member:
        """A part of a batch of `count` examples."""
        examples = parts_of(count, self.parts)
        self.exchange.parts = len(examples)
        return Member(part, examples[part], self.exchange)


class Worker:
    """A worker as its parent sees it."""

    def __init__(self, part: int, process: Any, pipe: Connection) -> None:
        self.part = part
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
        return MachineError("G521", f"the process of part {self.part} (pid {self.process.pid}) {how}")

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


def _work(pipe: Connection, crew: Crew, part: int) -> NoReturn:
    """A worker's life."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)  # they reach the whole group: the parent decides
    close_all_but(pipe.fileno())
    parent = os.getppid()

    def look_around() -> None:
        if pipe.poll() or os.getppid() != parent:  # the pipe has nothing to say but its end
            os._exit(0)

    crew.exchange.look_around = look_around
    hands = Hands(crew, part)
    spin = 0.0
    with single_threaded_blas:
        while True:
            _wait(crew.told[part], look_around, spin)
            _wait(crew.told[part], look_around)
            what, *arguments = crew.orders[crew.turn.value].read()
            spin = SPIN if what == "forward" else 0.0  # the way back will not be long; then others need the processor
            error = _tried(getattr(hands, what), arguments)
            if error is None:
                crew.done[part].release()
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

    def __init__(self, crew: Crew, part: int) -> None:
        self._crew = crew
        self._part = part
        self._walk: Walk | None = None

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
        self._walk = None
        member = crew.member(self._part, count)
        walk = crew.course.walk(frozenset(wanted), member, training, step, {**crew.placed, **elsewhere}, inputs)
        crew.results[self._part].write(walk.values)
        self._walk = walk

    def backward(self, count: int, gradients: dict[str, Array]) -> None:
        crew, walk = self._crew, self._walk
        assert walk is not None
        self._walk = None
        crew.results[self._part].write(walk.backward(crew.member(self._part, count), gradients))


def _tried(work: Callable[..., None], arguments: list[Any]) -> Exception | None:
    """The error that came of it, in a form that can be sent."""
    try:
        work(*arguments)
    except MemoryError as error:
        return MemoryError(str(error))  # NumPy's own cannot be sent
    except Exception as error:
        return error if type(error).__module__ == "builtins" else RuntimeError(traceback.format_exc())
    return None
