"""Signals: the first one asks training to save and end, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from graphc.errors import GraphcError

PATIENCE = 2.5
"""Seconds that a step may still take after a signal before it is given up."""


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

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM meanwhile (in the main thread; elsewhere signals are not ours)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        taken = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._asked) for number in taken}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._waited)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
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
        if self.signal is not None:
            raise Interrupted(number, "stopped at once; the last checkpoint is where `graphc resume` goes on")
        self.signal = number
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, 0.1)

    def _waited(self, number: int, frame: FrameType | None) -> Any:
        if self._computing:
            self._computing = False
            raise Abandoned
