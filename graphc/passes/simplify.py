"""Rewrites for inference.

    conv2d conv1 -> batch_norm conv1/BatchNorm -> relu -> dropout -> fully_connected
    conv2d conv1 (with biases)                 -> relu            -> fully_connected

Outputs and end points keep their names: the value of `conv1/BatchNorm` is then the output of `conv1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graphc.dims import Shape
from graphc.graph import Node, Plan
from graphc.types import Array, Params


@dataclass(frozen=True, slots=True)
class Inference:
    """A graph with its weights, as it is emitted."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape]
    """Of nodes and graph inputs, by name."""
    params: Mapping[str, Params]
    """Of nodes, by name."""
    outputs: Mapping[str, str]
    """Output name -> node."""
    end_points: Mapping[str, str]
    """End point name -> node, where a value is left to point at."""


def inference(plan: Plan, params: Mapping[str, Array], outputs: Mapping[str, str] | None = None) -> Inference:
    """The plan with its weights; `outputs` (name -> node) instead of the graph's own where given."""
    graph = plan.graph
    owned = {planned.node.variables: tuple(planned.params) for planned in plan.nodes if planned.params}
    local = {
        node.name: {name: params[graph.variable(node, name)] for name in owned.get(node.variables, ())}
        for node in graph.nodes
    }
    shapes: dict[str, Shape] = {given.name: given.shape for given in graph.inputs}
    shapes.update({planned.node.name: planned.shape for planned in plan.nodes})
    return Inference(graph.nodes, shapes, local, graph.outputs if outputs is None else outputs, graph.end_points)


Rewrite = Callable[[Inference], Inference]

SIMPLIFICATIONS: tuple[Rewrite, ...] = ()
"""What `simplify` does, in order."""


def simplify(graph: Inference) -> Inference:
    for rewrite in SIMPLIFICATIONS:
        graph = rewrite(graph)
    return graph
