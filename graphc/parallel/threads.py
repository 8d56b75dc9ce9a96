"""Ranks in threads of this process, each working on its shard from the first layer to the last.

Ranks make collective calls only where layers must know the whole batch (batch normalization). Threads that run a whole
net seldom wait for each other or for the interpreter's lock, which threads that share single operations do all the
time: the first version did that, and was slower. An operation of less than 40 µs does not gain from a second thread.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from graphc.parallel.communicator import NUM_SHARDS, Communicator, Shard, shard_slices
from graphc.parallel.waiting import LOOK_AROUND
from graphc.system import processors
from graphc.types import Array
from graphc.workspace import Workspace

T = TypeVar("T")

WORTH_SHARING = 200_000
"""Numbers to add or to update from which several threads are quicker than one."""
SWITCH_INTERVAL = 5e-5
"""Seconds after which a thread that waits for the interpreter's lock demands it (Python's default is 5e-3)."""


class ThreadGroup:
    """Threads for `num_shards` ranks, at most `threads` of them at work."""

    def __init__(self, num_shards: int | None = None, threads: int | None = None) -> None:
        """By default `NUM_SHARDS`, and as many threads as there are processors."""
        self.num_shards = num_shards = num_shards or NUM_SHARDS
        self.threads = min(num_shards, threads or processors())
        self._pool = ThreadPoolExecutor(num_shards, "graphc")
        self._permits = threading.Semaphore(self.threads)
        self._workspace = Workspace()

    def world(self, count: int) -> ThreadWorld:
        """A rank for each shard of a batch of `count` examples."""
        return self.world_of(shard_slices(count, self.num_shards))

    def world_of(self, examples: Sequence[slice]) -> ThreadWorld:
        """A rank for each of these shards of a batch."""
        return ThreadWorld(examples, self._pool, self._permits, self._workspace)

    def parallel_for(self, work: Callable[[slice], None], count: int) -> None:
        """`work` on range(count), one after the other by whoever is free: the calling thread, and others that wake,
        which takes a thread 0.1 ms."""
        left, at_work = deque(range(count)), _AtWork()

        def take() -> None:
            while left:
                try:
                    one = left.popleft()
                except IndexError:  # another was quicker
                    return
                work(slice(one, one + 1))

        def help_along() -> None:
            if at_work.begin():
                try:
                    take()
                finally:
                    at_work.end()

        helpers: list[Future[None]] = []
        with _quick_switches():
            try:
                helpers.extend(self._pool.submit(help_along) for _ in range(min(self.threads, count) - 1))
                take()
            finally:
                left.clear()  # after an error
                at_work.stop()
                helpers = [helper for helper in helpers if not helper.cancel()]
        for helper in helpers:
            helper.result()


class ThreadWorld:
    """The ranks that work on the shards of one batch, there and back, and their collective calls."""

    def __init__(
        self, examples: Sequence[slice], pool: ThreadPoolExecutor, permits: threading.Semaphore, workspace: Workspace
    ) -> None:
        self.world_size = len(examples)
        self.workspace = workspace
        self._pool = pool
        self._permits = permits
        """A rank holds one of them while it computes, and none while it waits for others."""
        self._barrier = threading.Barrier(self.world_size)
        self._at_work = _AtWork()
        self._boards = self._new_boards()
        self._shards = [Shard(ThreadCommunicator(rank, self), own) for rank, own in enumerate(examples)]

    def run(self, work: Callable[[Shard], T]) -> list[T]:
        """`work` by each rank; the results in order, or the first rank's own error once all have stopped. Where not all
        can begin, or Ctrl-C comes, those that have begun are stopped at their next collective call. No run follows an
        error."""
        with _quick_switches():
            try:
                futures = [self._pool.submit(self._work, work, shard) for shard in self._shards]
                _wait_for(futures)
            except BaseException:
                self._barrier.abort()
                self._at_work.stop()
                raise
        self._boards = self._new_boards()  # nobody is in a collective; values are not held any longer
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
        return [future.result() for future in futures]

    def _work(self, work: Callable[[Shard], T], shard: Shard) -> T:
        if not self._at_work.begin():
            raise threading.BrokenBarrierError
        try:
            with self._permits:
                return work(shard)
        except BaseException:
            self._barrier.abort()  # or the others would wait for ever
            raise
        finally:
            self._at_work.end()

    def _new_boards(self) -> tuple[list[Any], list[Any]]:
        return [None] * self.world_size, [None] * self.world_size

    def exchange(self, rank: int, call: int, value: Any) -> list[Any]:
        """What every rank gives to its collective call of this number."""
        board = self._boards[call % 2]
        board[rank] = value
        self._permits.release()
        try:
            self._barrier.wait()
        finally:
            self._permits.acquire()
        return list(board)


class ThreadCommunicator(Communicator):
    """What a rank sees of those in threads beside it."""

    def __init__(self, rank: int, world: ThreadWorld) -> None:
        self.rank = rank
        self.world_size = world.world_size
        self._world = world
        self._calls = 0

    def all_gather(self, value: Any) -> list[Any]:
        if self.world_size == 1:
            return [value]
        self._calls += 1
        return self._world.exchange(self.rank, self._calls, value)

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        array: Array = self.all_gather(self._world.workspace.empty(shape, dtype) if self.rank == 0 else None)[0]
        return array


class _AtWork:
    """How many threads are at work. Futures do not tell: where Ctrl-C comes between `submit` and the list that keeps
    its future, or the pool takes the work but has no thread for it yet, a thread may begin of which nobody has one."""

    def __init__(self) -> None:
        self._count = 0
        self._stopped = False
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Whether one may begin; then it must `end`."""
        with self._changed:
            self._count += not self._stopped
            return not self._stopped

    def end(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody begin any more, and wait for those who have."""
        with self._changed:
            self._stopped = True
            while not self._changed.wait_for(lambda: self._count == 0, LOOK_AROUND):
                pass  # a signal is heard of here, as in `_wait_for`


def _wait_for(futures: Sequence[Future[Any]]) -> None:
    while wait(futures, LOOK_AROUND).not_done:
        pass  # a signal is heard of here, where it does not end waiting (Windows)


@contextmanager
def _quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
