"""A batch in fixed parts, each worked on by a thread of its own from the first layer to the last.

The parts meet only where layers must know the whole batch (batch normalization) and at the end, where gradients
are added in the order of the parts. So the number of parts fixes the bits, and the number of threads at work
does not. Threads that run a whole net seldom wait for each other or for the interpreter's lock, which threads
that share single operations do all the time.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar

from threadpoolctl import ThreadpoolController

from graphc.kernels.workspace import Workspace
from graphc.system import processors
from graphc.types import Array

T = TypeVar("T")

PARTS = 2
"""Of a batch; a smaller batch has one an example. More of them serve more cores and have shorter operations."""
WORTH_SHARING = 200_000
"""Numbers to add or to update from which several threads are quicker than one."""
SWITCH_INTERVAL = 5e-5
"""Seconds after which a thread that waits for the interpreter's lock demands it (Python's default is 5e-3)."""
LOOK_AROUND = 0.1
"""Seconds after which who waits hears of a signal, where a signal does not end waiting (Windows)."""


class SingleThreadedBlas:
    """The parts share the batch; a second layer of threads under them would only fight.

    Whoever is first to ask changes the setting and the last one changes it back: within a longer stretch it costs
    nothing to ask again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limits = _blas().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limits.restore_original_limits()


single_threaded_blas = SingleThreadedBlas()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class Team:
    """`parts` threads, at most `threads` of them at work."""

    def __init__(self, parts: int | None = None, threads: int | None = None) -> None:
        self.parts = parts = parts or PARTS
        self._pool = ThreadPoolExecutor(parts, "graphc")
        self.threads = min(parts, threads or processors())
        self._turns = threading.Semaphore(self.threads)

    def run(self, work: Callable[[Member], T], count: int) -> list[T]:
        """`work` by every part of a batch of `count`; the results in order."""
        examples = parts_of(count, self.parts)
        meeting = Meeting(len(examples), self._turns)
        members = [Member(part, own, meeting) for part, own in enumerate(examples)]
        with _quick_switches():
            futures = [self._pool.submit(meeting.attend, work, member) for member in members]
            _wait_for(futures)
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
        return [future.result() for future in futures]

    def share(self, work: Callable[[slice], None], count: int) -> None:
        """`work` on range(count), one after the other by whoever is free: the calling thread, and others that wake."""
        left = deque(range(count))

        def take() -> None:
            while left:
                try:
                    one = left.popleft()
                except IndexError:  # another was quicker
                    return
                work(slice(one, one + 1))

        helpers: list[Future[None]] = []
        with _quick_switches():
            try:
                helpers.extend(self._pool.submit(take) for _ in range(min(self.threads, count) - 1))
                take()
            finally:
                left.clear()  # after an error
                helpers = [helper for helper in helpers if not helper.cancel()]
                _wait_for(helpers)
        for helper in helpers:
            helper.result()


def _wait_for(futures: Sequence[Future[Any]]) -> None:
    while wait(futures, LOOK_AROUND).not_done:
        pass


@contextmanager
def _quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def parts_of(count: int, parts: int) -> list[slice]:
    """`count` examples in at most so many parts of nearly equal size."""
    parts = min(parts, count)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(*bounds[part : part + 2]) for part in range(parts)]


class AnyMeeting(Protocol):
    """Where the parts of one run meet."""

    def gather(self, member: Member, value: Any) -> list[Any]:
        """Every part's value, in order."""

    def common(self, member: Member, shape: tuple[int, ...], dtype: Any, workspace: Workspace) -> Array:
        """One array that all parts see."""


class Meeting:
    """Where parts in threads of one process meet."""

    def __init__(self, parts: int, turns: threading.Semaphore) -> None:
        self._turns = turns
        self._barrier = threading.Barrier(parts)
        self._boards: tuple[list[Any], list[Any]] = ([None] * parts, [None] * parts)

    def attend(self, work: Callable[[Member], T], member: Member) -> T:
        with self._turns:
            try:
                return work(member)
            except BaseException:
                self._barrier.abort()  # or the others would wait for ever
                raise

    def gather(self, member: Member, value: Any) -> list[Any]:
        """Every part's value, in order. Nobody can be two meetings ahead, so two boards are enough."""
        board = self._boards[member.meetings % 2]
        member.meetings += 1
        board[member.part] = value
        self._turns.release()
        try:
            self._barrier.wait()
        finally:
            self._turns.acquire()
        return list(board)

    def common(self, member: Member, shape: tuple[int, ...], dtype: Any, workspace: Workspace) -> Array:
        """The first part's array, given to all."""
        array: Array = self.gather(member, workspace.empty(shape, dtype) if member.part == 0 else None)[0]
        return array


class Member:
    """One part of one run."""

    def __init__(self, part: int, examples: slice, meeting: AnyMeeting) -> None:
        self.part = part
        self.examples = examples
        """Its own, of the batch."""
        self.meetings = 0
        self._meeting = meeting

    def part_of(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Its own examples of a batch's arrays."""
        return {name: array[self.examples] for name, array in arrays.items()}

    def gather(self, value: Any) -> list[Any]:
        """Every part's value, in order; all parts meet here."""
        return self._meeting.gather(self, value)

    def common(self, shape: tuple[int, ...], dtype: Any, workspace: Workspace) -> Array:
        """One array that all parts see, from the first part's workspace; all parts meet here."""
        return self._meeting.common(self, shape, dtype, workspace)
