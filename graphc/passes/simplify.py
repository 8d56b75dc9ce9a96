"""Rewrites for inference.

    conv2d conv1 -> batch_norm conv1/BatchNorm -> relu -> dropout -> fully_connected
    conv2d conv1 (with biases)                 -> relu            -> fully_connected

Outputs and end points keep their names: the value of `conv1/BatchNorm` is then the output of `conv1`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.dims import Shape
from graphc.graph import Node, Plan
from graphc.layers.base import static
from graphc.lazy import np
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
    """End point name -> node; one that has no value any more is left out."""


Rewrite: TypeAlias = Callable[[Inference], Inference]


def inference(plan: Plan, params: Mapping[str, Array], outputs: Mapping[str, str] | None = None) -> Inference:
    """What the outputs (name -> node; the graph's own where not given) need of the plan, with its weights."""
    graph = plan.graph
    owned = {planned.node.variables: tuple(planned.params) for planned in plan.nodes if planned.params}
    local = {
        node.name: {name: params[graph.variable(node, name)] for name in owned.get(node.variables, ())}
        for node in graph.nodes
    }
    shapes: dict[str, Shape] = {given.name: given.shape for given in graph.inputs}
    shapes.update({planned.node.name: planned.shape for planned in plan.nodes})
    outputs = graph.outputs if outputs is None else outputs
    return drop_unused(Inference(graph.nodes, shapes, local, outputs, graph.end_points))


def simplify(graph: Inference) -> Inference:
    """The same outputs with fewer layers."""
    for rewrite in SIMPLIFICATIONS:
        graph = rewrite(graph)
    return graph


def drop_unused(graph: Inference) -> Inference:
    """Layers that reach no output go."""
    needed = set(graph.outputs.values())
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    return replace(graph, nodes=nodes, end_points=_still_there(graph.end_points, nodes))


def drop_idle(graph: Inference) -> Inference:
    """Layers that do nothing in inference go; their readers read what they read."""
    instead: dict[str, str] = {}
    inputs = graph.shapes.keys() - {node.name for node in graph.nodes}
    outputs = set(graph.outputs.values())
    for node in graph.nodes:
        source = instead.get(node.inputs[0], node.inputs[0])
        is_copy_of_input = source in inputs and node.name in outputs  # an output needs a node
        if node.layer.does_nothing(*(graph.shapes[name] for name in node.inputs)) and not is_copy_of_input:
            instead[node.name] = source
    return _without(graph, instead)


def fold_affine(graph: Inference) -> Inference:
    """Batch norms (and whatever else is y*scale + offset a channel) go into the weights of the layer before, where
    nothing else reads that layer."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    kept = set(graph.outputs.values())
    changed: dict[str, Node] = {}
    params = dict(graph.params)
    instead: dict[str, str] = {}
    by_name = {node.name: node for node in graph.nodes}
    lost = set()
    for node in graph.nodes:
        affine = node.layer.as_affine(params[node.name])
        source = instead.get(node.inputs[0], node.inputs[0])
        if affine is None or source not in by_name or readers[node.inputs[0]] != 1 or node.inputs[0] in kept:
            continue
        before = changed.get(source, by_name[source])
        channels = static(graph.shapes[source][-1:], before.layer.kind)
        folded = before.layer.absorb_affine(params[source], *(np.broadcast_to(each, channels) for each in affine))
        if folded is None:
            continue
        layer, params[source] = folded
        changed[source] = replace(before, layer=layer)
        instead[node.name] = source
        lost.add(node.inputs[0])
    nodes = tuple(changed.get(node.name, node) for node in graph.nodes)
    end_points = {name: node for name, node in graph.end_points.items() if node not in lost}
    return _without(replace(graph, nodes=nodes, params=params, end_points=end_points), instead)


SIMPLIFICATIONS: tuple[Rewrite, ...] = (drop_idle, fold_affine)
"""What `simplify` does, in order."""


def _without(graph: Inference, instead: Mapping[str, str]) -> Inference:
    """The graph without the nodes in `instead`; whoever named one of them gets the node that stands for it."""
    nodes = tuple(
        replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.name not in instead
    )
    outputs = {name: instead.get(node, node) for name, node in graph.outputs.items()}
    end_points = {name: instead.get(node, node) for name, node in graph.end_points.items()}
    return replace(graph, nodes=nodes, outputs=outputs, end_points=_still_there(end_points, nodes))


def _still_there(end_points: Mapping[str, str], nodes: tuple[Node, ...]) -> dict[str, str]:
    names = {node.name for node in nodes}
    return {name: node for name, node in end_points.items() if node in names}
