"""A process that works for this one: the same class for ranks of training and for makers of batches.

Its states, and what a signal, an error or a death does in each, stand in `graphc.parallel`.
"""

from __future__ import annotations

import atexit
import gc
import os
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from graphc.errors import GraphcError, MachineError
from graphc.garbage import no_collection
from graphc.lazy import np
from graphc.parallel.waiting import PATIENCE
from graphc.system import (
    close_all_but,
    fork_context,
    ignore_stop_signals,
    is_stopped,
    shared_memory,
    stop_signals_held,
)
from graphc.types import Array


class State(IntEnum):
    """Of a worker: the diagram stands in `graphc.parallel`."""

    STARTING = 0
    WAITING = 1
    WORKING = 2
    COLLECTIVE = 3
    REPORTING = 4


DOING = {
    State.STARTING: "starting",
    State.WAITING: "waiting for work",
    State.WORKING: "working",
    State.COLLECTIVE: "waiting for other ranks",
    State.REPORTING: "reporting",
}
"""What a worker in this state was doing when it died."""


STATUS_BYTES = 16
"""Of shared memory, where a worker says its state (the first byte) and its row (the last eight)."""


LONGEST_MESSAGE = 1 << 15
"""Bytes between a worker and its parent, whose pipe takes several such messages though nobody reads: what is longer
goes by way of shared memory."""


def _pickled(message: Any, who: str) -> Any:
    """The bytes of a message; ValueError where they are so many that sender and receiver could wait for each other, or
    the parent for a worker that is stopped."""
    pickled = ForkingPickler.dumps(message)
    if len(pickled) > LONGEST_MESSAGE:
        raise ValueError(f"{who}: expected at most {LONGEST_MESSAGE} bytes to send, found {len(pickled)}")
    return pickled


def _row_in(status: Any) -> Array:
    return np.ndarray((1,), np.int64, status, 8)


class Worker:
    """A worker as it sees itself."""

    def __init__(self, who: str, pipe: Connection, status: Any, parent: int) -> None:
        self.who = who
        """What messages call it."""
        self.pipe = pipe
        self.at = _row_in(status)
        """One number, which the parent reads where this worker dies: the row that is being worked on, or -1."""
        self._status = status
        self._parent = parent

    def enter(self, state: State) -> None:
        """The only way from one state to the next."""
        self._status[0] = state

    def receive(self) -> Any:
        """What the parent sends next; the worker ends where it sends nothing any more."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            os._exit(0)

    def send(self, message: Any) -> None:
        """A message to the parent, which may be sending one to this worker; errors as of `_pickled`."""
        pickled = _pickled(message, self.who)
        try:
            self.pipe.send_bytes(pickled)
        except OSError:
            os._exit(0)

    def waiting_for(self, rank: int) -> Callable[[], None]:
        """What it does now and then meanwhile: the parent is the one who gives up."""
        return self.look_around

    def look_around(self) -> None:
        """End where the parent has closed the pipe or is gone; for those to whom it sends nothing by the pipe."""
        if self.pipe.poll() or os.getppid() != self._parent:
            os._exit(0)


class WorkerProcess:
    """A worker as its parent sees it."""

    def __init__(
        self,
        work: Callable[[Worker], None],
        who: str,
        code: str,
        *,
        where: Callable[[State, int], str] | None = None,
        close_files: bool,
    ) -> None:
        """Fork a process that does `work`, which it inherits with all that this process has: nothing is pickled.

        `who`, `code`: of the MachineError where it dies, and `where` of its last state and row; `close_files`:
        what this process has open is closed there. OSError where the system gives no process or memory.

        A thread that is at work during the fork is not in the worker, and locks that it holds are never released there:
        of ours, the one that workers take (`single_threaded_blas`) is made anew in them; of libraries, see
        `Network.start`. What this process has left behind in cycles is never collected there.
        """
        context = fork_context()
        self.who = who
        self._code = code
        self._where = where or (lambda state, row: f"while {DOING[state]}")
        self._status = shared_memory(STATUS_BYTES)
        self._status[0] = State.STARTING
        _row_in(self._status)[0] = -1
        self.pipe, theirs = context.Pipe()
        arguments = (work, Worker(who, theirs, self._status, os.getpid()), [*_open, self], close_files)
        self.process = context.Process(target=_live, args=arguments, name=f"graphc: {who}", daemon=True)
        _open.add(self)
        try:
            with warnings.catch_warnings(), stop_signals_held(), no_collection():
                warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, see above
                self.process.start()
        except BaseException:  # Ctrl-C too: what was held back comes when the process is there
            self.end()
            raise
        finally:
            theirs.close()

    def send(self, message: Any) -> None:
        """The errors of `receive` where the worker is gone, and of `_pickled`."""
        pickled = _pickled(message, self.who)
        try:
            self.pipe.send_bytes(pickled)
        except OSError:
            while True:  # what it has said before; its last word may be an error
                self.receive()

    def receive(self) -> Any:
        """Its next message. An error that ended it is raised, and a MachineError where it is gone without one."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(message, BaseException):
            raise message
        return message

    def look(self) -> None:
        """Raise what `receive` does, if there is something, of a worker that sends nothing else."""
        try:
            there = self.pipe.poll()
        except OSError:
            there = True
        if there:
            self.receive()

    def end(self) -> None:
        """In whatever state it is."""
        _open.discard(self)
        self.pipe.close()  # by which it would end by itself
        if self.process.pid is not None:  # not where the fork has failed
            self.process.kill()
            self.process.join()

    def no_answer(self, seconds: float, stopped: bool) -> MachineError:
        """Of a worker that is there."""
        what = "is stopped (SIGSTOP)" if stopped else "is there"
        how = f"{what} and has not answered for {seconds:g} s, {self._doing()}"
        message = f"{self.who} (pid {self.process.pid}) {how}"
        return MachineError(self._code, message, notes=["--worker-timeout waits longer"])

    def _death(self) -> MachineError:
        code = self._exit_code()
        how = "does not answer" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code}"
        return MachineError(self._code, f"{self.who} (pid {self.process.pid}) {how} {self._doing()}")

    def _exit_code(self) -> int | None:
        """None where it is still there after a while. Not by `join`, which waits for a descriptor that a rank has
        closed with all others, and then without end."""
        deadline = time.monotonic() + PATIENCE
        while self.process.exitcode is None and time.monotonic() < deadline:
            time.sleep(PATIENCE / 100)
        code: int | None = self.process.exitcode
        return code

    def _doing(self) -> str:
        """Its last state and row, in words."""
        return self._where(State(self._status[0]), int(_row_in(self._status)[0]))


_open: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()
"""Workers of this process whose pipes are open: what is forked later closes its copies of our ends."""


def no_answer(workers: Sequence[WorkerProcess], seconds: float) -> MachineError:
    """The error of those that are waited for: of one that is stopped, else of the first."""
    stopped = [worker for worker in workers if worker.process.pid is not None and is_stopped(worker.process.pid)]
    return (stopped or workers)[0].no_answer(seconds, bool(stopped))


def start_all(starts: Iterable[Callable[[], WorkerProcess]]) -> list[WorkerProcess]:
    """All of these workers, or none and the error that there was."""
    before, workers = set(_open), list[WorkerProcess]()
    try:
        for start in starts:
            workers.append(start())
    except BaseException:
        end_all(set(_open) - before)  # not only those in the list: Ctrl-C may have come before the last one was
        raise
    return workers


def end_all(workers: Iterable[WorkerProcess]) -> None:
    for worker in workers:
        worker.end()


@atexit.register  # after multiprocessing's own function, and so called before it, which would wait for workers for ever
def _end_open() -> None:
    end_all(list(_open))


def _live(work: Callable[[Worker], None], worker: Worker, others: Sequence[WorkerProcess], close_files: bool) -> None:
    """A worker's life, from the fork on: `work` goes on until the worker ends itself."""
    try:
        worker.enter(State.STARTING)
        gc.freeze()  # the parent's garbage is the parent's: a session of onnxruntime joins threads that are not here
        gc.enable()
        ignore_stop_signals()
        if close_files:
            close_all_but(worker.pipe.fileno())
        else:
            for other in others:  # or workers would not notice that their parent has closed their pipes, or is gone
                other.pipe.close()
        work(worker)
    except Exception as error:
        _report(worker, error)
    finally:
        os._exit(1)


LONGEST_TEXT = LONGEST_MESSAGE // 8
"""Characters of a traceback, which may have four bytes each."""


def _report(worker: Worker, error: Exception) -> None:
    """Send an error up: graphc's and Python's own as they are, a library's or one that cannot be sent as a RuntimeError
    with its traceback."""
    text = traceback.format_exc()
    if isinstance(error, MemoryError):
        error = MemoryError(str(error))  # NumPy's own cannot be sent
    elif not isinstance(error, GraphcError) and type(error).__module__ != "builtins":
        error = RuntimeError(text)
    try:
        worker.send(error)
    except Exception:  # something in it cannot be sent, or it is too long
        worker.send(RuntimeError(text[-LONGEST_TEXT:]))
