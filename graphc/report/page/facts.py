"""A plan as the data that the page's script reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.dims import is_static
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.receptive_field import Reach
from graphc.report.explain import argument_rows, show
from graphc.report.families import ACCENTS
from graphc.report.picture.blocks import blocks, title
from graphc.report.properties import Drift, Economy, economies
from graphc.report.show import headline, memory, sum_of
from graphc.report.summary import field_summary, size

Json = dict[str, Any]


def facts(plan: Plan, drift: Mapping[str, Drift]) -> Json:
    """Everything about a model that needs neither images nor a run; the layers one by one, as they are asked for."""
    economy = economies(plan)
    heads = {each.node.name: block.name for block in blocks(plan) for each in block.members}
    return {
        "name": plan.graph.name,
        "headline": headline(plan),
        "inputs": [{"name": each.name, "shape": [size(dim) for dim in each.shape]} for each in plan.graph.inputs],
        "outputs": dict(plan.graph.outputs),
        "totals": {**totals(plan), "memory": sum_of(list(plan.nodes), memory), "layers": len(plan.nodes)},
        "accents": {name: [accent.light, accent.dark] for name, accent in ACCENTS.items()},
        "layers": (
            {
                **layer_facts(plan, each),
                "block": heads[each.node.name],
                "reach": reach_facts(each, plan.input_shapes(each.node)),
                "economy": economy_facts(economy.get(each.node.name)),
                "drift": drift_facts(drift.get(each.node.name)),
            }
            for each in plan.nodes
        ),
    }


def layer_facts(plan: Plan, planned: PlannedNode) -> Json:
    node = planned.node
    return {
        "name": node.name,
        "kind": node.layer.kind,
        "family": node.layer.family,
        "title": title(node.layer),
        "inputs": list(node.inputs),
        "shape": [size(dim) for dim in planned.shape],
        "field": field_summary(planned.receptive_field),
        "params": planned.param_count,
        "macs": planned.macs,
        "memory": memory(planned),
        "variables": [
            [plan.graph.variable(node, local), "×".join(map(str, spec.shape)), spec.trainable]
            for local, spec in planned.params.items()
        ],
        "arguments": [[name, show(value), source] for name, value, source in argument_rows(node)],
        "place": str(node.place),
        "trail": list(node.trail),
    }


def reach_facts(planned: PlannedNode, inputs: list[Any]) -> Any:
    """[rows, columns] as [period, advance, lows, highs]; 0 where all is seen, 1 where only the same place is."""
    layer = planned.node.layer
    if not all(is_static(shape) for shape in inputs):
        return 0
    if all(layer.sees_all(*inputs)):
        return 0
    reaches = layer.reach(*inputs)
    if all(reach.is_identity for reach in reaches):
        return 1
    return [one_reach(reach) for reach in reaches]


def one_reach(reach: Reach) -> list[Any]:
    return [reach.period, reach.advance, list(reach.low), list(reach.high)]


def economy_facts(economy: Economy | None) -> Json | None:
    if economy is None:
        return None
    return {
        "connections": economy.connections,
        "dense_connections": economy.dense_connections,
        "dense_params": economy.dense_params,
        "sparsity": digits(economy.sparsity),
        "sharing": digits(economy.sharing),
    }


def drift_facts(drift: Drift | None) -> Json | None:
    if drift is None:
        return None
    inside = None if drift.inside is None else digits(drift.inside)
    return {
        "shift": drift.shift,
        "inside": inside,
        "everywhere": digits(drift.everywhere),
        "one_pixel": digits(drift.one_pixel),
    }


def digits(value: float) -> float:
    """Four digits: a page needs no more."""
    return float(f"{value:.4g}")
