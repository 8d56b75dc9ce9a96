"""LayerGraph -> the part of it that some layers need: `--until conv5`, and what a file leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.errors import SpecError, clipped, did_you_mean
from graphc.graph import LayerGraph


def find_layer(graph: LayerGraph, name: str) -> str:
    """The node that an end point, output or layer name stands for."""
    for names in (graph.end_points, graph.outputs):
        for known in (name, graph.scoped(name)):
            if known in names:
                return names[known]
    if name in graph.names:
        return name
    known_names = [*graph.end_points, *graph.outputs, *(node.name for node in graph.nodes)]
    inside = next((known for known in known_names if known.endswith(f"/{name}")), None)
    hint = f" (did you mean {inside!r}?)" if inside else did_you_mean(name, known_names)
    raise SpecError("G121", f"no end point or layer is named {clipped(name)}{hint}")


def until(graph: LayerGraph, name: str) -> LayerGraph:
    """The graph that ends at one end point or layer."""
    return keep(graph, {name.rpartition("/")[2]: find_layer(graph, name)})


def keep(graph: LayerGraph, outputs: Mapping[str, str]) -> LayerGraph:
    """The graph with these outputs (output name -> node name), and only what they need."""
    needed = set(outputs.values())
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    inputs = tuple(each for each in graph.inputs if each.name in needed)
    end_points = {name: target for name, target in graph.end_points.items() if target in needed}
    return replace(graph, nodes=nodes, inputs=inputs, outputs=dict(outputs), end_points=end_points)
