"""`graphc diff`: what changed between two models, layer by layer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from graphc.dims import format_shape
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.report.explain import show
from graphc.report.tables import render


def diff(old: Plan, new: Plan, form: str) -> str:
    """Rows (change, layer, what, old, new), then the totals that differ."""
    rows = [*layer_rows(old, new), *total_rows(old, new)]
    if not rows and form == "table":
        return "no difference\n"
    return render(("change", "layer", "what", "old", "new"), rows, form)


def layer_rows(old: Plan, new: Plan) -> list[list[Any]]:
    before, after = list(old.by_name.values()), list(new.by_name.values())
    rows: list[list[Any]] = []
    done = [0, 0]
    both = in_both([each.node.name for each in before], [each.node.name for each in after])
    for at in [*both, (len(before), len(after))]:
        gone, come = before[done[0] : at[0]], after[done[1] : at[1]]
        rows.extend(["removed", each.node.name, each.node.layer.kind, describe(each), ""] for each in gone)
        rows.extend(["added", each.node.name, each.node.layer.kind, "", describe(each)] for each in come)
        if at[0] < len(before):
            rows.extend(changed(before[at[0]], after[at[1]]))
        done = [at[0] + 1, at[1] + 1]
    return rows


def in_both(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Places of as many names as are in both lists in one order, no name being in a list twice: the longest increasing
    run of places, which takes n*log(n) steps."""
    places = {name: place for place, name in enumerate(after)}
    pairs = [(place, places[name]) for place, name in enumerate(before) if name in places]
    ends: list[int] = []
    """Of the runs of each length, the one that ends first: where."""
    last: list[int] = []
    """By length: the number of that run's last pair."""
    previous: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1], last[length : length + 1] = [place], [number]
    found = []
    at = last[-1] if last else -1
    while at >= 0:
        found.append(pairs[at])
        at = previous[at]
    return found[::-1]


def describe(planned: PlannedNode) -> str:
    return f"{format_shape(planned.shape)}, {planned.param_count:,} parameters"


def changed(old: PlannedNode, new: PlannedNode) -> list[list[Any]]:
    """Rows for kind, arguments, inputs, shape and parameters of one layer that is in both."""
    pairs = [
        ("kind", old.node.layer.kind, new.node.layer.kind),
        ("inputs", ", ".join(old.node.inputs), ", ".join(new.node.inputs)),
        ("shape", format_shape(old.shape), format_shape(new.shape)),
        ("parameters", old.param_count, new.param_count),
    ]
    if old.node.layer.kind == new.node.layer.kind:
        first, second = old.node.layer.model_dump(mode="json"), new.node.layer.model_dump(mode="json")
        pairs[1:1] = [(name, show(first[name]), show(second[name])) for name in first]
    return [["changed", old.node.name, what, a, b] for what, a, b in pairs if a != b]


def total_rows(old: Plan, new: Plan) -> list[list[Any]]:
    first, second = totals(old), totals(new)
    return [["total", "", name, first[name], second[name]] for name in first if first[name] != second[name]]
