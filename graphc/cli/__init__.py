"""The command line, one file a group of commands.

Each command imports what it runs when it runs, so that `graphc --help` loads none of it; and nothing is imported
before Ctrl-C has its answer.
"""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING

from graphc.cli.stopping import stopping
from graphc.lazy import loaded_from

if TYPE_CHECKING:
    from graphc.cli.commands import cli
    from graphc.cli.entry import run_command

HOMES = {"cli": "graphc.cli.commands", "run_command": "graphc.cli.entry"}


def main() -> None:
    """Run a command; every failure is one sentence and an exit code (see graphc.errors)."""
    stopping.loading = True
    stopping.take(signal.SIGINT)
    gc.disable()
    from graphc.cli.entry import enter

    gc.freeze()  # what is loaded is no garbage, and is not looked at
    gc.enable()
    stopping.loading = False
    enter()


__getattr__ = loaded_from(HOMES)

__all__ = ["cli", "main", "run_command"]
