"""`graphc list`: the zoo in one table."""

from __future__ import annotations

from typing import Any

from graphc.compiler import plan_spec
from graphc.dims import format_shape, is_spatial
from graphc.graph import Plan
from graphc.passes.expectations import totals
from graphc.passes.truncate import keep
from graphc.report.show import each_axis
from graphc.report.tables import render
from graphc.spec.zoo import find, zoo_names

COLUMNS = ("model", "input", "params", "MACs", "receptive field", "layers")


def listing(form: str) -> str:
    """One row a model, by name."""
    return render(COLUMNS, [row(name) for name in zoo_names()], form)


def row(name: str) -> list[Any]:
    plan = plan_spec(find(name))
    sums = totals(plan)
    return [name, format_shape(plan.graph.inputs[0].shape), sums["params"], sums["macs"], seen(plan), len(plan.nodes)]


def seen(plan: Plan) -> str:
    """The receptive field of the last value, larger than one position, on the way to the first output."""
    name, node = next(iter(plan.graph.outputs.items()))
    on_the_way = {each.name for each in keep(plan.graph, {name: node}).nodes}
    maps = [
        each
        for each in plan.nodes
        if each.node.name in on_the_way and is_spatial(each.shape) and set(each.shape[:-1]) != {1}
    ]
    field = maps[-1].receptive_field if maps else None
    return "whole input" if field is None else each_axis(field.size)
