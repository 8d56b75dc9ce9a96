"""`graphc show --by params`: the layers or groups that hold most of a model, the largest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import SpecError
from graphc.graph import Plan, PlannedNode
from graphc.report.show import coloured_kind, dim_path, headline, memory
from graphc.report.tables import Look, bytes_text, pretty, render
from graphc.report.tree import Group, fold, kinds

MEASURES = ("params", "MACs", "memory")
BAR = 30
"""Characters of the longest bar."""
EIGHTHS = " ▏▎▍▌▋▊▉"
DEEPEST = 1000


def where(plan: Plan, measure: str, form: str, *, depth: int | None = None) -> str:
    """Rows (layer, kind, amount, share, cumulative share), with bars in the `table` form."""
    amounts = [(group, amount(group, measure)) for group in fold(plan, depth or DEEPEST)]
    total = sum(value for _, value in amounts)
    largest = sorted((each for each in amounts if each[1]), key=lambda each: -each[1])
    columns = ["layer", "kind", measure, "share", "cumulative"]
    rows: list[list[Any]] = []
    running = 0
    for group, value in largest:
        running += value
        rows.append([group.name, kinds(group), value, value / total, running / total])
    look = Look(CELLS, ("kind", "cumulative"), headline(plan))
    sums = ["total", "", total, 1.0 if total else None, None]
    if form == "table":
        columns.append("")
        rows = [[*row, bar(row[2], largest[0][1])] for row in rows]
        sums.append("")
    return render(columns, rows, form, total=sums, look=look)


def amount(group: Group, measure: str) -> int:
    values = [MEASURE_OF[measure](each) for each in group.members]
    if None in values:
        raise SpecError("G205", f"{measure} needs fixed sizes: {group.name} depends on a symbol; set the resolution")
    return sum(value or 0 for value in values)


def bar(value: int, largest: int) -> str:
    """A bar in eighths of a character; something of it for whatever is not nothing."""
    eighths = max(round(8 * BAR * value / largest), 1)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def percent(share: Any) -> str:
    return f"{100 * share:.1f} %"


def params(planned: PlannedNode) -> int | None:
    return planned.param_count


def macs(planned: PlannedNode) -> int | None:
    return planned.macs


MEASURE_OF: dict[str, Callable[[PlannedNode], int | None]] = {"params": params, "MACs": macs, "memory": memory}
CELLS: dict[str, Callable[[Any], str]] = {
    "layer": dim_path,
    "kind": coloured_kind,
    "params": pretty,
    "memory": bytes_text,
    "share": percent,
    "cumulative": percent,
    "": lambda text: f"[blue]{text}[/]",
}
