"""The command that trains many variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import (
    data_memory_option,
    format_option,
    out,
    quiet_option,
    say,
    threads_option,
    train_options,
    worker_timeout_option,
)
from graphc.files import shown


@click.command()
@click.argument("sweep_or_folder", metavar="SWEEP.YAML|FOLDER")
@click.option("-o", "--output", metavar="FOLDER", help="The sweep's folder.  [default: sweeps/NAME-of-the-file]")
@click.option("--join", is_flag=True, help="Work on the sweep in FOLDER, which another process has begun.")
@click.option("--show", "shows", is_flag=True, help="Print the trials of the sweep in FOLDER.")
@click.option(
    "--storage", metavar="URL", help="A database in place of the folder's journal: sqlite:///…, postgresql://…"
)
@format_option
@threads_option
@worker_timeout_option
@data_memory_option
@quiet_option
def sweep(
    sweep_or_folder: str,
    output: str | None,
    join: bool,
    shows: bool,
    storage: str | None,
    form: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Train many variants of a recipe; any number of processes and hosts may work on one sweep.

    \b
      graphc sweep sweep.yaml -o sweeps/width
      graphc sweep --join sweeps/width
      graphc sweep --show sweeps/width --format csv
    """
    if (join or shows) and (output or storage):
        raise click.UsageError("-o and --storage are for a new sweep: one that is there knows its own")
    if join and shows:
        raise click.UsageError("expected either --join or --show")
    if shows:
        from graphc.report.sweep_table import show_sweep
        from graphc.sweep.study import place_of, read_study, storage_errors

        swept, facts, study = read_study(sweep_or_folder)
        with storage_errors(place_of(swept, facts)):
            table = show_sweep(facts, study, form)
        out(table)
        return
    from graphc.sweep.worker import SweepWorker, begin_sweep

    folder = sweep_or_folder if join else output or str(Path("sweeps") / name_of(sweep_or_folder))
    if not join:
        begin_sweep(sweep_or_folder, folder, storage)
    worker = SweepWorker(folder, (lambda text: None) if quiet else say, train_options(**options))
    worker.work()
    say(f"wrote {shown(folder)}: {worker.summary()}")


def name_of(path: str) -> str:
    """Of a sweep's folder."""
    file = Path(path).absolute()
    return file.stem if file.stem != "sweep" else file.parent.name or "sweep"
