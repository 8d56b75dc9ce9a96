"""Frozen variables seen from their layers: normalization whose statistics are frozen uses them, in training too."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from graphc.graph import Node, Plan


def frozen_plan(plan: Plan, frozen: Collection[str]) -> Plan:
    """The plan with `frozen: true` on every layer that has this argument and whose own statistics are all frozen."""

    def stays(node: Node) -> bool:
        params = plan.by_name[node.variables].params
        moving = [plan.graph.variable(node, local) for local, spec in params.items() if not spec.trainable]
        return bool(moving) and "frozen" in type(node.layer).model_fields and all(name in frozen for name in moving)

    def freeze(node: Node) -> Node:
        return replace(node, layer=node.layer.model_copy(update={"frozen": True})) if stays(node) else node

    nodes = tuple(replace(planned, node=freeze(planned.node)) for planned in plan.nodes)
    return replace(plan, nodes=nodes, graph=replace(plan.graph, nodes=tuple(planned.node for planned in nodes)))
