"""A plan as plain data: what `graphc show --format json` prints. Tools read this form; it only ever grows."""

from __future__ import annotations

import json
from fractions import Fraction
from textwrap import indent
from typing import Any

from graphc.dims import Dim
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.receptive_field import ReceptiveField


def as_json(plan: Plan) -> str:
    """Layers in topological order, end points and totals; shapes without the batch. No two layers are there at once as
    objects, of which there may be many."""
    layers = ",\n".join(indent(_text(layer_summary(plan, each)), "  ") for each in plan.nodes)
    parts = {
        "name": _text(plan.graph.name),
        "inputs": _text(
            [{"name": each.name, "shape": [size(dim) for dim in each.shape]} for each in plan.graph.inputs]
        ),
        "layers": f"[\n{layers}\n ]" if layers else "[]",
        "end_points": _text(dict(plan.graph.end_points)),
        "outputs": _text(dict(plan.graph.outputs)),
        "totals": _text(totals(plan)),
    }
    del layers
    lines = (f' "{key}": ' + (text if key == "layers" else indent(text, " ").lstrip()) for key, text in parts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _text(value: Any) -> str:
    return json.dumps(value, indent=1)


def layer_summary(plan: Plan, planned: PlannedNode) -> dict[str, Any]:
    node = planned.node
    return {
        "name": node.name,
        "kind": node.layer.kind,
        "family": node.layer.family,
        "inputs": list(node.inputs),
        "shape": [size(dim) for dim in planned.shape],
        "params": planned.param_count,
        "trainable_params": planned.trainable_count,
        "macs": planned.macs,
        "flops": planned.flops,
        "memory": planned.activation_bytes,
        "receptive_field": field_summary(planned.receptive_field),
        "variables": [
            {"name": plan.graph.variable(node, local), "shape": list(spec.shape), "trainable": spec.trainable}
            for local, spec in planned.params.items()
        ],
    }


def field_summary(field: ReceptiveField | None) -> dict[str, Any] | None:
    if field is None:
        return None
    return {
        "size": list(field.size),
        "stride": [number(stride) for stride in field.stride],
        "padding": None if field.padding is None else list(field.padding),
        "centre": None if field.centre is None else [number(centre) for centre in field.centre],
    }


def size(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
