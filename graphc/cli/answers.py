"""What a command says where it goes wrong, and its exit code (see graphc.errors)."""

from __future__ import annotations

import io
import os

import click

from graphc.cli.options import say
from graphc.cli.stopping import stopping
from graphc.console import discard_output
from graphc.errors import GraphcError, exhausted, one_line
from graphc.system import is_broken_pipe


def answer(error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)) or stopping.asked is not None:
        say(stopping.word)  # whatever became of a signal on its way up
        return stopping.code
    if isinstance(error, GraphcError):
        say(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        words = io.StringIO()
        error.show(words)
        say(words.getvalue().rstrip("\n"))
        return 2
    if isinstance(error, SystemExit):
        return 0  # click's: completion is done, or nobody reads our output any more
    if isinstance(error, OSError):
        return _answer_system(error)
    if (found := exhausted(error)) is not None:
        say(str(found))
        return found.exit_code
    if os.environ.get("GRAPHC_DEBUG"):
        raise error
    say(f"error[G900]: a bug in graphc: {type(error).__name__}: {error} (GRAPHC_DEBUG=1 shows where)")
    return 1


def _answer_system(error: OSError) -> int:
    if is_broken_pipe(error):
        discard_output()
        return 0
    where = f"{error.filename}: " if error.filename else ""
    say(one_line(f"{where}error[G504]: {error.strerror or error}"))
    return 3
