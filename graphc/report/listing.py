"""`graphc list`: the zoo in one table."""

from __future__ import annotations

from typing import Any

from graphc.compiler import plan_spec
from graphc.dims import format_shape
from graphc.passes.expectations import totals
from graphc.report.tables import render
from graphc.spec.zoo import find, zoo_names

COLUMNS = ("model", "input", "params", "MACs", "receptive field", "layers")


def listing(form: str) -> str:
    """One row a model, by name."""
    return render(COLUMNS, [row(name) for name in zoo_names()], form)


def row(name: str) -> list[Any]:
    plan = plan_spec(find(name))
    sums = totals(plan)
    fields = [each.receptive_field.size for each in plan.nodes if each.receptive_field is not None]
    largest = max(fields, default=None)
    shown = "–" if largest is None else f"{largest[0]}" if largest[0] == largest[1] else f"{largest[0]}×{largest[1]}"
    return [name, format_shape(plan.graph.inputs[0].shape), sums["params"], sums["macs"], shown, len(plan.nodes)]
