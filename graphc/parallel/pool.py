"""Workers that do one job after the other, each a message there and one back; they have no collective calls.

A job is handed to the worker that has the fewest, at most `AHEAD` each: one at work and one waiting, so that a worker
need not wait for the parent. More would only be older when their turn comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from graphc.parallel.waiting import LOOK_AROUND, PATIENCE, Overdue
from graphc.parallel.worker import State, Worker, WorkerProcess, end_all, no_answer, start_all

AHEAD = 2
"""What is made ready before it is asked for: jobs that a worker has, batches that a thread has made."""


class WorkerPool:
    """`count` workers, from `WorkerPool()` until `close()` or the death of one."""

    def __init__(
        self, count: int, work: Callable[[Worker, Any], Any], who: str, code: str, where: Callable[[State, int], str]
    ) -> None:
        """`work` gives the answer to a job, in a worker; an error in it ends the worker. `who` has a number put in;
        `who`, `code` and `where` are those of `WorkerProcess`. OSError where the system gives no process."""
        starts = [
            partial(WorkerProcess, partial(_serve, work), who.format(number), code, where=where, close_files=False)
            for number in range(count)
        ]
        self._workers = start_all(starts)
        self._jobs = [0] * count
        """Of each worker, how many it has."""

    @property
    def alive(self) -> bool:
        return bool(self._workers)

    @property
    def has_room(self) -> bool:
        """Whether a worker can have one more job."""
        return self.alive and min(self._jobs) < AHEAD

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def send(self, job: Any) -> None:
        """Hand out a job, which is short (`LONGEST_MESSAGE`; else a ValueError). A MachineError where a worker has
        died; then all are ended, as where Ctrl-C comes meanwhile. RuntimeError where they have been ended."""
        self._check_alive()
        number = min(range(len(self._jobs)), key=self._jobs.__getitem__)
        self._jobs[number] += 1
        self._ended_by_errors(partial(self._workers[number].send, job))

    def receive(self, timeout: float | None = None) -> Iterator[Any]:
        """The answers that are there, or the next one to come. Errors as of `send`, and where none comes in time."""
        self._check_alive()
        numbers = {worker.pipe: number for number, worker in enumerate(self._workers)}
        for pipe in self._ended_by_errors(partial(self._wait, list(numbers), timeout)):
            number = numbers[pipe]
            answer = self._ended_by_errors(self._workers[number].receive)
            self._jobs[number] -= 1
            yield answer

    def drain(self) -> None:
        """Wait a while for the answers that are still to come, and forget them; else end the workers. Errors as of
        `send`, but none where all have been ended."""
        deadline = time.monotonic() + PATIENCE
        while any(self._jobs):
            if time.monotonic() > deadline:
                self.close()
                return
            for _ in self.receive(LOOK_AROUND):
                pass

    def close(self) -> None:
        """End the workers."""
        end_all(self._workers)
        self._workers, self._jobs = [], []

    def _wait(self, pipes: list[Connection], timeout: float | None) -> list[Any]:
        """The pipes in which there is something."""
        if timeout is not None:
            return wait(pipes, timeout)
        overdue = Overdue()
        while not (ready := wait(pipes, LOOK_AROUND)):
            if overdue.after_nap():
                busy = [worker for worker, jobs in zip(self._workers, self._jobs, strict=True) if jobs]
                raise no_answer(busy or self._workers, overdue.limit)
        return ready

    def _check_alive(self) -> None:
        if not self.alive:
            raise RuntimeError("the workers of this pool have been ended")

    def _ended_by_errors(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except BaseException:  # Ctrl-C too: half a message may have gone through
            self.close()
            raise


def _serve(work: Callable[[Worker, Any], Any], worker: Worker) -> None:
    """A worker: one job after the other."""
    while True:
        worker.enter(State.WAITING)
        job = worker.receive()
        worker.at[0] = -1
        worker.enter(State.WORKING)
        answer = work(worker, job)
        worker.enter(State.REPORTING)
        worker.send(answer)
