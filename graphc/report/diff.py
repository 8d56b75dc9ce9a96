"""`graphc diff`: what changed between two models, layer by layer."""

from __future__ import annotations

import difflib
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
    before, after = old.by_name, new.by_name
    rows: list[list[Any]] = []
    matcher = difflib.SequenceMatcher(None, list(before), list(after), autojunk=False)
    for change, i, j, m, n in matcher.get_opcodes():
        if change == "equal":
            for name in list(before)[i:j]:
                rows.extend(changed(before[name], after[name]))
            continue
        rows.extend(
            ["removed", name, before[name].node.layer.kind, describe(before[name]), ""] for name in list(before)[i:j]
        )
        rows.extend(
            ["added", name, after[name].node.layer.kind, "", describe(after[name])] for name in list(after)[m:n]
        )
    return rows


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
