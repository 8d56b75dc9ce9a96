"""`graphc show --by params`: the layers or groups that hold most of a model, the largest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.lazy import lazy_import
from graphc.report.show import coloured_kind, dim_path, headline
from graphc.report.tables import Look, bytes_text, pretty, render
from graphc.report.tree import fold, kinds

if TYPE_CHECKING:
    from graphc.report import timing
else:  # only milliseconds run anything
    timing = lazy_import("graphc.report.timing")

BAR = 30
"""Characters of the longest bar."""
EIGHTHS = " ▏▎▍▌▋▊▉"
DEEPEST = 1000


def where(plan: Plan, measure: str, form: str, *, depth: int | None = None) -> str:
    """Rows (layer, kind, amount, share, cumulative share), with bars in the `table` form.

    `measure` is params, MACs, memory, or ms: milliseconds of one example forward in NumPy, measured here and now.
    """
    values = values_of(plan, measure)
    amounts = [(group, sum(values[each.node.name] for each in group.members)) for group in fold(plan, depth or DEEPEST)]
    total = sum(value for _, value in amounts)
    largest = sorted((each for each in amounts if each[1]), key=lambda each: -each[1])
    columns = ["layer", "kind", measure, "share", "cumulative"]
    rows: list[list[Any]] = []
    running = 0.0
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


def values_of(plan: Plan, measure: str) -> Mapping[str, float]:
    """The amount of each layer, by node name."""
    if measure == "params":
        return {each.node.name: each.param_count for each in plan.nodes}
    found = {each.node.name: each.activation_bytes if measure == "memory" else each.macs for each in plan.nodes}
    for name, value in found.items():
        if value is None:
            raise SpecError("G205", f"{measure} needs fixed sizes: {name} depends on a symbol; set the resolution")
    return timing.layer_times(plan) if measure == "ms" else {name: value or 0 for name, value in found.items()}


def bar(value: float, largest: float) -> str:
    """A bar in eighths of a character; something of it for whatever is not nothing."""
    eighths = max(round(8 * BAR * value / largest), 1)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def percent(share: Any) -> str:
    return f"{100 * share:.1f} %"


CELLS: dict[str, Callable[[Any], str]] = {
    "layer": dim_path,
    "kind": coloured_kind,
    "params": pretty,
    "ms": lambda value: f"{value:,.2f}",
    "memory": bytes_text,
    "share": percent,
    "cumulative": percent,
    "": lambda text: f"[blue]{text}[/]",
}
