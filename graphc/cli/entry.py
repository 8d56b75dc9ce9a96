"""One command run: whatever goes wrong is one sentence and an exit code (see graphc.errors)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings

from graphc.cli.answers import answer
from graphc.cli.commands import cli
from graphc.cli.stopping import stopping
from graphc.console import open_streams
from graphc.system import stop_signals


def enter() -> None:
    """Run the command line's command, and end."""
    open_streams()
    sys.unraisablehook = stopping.unraisable
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"graphc\.")  # results are looked at
    for number in stop_signals():
        stopping.take(number)
    try:
        code = run_command()
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)
    except (KeyboardInterrupt, SystemExit):  # while an error was being said
        stopping.end()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if stopping.by_exit:
        sys.exit(code)
    os._exit(code)  # nothing is left to do; after a signal threads may be at work still on a step that was given up


def run_command() -> int:
    try:
        result = cli.main(prog_name="graphc", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        with contextlib.suppress(OSError):  # nobody may be there to hear it
            return answer(error)
        return 3
