"""Signals that end a command: the first by way of every `finally`, a second at once; neither with a traceback.

This module loads nothing of graphc, so that it is there before anything else is.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopping:
    """Whether this command was asked to end, and by which signal."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.loading = False
        """Nothing is done yet: there is nothing to tidy up, and what is being loaded would make an error of another
        kind of an exception in it."""
        self.by_exit = False
        """Whether a command that has come to its end leaves by exit(), where libraries have something to do."""

    def take(self, number: int) -> None:
        """Answer this signal from now on, unless the caller has us ignore it."""
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, self._asked)

    @property
    def code(self) -> int:
        """The exit code."""
        return 128 + (self.asked or signal.SIGINT)

    @property
    def word(self) -> str:
        return WORDS.get(signal.Signals(self.asked or signal.SIGINT), "ended by a signal")

    def end(self) -> NoReturn:
        """At once, with what there is to say."""
        try:
            os.write(2, f"{self.word}\n".encode())
        finally:
            os._exit(self.code)

    def unraisable(self, found: sys.UnraisableHookArgs) -> None:
        """What comes where no exception can go: a signal ends the command from there too."""
        if self.asked is not None and issubclass(found.exc_type, (KeyboardInterrupt, SystemExit)):
            self.end()
        sys.__unraisablehook__(found)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            if signal.Signals(number).name != "SIGHUP":  # a terminal that closes sends it twice
                os._exit(self.code)
            return
        self.asked = number
        if self.loading:
            self.end()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(self.code)


stopping = Stopping()
