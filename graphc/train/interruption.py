"""Signals: the first one asks training to save and end, the second ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from graphc.errors import GraphcError
from graphc.system import stop_signals, wake_main_thread

PATIENCE = 2.5
"""Seconds that a step may still take after a signal before it is given up."""
AGAIN = 0.1
"""Seconds between two looks whether there is a step to be given up."""


class Interrupted(GraphcError):
    """Training was asked to stop, and has saved."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__("G610", message)
        self.exit_code = 128 + number


class Abandoned(BaseException):
    """Raised inside a step that takes too long to wait for: the state is still the last step's."""


class Interruption:
    """Whether someone asked to stop. Between `computing` blocks nothing is ever torn out of the middle."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._computing = False
        self._over = threading.Event()
        """Nobody waits for a step any more."""
        self._waiting: threading.Thread | None = None
        self._overdue = False
        """The next signal is not a person's: a step takes too long."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the signals that ask to stop (in the main thread; elsewhere signals are not ours)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in stop_signals()}
        hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        try:
            yield
        finally:
            sys.unraisablehook = hook
            self._over.set()
            if self._waiting is not None:
                self._waiting.join()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A stretch that changes no state, and so can be given up in its middle."""
        self._computing = True
        try:
            yield
        finally:
            self._computing = False

    def _asked(self, number: int, frame: FrameType | None) -> Any:
        if self._overdue:
            self._overdue = False
            self._give_up()
        elif self.signal is not None:
            if signal.Signals(number).name == "SIGHUP":  # a terminal that closes sends it twice
                return
            raise Interrupted(number, "stopped at once; the last checkpoint is where `graphc resume` goes on")
        else:
            self.signal = number
            waiting = threading.Thread(target=self._wait, args=(number,), name="graphc-patience", daemon=True)
            waiting.start()
            self._waiting = waiting  # only now: what comes while it starts must not wait for it

    def _wait(self, number: int) -> None:
        """Of a step that is still at work when patience ends, tell the main thread."""
        over = self._over.wait(PATIENCE)
        while not over:
            if self._computing and not self._overdue:
                self._overdue = True
                wake_main_thread(number)
            over = self._over.wait(AGAIN)

    def _give_up(self) -> None:
        if self._computing:
            self._computing = False
            raise Abandoned

    def _unraisable(self, found: sys.UnraisableHookArgs) -> None:
        """Of an exception that came where none can go on, such as the end of an object: once more."""
        if issubclass(found.exc_type, Abandoned):
            self._computing = True
        elif issubclass(found.exc_type, Interrupted) and self.signal is not None:
            threading.Timer(AGAIN, wake_main_thread, (signal.SIGINT,)).start()
        else:
            sys.__unraisablehook__(found)
