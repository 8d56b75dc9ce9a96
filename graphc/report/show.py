"""`graphc show`: a model's layers with shapes, receptive fields, variables and costs."""

from __future__ import annotations

import json
from typing import Any

from graphc.dims import format_shape
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.receptive_field import ReceptiveField
from graphc.report.summary import summary
from graphc.report.tables import render

COLUMNS = ("layer", "kind", "shape", "receptive field", "stride", "padding", "params", "MACs", "memory")


def show(plan: Plan, form: str, *, depth: int | None = None, columns: tuple[str, ...] = ()) -> str:
    """The plan as `table`, `csv`, `md` or the promised `json`."""
    if form == "json":
        return json.dumps(summary(plan), indent=1) + "\n"
    rows = [layer_row(each) for each in plan.nodes] if depth is None else folded_rows(plan, depth)
    kept = [COLUMNS.index(name) for name in columns] if columns else range(len(COLUMNS))
    sums = totals(plan)
    total = ["total", "", "", "", "", "", sums["params"], sums["macs"], total_memory(plan)]
    return render(
        [COLUMNS[i] for i in kept], [[row[i] for i in kept] for row in rows], form, total=[total[i] for i in kept]
    )


def layer_row(planned: PlannedNode) -> list[Any]:
    size, stride, padding = field_cells(planned.receptive_field)
    params = planned.param_count if planned.params else None
    return [
        planned.node.name,
        planned.node.layer.kind,
        format_shape(planned.shape),
        size,
        stride,
        padding,
        params,
        planned.macs or None,
        memory(planned),
    ]


def folded_rows(plan: Plan, depth: int) -> list[list[Any]]:
    """One row a group: layers whose names agree in their first `depth` parts, at the last one's shape."""
    groups: dict[str, list[PlannedNode]] = {}
    for each in plan.nodes:
        groups.setdefault("/".join(each.node.name.split("/")[:depth]), []).append(each)
    rows = []
    for name, members in groups.items():
        row = layer_row(members[-1])
        kinds = [each.node.layer.kind for each in members]
        row[0], row[1] = name, kinds[0] if len(members) == 1 else f"{len(members)} layers"
        row[6] = sum(each.param_count for each in members) or None
        macs = [each.macs for each in members]
        row[7] = None if None in macs else sum(each or 0 for each in macs) or None
        sizes = [memory(each) for each in members]
        row[8] = None if None in sizes else sum(each or 0 for each in sizes)
        rows.append(row)
    return rows


def field_cells(field: ReceptiveField | None) -> tuple[str, str, str]:
    if field is None:
        return "whole input", "", ""
    padding = "depends on size" if field.padding is None else pair(*field.padding)
    return pair(*field.size), pair(*(float(each) for each in field.stride)), padding


def pair(height: float, width: float) -> str:
    return f"{height:g}" if height == width else f"{height:g}×{width:g}"


def memory(planned: PlannedNode) -> int | None:
    """Bytes of this layer's output for one example, float32."""
    return planned.activation_bytes


def total_memory(plan: Plan) -> int | None:
    sizes = [memory(each) for each in plan.nodes]
    return None if None in sizes else sum(each or 0 for each in sizes)
