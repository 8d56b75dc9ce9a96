"""Processes that decode and augment ahead of the trainer.

The parent hands out jobs (how many rows, into which slot; which rows they are stands beside it) in the order of the
batches; a worker writes its batch into the slot, which is memory shared by all. There are a few slots only, so nobody
runs ahead of the trainer for long.

A slot is free, handed out, filled or held, in turns. From handing it out to the answer it is the worker's alone to
write; then it is the reader's, until the next batch but one is asked for. The memory has no name and the pipes end with
the processes: whatever happens, nothing is left behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.data.batch import Batch, Field
from graphc.errors import DataError, GraphcError, MachineError
from graphc.parallel.pool import AHEAD, WorkerPool
from graphc.parallel.worker import DOING, State, Worker
from graphc.system import shared_memory
from graphc.types import Array
from graphc.workspace import ALIGNMENT

Layout: TypeAlias = Mapping[Field, tuple[tuple[int, ...], Any]]
"""Shape and type of one example's arrays, by their place in a batch."""
Slot: TypeAlias = Mapping[Field, Array]
"""A full batch's arrays, by their place in it."""


class Maker(Protocol):
    """What makes batches."""

    at: Array
    """The row that is being worked on."""

    def fill(self, rows: Array, epoch: int | None, slot: Batch) -> None:
        """Write the batch of these rows, [n] indices, into the arrays of the slot."""

    def name(self, row: int) -> str:
        """What messages call an example."""


class Feeder:
    """Worker processes and the slots they fill."""

    def __init__(self, maker: Maker, layout: Layout, size: int, workers: int) -> None:
        """`size`: rows of a full batch."""
        self._slots = _slots(layout, size, AHEAD * workers + 2)  # two that are held
        count = len(self._slots)
        self._rows: Array = np.ndarray((count, size), np.int64, shared_memory(8 * count * size))
        """[slots, size]: the rows that each slot is to have, so that a job is short however large a batch is."""
        work = partial(_make, maker, self._slots, self._rows)
        self._pool = WorkerPool(workers, work, "data worker {}", "G520", partial(_where, maker))
        self._job = 0

    @contextmanager
    def batches(self, given: Iterator[Array], epoch: int | None) -> Iterator[Iterator[Batch]]:
        """The batches whose rows ([n] indices) are given, in order, in the arrays that were filled. They stay as they
        are until the next but one is asked for. A DataError where a batch cannot be made, a MachineError where a worker
        has died."""
        try:
            yield self._results(given, epoch)
        finally:
            self._pool.drain()

    @property
    def alive(self) -> bool:
        return self._pool.alive

    @property
    def pids(self) -> list[int]:
        """Of the workers."""
        return self._pool.pids

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def _results(self, given: Iterator[Array], epoch: int | None) -> Iterator[Batch]:
        following = self._job
        free, held = list(range(len(self._slots))), list[int]()
        handed_out: dict[int, int] = {}
        """Job -> slot, of jobs that are handed out or done and not yet given on."""
        done: dict[int, int] = {}
        """Job -> how many rows it has."""

        def hand_out() -> None:
            while free and self._pool.has_room and (rows := next(given, None)) is not None:
                job, self._job = self._job, self._job + 1
                handed_out[job] = slot = free.pop(0)
                self._rows[slot, : len(rows)] = rows
                self._pool.send((job, slot, epoch, len(rows)))

        def listen(timeout: float | None) -> None:
            for job, count, error in self._pool.receive(timeout):
                if error is not None:
                    raise error
                done[job] = count

        while True:
            hand_out()
            if following not in handed_out:
                return
            listen(0)  # so that an error is heard of even when the next batch is there
            while following not in done:
                listen(None)
                hand_out()
            count, slot = done.pop(following), handed_out.pop(following)
            following += 1
            held.append(slot)
            if len(held) > 1:  # the one before stays until this one's successor is asked for
                free.append(held.pop(0))
            yield _rows(self._slots[slot], count)


def _slots(layout: Layout, size: int, count: int) -> list[Slot]:
    """So many, each an array of `size` rows a field, in memory that all see."""
    offsets, total = {}, 0
    for field, (shape, dtype) in layout.items():
        offsets[field] = total
        nbytes = size * math.prod(shape) * np.dtype(dtype).itemsize
        total += -(-nbytes // ALIGNMENT) * ALIGNMENT
    memory = shared_memory(count * total)
    return [
        {
            field: np.ndarray((size, *shape), dtype, memory, slot * total + offsets[field])
            for field, (shape, dtype) in layout.items()
        }
        for slot in range(count)
    ]


def _rows(slot: Slot, count: int) -> Batch:
    """The slot's first rows, as a batch."""
    return Batch.of({field: array[:count] for field, array in slot.items()})


def _make(
    maker: Maker, slots: list[Slot], rows: Array, worker: Worker, job: Any
) -> tuple[int, int, GraphcError | None]:
    """(job, rows, error) of one job, in a worker; `rows`: [slots, size]."""
    number, slot, epoch, count = job
    maker.at = worker.at
    try:
        maker.fill(rows[slot, :count], epoch, _rows(slots[slot], count))
    except GraphcError as error:
        kind = MachineError if isinstance(error, MachineError) else DataError
        return number, 0, kind(error.code, f"{error.message} ({worker.who})", error.place, error.notes)
    except MemoryError:
        raise
    except Exception as error:
        row = maker.name(int(worker.at[0]))
        return number, 0, DataError("G410", f"{worker.who}: {row}: {type(error).__name__}: {error}")
    return number, count, None


def _where(maker: Maker, state: State, row: int) -> str:
    """Where a worker died."""
    return f"at {maker.name(row)}" if state == State.WORKING and row >= 0 else f"while {DOING[state]}"
