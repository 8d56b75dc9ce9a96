"""Processes that decode and augment ahead of the trainer.

The parent hands out jobs (which rows, into which slot) in the order of the batches; a worker writes its batch into
the slot, which is memory shared by all. There are a few slots only, so nobody runs ahead of the trainer for long.
The memory has no name and the pipes end with the processes: whatever happens, nothing is left behind.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.errors import DataError, GraphcError, MachineError, Place
from graphc.system import shared_memory
from graphc.types import Array
from graphc.workers import fork, how_it_ended

Layout: TypeAlias = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shape and type of one example's arrays, by name."""


class Maker(Protocol):
    """What makes batches."""

    at: Array
    """The row that is being worked on."""

    def fill_all(self, rows: Array, epoch: int | None, arrays: Mapping[str, Array]) -> None:
        """Write inputs and targets of these rows into the arrays."""

    def name(self, row: int) -> str:
        """What messages call an example."""


AHEAD = 2
"""Jobs that each worker has before it: one at work, one waiting."""
ALIGNMENT = 64
PATIENCE = 1.0
"""Seconds that workers get to end by themselves."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    jobs: int = 0


class Feeder:
    """Worker processes and the slots they fill."""

    def __init__(self, maker: Maker, layout: Layout, size: int, workers: int) -> None:
        """`size`: rows of a full batch."""
        self._name = maker.name
        offsets, total = {}, 0
        for name, (shape, dtype) in layout.items():
            offsets[name] = total
            nbytes = size * math.prod(shape) * np.dtype(dtype).itemsize
            total += -(-nbytes // ALIGNMENT) * ALIGNMENT
        count = AHEAD * workers + 2
        self._memory = shared_memory(count * total)
        self._slots = [
            {
                name: np.ndarray((size, *shape), dtype, self._memory, slot * total + offsets[name])
                for name, (shape, dtype) in layout.items()
            }
            for slot in range(count)
        ]
        self._rows = np.ndarray((workers,), np.int64, shared_memory(8 * workers))
        self._rows[:] = -1
        self._job = 0
        self._workers: list[_Worker] = []
        for number in range(workers):
            self._workers.append(self._start(number, maker))

    def _start(self, number: int, maker: Maker) -> _Worker:
        inherited = [worker.pipe for worker in self._workers]
        return _Worker(*fork(_work, f"graphc-data-{number}", number, maker, inherited, self._slots, self._rows))

    @contextmanager
    def batches(self, parts: Iterator[Array], epoch: int | None) -> Iterator[Iterator[dict[str, Array]]]:
        """The filled arrays of each part, in order. Inputs stay as they are until the next but one is asked for."""
        run = _Run(self, parts, epoch)
        try:
            yield run.results()
        finally:
            run.drain()

    @property
    def alive(self) -> bool:
        return bool(self._workers)

    def close(self) -> None:
        """End the workers; those that do not end by themselves are killed."""
        for worker in self._workers:
            worker.pipe.close()
        deadline = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
        self._workers = []


class _Run:
    """One pass over some parts."""

    def __init__(self, feeder: Feeder, parts: Iterator[Array], epoch: int | None) -> None:
        self._feeder, self._parts, self._epoch = feeder, parts, epoch
        self._free = list(range(len(feeder._slots)))
        self._waiting: dict[int, int] = {}
        """Job -> slot, of jobs that are handed out or done and not yet given on."""
        self._done: dict[int, int] = {}
        """Job -> how many rows it has."""

    def results(self) -> Iterator[dict[str, Array]]:
        feeder, held = self._feeder, list[int]()
        following = feeder._job
        while True:
            self._hand_out()
            if following not in self._waiting:
                return
            self._listen(0)  # so that an error is heard of even when the next batch is there
            while following not in self._done:
                self._listen(None)
                self._hand_out()
            count, slot = self._done.pop(following), self._waiting.pop(following)
            following += 1
            arrays = {name: array[:count] for name, array in feeder._slots[slot].items()}
            held.append(slot)
            if len(held) > 1:  # the one before stays until this one's successor is asked for
                self._free.append(held.pop(0))
            yield arrays

    def drain(self) -> None:
        """Wait a while for what is handed out, so that the next run finds every slot free; else end the workers."""
        deadline = time.monotonic() + PATIENCE
        while any(worker.jobs for worker in self._feeder._workers):
            if time.monotonic() > deadline:
                self._feeder.close()
            with suppress(DataError):
                self._listen(0.1)

    def _hand_out(self) -> None:
        workers = self._feeder._workers
        while self._free:
            worker = min(workers, key=lambda each: each.jobs)
            if worker.jobs >= AHEAD:
                return
            rows = next(self._parts, None)
            if rows is None:
                return
            job, slot = self._feeder._job, self._free.pop(0)
            self._feeder._job += 1
            self._waiting[job] = slot
            worker.jobs += 1
            try:
                worker.pipe.send((job, slot, self._epoch, np.asarray(rows)))
            except OSError:
                raise self._died(worker) from None

    def _listen(self, timeout: float | None) -> None:
        """Take every message that is there; a worker that is gone is an error."""
        workers = {worker.pipe: worker for worker in self._feeder._workers}
        for pipe in wait(list(workers), timeout):
            worker = workers[pipe]  # type: ignore[index]
            try:
                job, count, error = worker.pipe.recv()
            except (EOFError, OSError):
                raise self._died(worker) from None
            worker.jobs -= 1
            if error is not None:
                code, message, path = error
                raise DataError(code, message, Place(path) if path else None)
            self._done[job] = count

    def _died(self, worker: _Worker) -> MachineError:
        """What became of a worker; the others are ended."""
        number = self._feeder._workers.index(worker)
        how = how_it_ended(worker.process, PATIENCE)
        row = int(self._feeder._rows[number])
        where = f"at {self._feeder._name(row)}" if row >= 0 else "before its first example"
        self._feeder.close()
        return MachineError("G520", f"data worker {number} (pid {worker.process.pid}) {how} {where}")


def _work(
    pipe: Connection,
    number: int,
    maker: Maker,
    inherited: list[Connection],
    slots: list[dict[str, Array]],
    rows: Array,
) -> None:
    """A worker's life: until the parent closes its end of the pipe, by will or by dying."""
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    maker.at = rows[number : number + 1]
    try:
        while True:
            job, slot, epoch, part = pipe.recv()
            pipe.send((job, *_answer(maker, slots[slot], epoch, part, f"data worker {number}")))
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)


def _answer(
    maker: Maker, slot: Mapping[str, Array], epoch: int | None, rows: Array, who: str
) -> tuple[int, tuple[str, str, str | None] | None]:
    """(rows, error) of one job."""
    try:
        maker.fill_all(rows, epoch, {name: array[: len(rows)] for name, array in slot.items()})
    except GraphcError as error:
        return 0, (error.code, f"{error.message} ({who})", error.place.path if error.place else None)
    except Exception as error:
        return 0, ("G410", f"{who}: {maker.name(int(maker.at[0]))}: {type(error).__name__}: {error}", None)
    return len(rows), None
