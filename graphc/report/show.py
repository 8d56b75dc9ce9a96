"""`graphc show`: a model's layers with shapes, receptive fields, variables and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.markup import escape

from graphc.dims import format_shape, is_image
from graphc.errors import counted
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.receptive_field import ReceptiveField
from graphc.report.families import ACCENTS, family_of
from graphc.report.summary import as_json
from graphc.report.tables import Look, bytes_text, render, short
from graphc.report.tree import Group, fold, kinds, tree

COLUMNS = ("layer", "kind", "shape", "receptive field", "stride", "padding", "params", "MACs", "memory")
NAMED_OUTPUTS = 20
"""As many stand in the headline."""
SPARE = ("padding", "stride", "memory", "receptive field", "kind", "MACs")


def show(
    plan: Plan, form: str, *, depth: int | None = None, columns: tuple[str, ...] = (), as_tree: bool = False
) -> str:
    """The plan as `table`, `csv`, `md` or the promised `json`; `as_tree` gives every group a row of its own."""
    if form == "json":
        return as_json(plan)
    if as_tree:
        rows = tree_rows(tree(plan), depth)
    else:
        rows = [layer_row(each) for each in plan.nodes] if depth is None else [folded_row(g) for g in fold(plan, depth)]
    kept = [COLUMNS.index(name) for name in columns] if columns else range(len(COLUMNS))
    sums = totals(plan)
    total = ["total", "", "", "", "", "", sums["params"], sums["macs"], sum_of(list(plan.nodes), memory)]
    look = Look(CELLS, () if columns else SPARE, headline(plan), (footline(plan),))
    return render(
        [COLUMNS[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        form,
        total=[total[i] for i in kept] if any(total[i] for i in kept if i) else None,
        look=look,
    )


def headline(plan: Plan) -> str:
    """`lenet5: image 28×28×1 → logits 10`."""
    inputs = ", ".join(f"{each.name} {format_shape(each.shape)}" for each in plan.graph.inputs)
    found = list(plan.graph.outputs.items())
    outputs = ", ".join(f"{name} {format_shape(plan.shapes[node])}" for name, node in found[:NAMED_OUTPUTS])
    outputs += f" and {counted(len(found) - NAMED_OUTPUTS, 'more output')}" if len(found) > NAMED_OUTPUTS else ""
    images = any(is_image(plan.shapes[node]) for node in plan.graph.outputs.values())
    axes = " (H×W×C; compiled N H W C, or as --output-layout says)" if images else ""
    return escape(f"{plan.graph.name}: {inputs} → {outputs}{axes}")


def footline(plan: Plan) -> str:
    """What the totals mean, in few digits; float32, one example."""
    sums = totals(plan)
    params, trainable = sums["params"] or 0, sums["trainable_params"] or 0
    fixed = "" if trainable == params else f" ({params - trainable:,} of them not trained)"
    words = [f"{short(params)} parameters{fixed}, {' '.join(bytes_text(4 * params).split())} as float32"]
    if sums["macs"] is not None:
        words.append(f"{short(sums['macs'])} MACs an example")
    return "; ".join(words)


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


def folded_row(group: Group) -> list[Any]:
    """One row for a group and all below it, at its last layer's shape."""
    members = group.members
    row = layer_row(members[-1])
    row[0], row[1] = group.name, kinds(group)
    row[6] = sum(each.param_count for each in members) or None
    row[7] = sum_of(members, lambda each: each.macs) or None
    row[8] = sum_of(members, memory)
    return row


def tree_rows(groups: list[Group], depth: int | None, level: int = 1) -> list[list[Any]]:
    """Groups with sums, and below them, indented, what they hold; folded below `depth`."""
    rows = []
    for group in groups:
        folded = level == depth
        has_own_row = group.own is not None and not folded
        row = layer_row(group.own) if group.own is not None and has_own_row else folded_row(group)
        row[0] = "  " * (level - 1) + group.name.rpartition("/")[2]
        rows.append(row)
        if not folded:
            rows.extend(tree_rows(group.children, depth, level + 1))
    return rows


def sum_of(members: list[PlannedNode], value: Callable[[PlannedNode], int | None]) -> int | None:
    """The sum over layers; None where one of them is not known."""
    values = [value(each) for each in members]
    return None if None in values else sum(each or 0 for each in values)


def field_cells(field: ReceptiveField | None) -> tuple[str, str, str]:
    if field is None:
        return "whole input", "", ""
    padding = "depends on size" if field.padding is None else each_axis(field.padding)
    return each_axis(field.size), each_axis([float(each) for each in field.stride]), padding


def each_axis(values: Sequence[float]) -> str:
    """`3×5`, or `3` where it is the same along every axis."""
    return "×".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))


def memory(planned: PlannedNode) -> int | None:
    """Bytes of this layer's output for one example, float32."""
    return planned.activation_bytes


def dim_path(name: str) -> str:
    """A layer's name with its groups less bright than itself."""
    path, slash, last = name.rpartition("/")
    return f"[dim]{escape(path + slash)}[/]{escape(last)}" if path else escape(name)


def coloured_kind(kind: str) -> str:
    family = family_of(kind.partition(" + ")[0])
    return escape(kind) if family is None else f"[{ACCENTS[family].terminal}]{escape(kind)}[/]"


CELLS: dict[str, Callable[[Any], str]] = {"layer": dim_path, "kind": coloured_kind, "memory": bytes_text}
