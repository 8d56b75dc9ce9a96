"""`graphc compare`: variants of networks, and runs of training, side by side: one row each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from graphc.dims import format_shape, is_static
from graphc.errors import SpecError, counted
from graphc.graph import Plan
from graphc.passes.expectations import MEMORY, totals
from graphc.report.listing import seen
from graphc.report.tables import Look, bytes_text, render
from graphc.train.run_folder import RunFolder
from graphc.train.trained import task_of_run
from graphc.train.watching import best_record

OF_NETWORKS = ("model", "input", "params", "MACs", "memory", "receptive field", "layers")
OF_RUNS = ("epochs", "best epoch")
SECONDS = "s/epoch"
SPARE = ("layers", "input", "epochs", "best epoch", "receptive field", "memory")
MOST = 1_000
"""Variants that are compared at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one network or run."""

    name: str
    plan: Plan
    epochs: int | None = None
    """Done."""
    best_epoch: int | None = None
    best: Mapping[str, float] = field(default_factory=dict)
    """Losses and metrics of that epoch, by their names in the log."""
    seconds: float | None = None
    """The median of whole epochs, validation left out."""


def variants(settings: Sequence[str]) -> list[tuple[str, ...]]:
    """Each combination of the values that `NAME=VALUE` gives a name, in the order in which they are written; one empty
    combination of none. A SpecError where there are more than `MOST`."""
    values: dict[str, list[str]] = {}
    for setting in settings:
        values.setdefault(setting.partition("=")[0].strip(), []).append(setting)
    count = 1
    for each in values.values():
        count *= len(each)
    if count > MOST:
        raise SpecError("G172", f"--set: expected at most {MOST:,} variants, found {count:,}")
    return list(product(*values.values()))


def rows_of_spec(spec: str, settings: Sequence[str], plan_of: Callable[[str, tuple[str, ...]], Plan]) -> list[Row]:
    """One row a variant; what is set alike in all of them stands in no name."""
    found = variants(settings)
    varied = {each for each in settings if any(each not in variant for variant in found)}
    return [
        Row(" ".join([spec, *(setting for setting in variant if setting in varied)]), plan_of(spec, variant))
        for variant in found
    ]


def row_of_run(path: str) -> Row:
    """A run's network, its best epoch, and how long epochs took. Errors as of `RunFolder.read_facts` and `records`."""
    folder = RunFolder(path)
    task, _ = task_of_run(folder, folder.read_facts())
    records = [record for record in folder.records() if "epoch" in record] if folder.log.exists() else []
    best = best_record(task.recipe, records)
    return Row(
        path,
        task.plan,
        epochs=len(records),
        best_epoch=None if best is None else best["epoch"],
        best={} if best is None else judged(best),
        seconds=seconds_an_epoch(folder),
    )


def judged(record: Mapping[str, Any]) -> dict[str, float]:
    """The losses and metrics of an epoch's record that are numbers: of the validation, where there was one."""
    numbers = {
        name: float(value)
        for name, value in record.items()
        if isinstance(value, (int, float)) and name not in ("epoch", "step", "learning_rate", "gradient_norm")
    }
    return {name: value for name, value in numbers.items() if name.startswith("validation_")} or numbers


def seconds_an_epoch(folder: RunFolder) -> float | None:
    """The median of the epochs that one process did from their beginning; None where there is none."""
    found = folder.timings()
    most = max((examples for examples, _ in found), default=0)
    whole = [seconds for examples, seconds in found if examples == most]
    return statistics.median(whole) if whole else None


def compare(rows: Sequence[Row], form: str) -> str:
    """`form` as of `render`; columns of runs are there where there is one."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.best))
    trained = any(row.epochs is not None for row in rows)
    columns = (*OF_NETWORKS, *((*OF_RUNS, *metrics, SECONDS) if trained else ()))
    cells = [[*network_cells(row), *(run_cells(row, metrics) if trained else ())] for row in rows]
    untrained = sum(row.epochs == 0 for row in rows)
    notes = ["memory: the most bytes of one example in float32 that are alive at once"]
    notes += [f"{counted(untrained, 'run')} without a finished epoch"] if untrained else []
    look = Look({"memory": bytes_text}, (*SPARE, *metrics[1:]), notes=notes)
    return render(columns, cells, form, look=look)


def network_cells(row: Row) -> list[Any]:
    plan, sums = row.plan, totals(row.plan)
    open_sizes = not all(map(is_static, plan.shapes.values()))
    given = ", ".join(format_shape(each.shape) for each in plan.graph.inputs)
    memory = None if open_sizes else int(MEMORY["memory"](plan))
    return [row.name, given, sums["params"], sums["macs"], memory, seen(plan), len(plan.nodes)]


def run_cells(row: Row, metrics: Sequence[str]) -> list[Any]:
    return [row.epochs, row.best_epoch, *(row.best.get(name) for name in metrics), row.seconds]
