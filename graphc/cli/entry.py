"""One command run: whatever goes wrong is one sentence and an exit code (see graphc.errors)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import click

from graphc.cli.commands import cli
from graphc.cli.options import say
from graphc.console import discard_output, open_streams
from graphc.errors import GraphcError
from graphc.system import is_broken_pipe, stop_signals

TERMINATED = 128 + 15
"""Exit code after SIGTERM."""


def main() -> None:
    """Run a command; every failure is one sentence and an exit code (see graphc.errors)."""
    open_streams()
    for number in stop_signals():
        if number != signal.SIGINT:  # Python's own
            signal.signal(number, _terminate)
    code = run_command()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # nothing is left to do; after a signal threads may be at work still on a step that was given up


def _terminate(*_: object) -> None:
    """Leave by way of every `finally`, so that nothing half-written stays."""
    raise SystemExit(TERMINATED)


def run_command() -> int:
    try:
        result = cli.main(prog_name="graphc", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except GraphcError as error:
        say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return 130
    except SystemExit as error:
        if error.code == TERMINATED:
            say("terminated")
            return TERMINATED
        return 0  # click's: completion is done, or nobody reads our output any more
    except MemoryError:
        say("error[G503]: this needs more memory than there is")
        return 3
    except OSError as error:
        if is_broken_pipe(error):
            discard_output()
            return 0
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}error[G504]: {error.strerror or error}")
        return 3
    except Exception as error:
        if os.environ.get("GRAPHC_DEBUG"):
            raise
        say(f"error[G900]: a bug in graphc: {type(error).__name__}: {error} (GRAPHC_DEBUG=1 shows where)")
        return 1
