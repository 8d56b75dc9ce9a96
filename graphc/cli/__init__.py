"""The command line, one file a group of commands.

Each command imports what it runs when it runs, so that `graphc --help` loads none of it.
"""

from graphc.cli.commands import cli
from graphc.cli.entry import main, run_command

__all__ = ["cli", "main", "run_command"]
