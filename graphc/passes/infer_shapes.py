"""LayerGraph -> layers fitted to what they read, and the shape of every value, one example's, without the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.dims import MAX_NUMBER, Shape, format_shape
from graphc.errors import Errors, RuleError, SpecError
from graphc.graph import LayerGraph, Node
from graphc.layers.base import Layer
from graphc.passes.inputs import seems_channels_first
from graphc.passes.size_hints import size_hint

OTHER_SHAPES = "G202"
"""Of a merge whose inputs do not go together."""


def infer_shapes(graph: LayerGraph, kept: Errors | None = None) -> tuple[LayerGraph, dict[str, Shape]]:
    """The graph with each layer fitted to what it reads, and the shapes by node or input name.

    Layers behind a wrong one are passed over, so each error is a cause. Where errors are `kept`, the graph is that of
    the layers that have a shape.
    """
    shapes: dict[str, Shape] = {each.name: each.shape for each in graph.inputs}
    errors = Errors() if kept is None else kept
    nodes: list[Node] = []
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if any(source not in shapes for source in node.inputs):
            continue
        inputs = [shapes[source] for source in node.inputs]
        try:
            layer = node.layer.fitted(*inputs)
            shape = layer.infer_shape(*inputs)
            for size in shape:
                if isinstance(size, int) and not 0 < size < MAX_NUMBER:
                    raise RuleError("G203", f"its output would be {format_shape(shape)}")
            shapes[node.name] = shape
            nodes.append(node if layer is node.layer else _with_fitted(node, layer))
        except RuleError as error:
            wrong = at_node(node, error, inputs)
            odd: list[str | None] = [seems_channels_first(each, graph.batch) for each in graph.inputs]
            if error.code == OTHER_SHAPES:
                odd.append(size_hint(node, by_name, shapes))
            notes = (*wrong.notes, *filter(None, odd))
            errors.add(SpecError(wrong.code, wrong.message, wrong.place, notes), of_a_layer=True)
    if kept is None:
        errors.raise_if_any()
    return replace(graph, nodes=tuple(nodes)), shapes


def _with_fitted(node: Node, layer: Layer) -> Node:
    """The node with its layer fitted: a size that is known is read of no other layer any more."""
    known = node.layer.follows is not None and layer.follows is None
    return replace(node, layer=layer, inputs=node.inputs[:-1] if known else node.inputs)


def check_sizes(graph: LayerGraph, sizes: Mapping[str, tuple[int, ...]]) -> dict[str, Shape]:
    """Every shape for inputs of these sizes, by input name, that the spec leaves open; an error where a layer cannot
    take them."""
    inputs = tuple(replace(each, shape=sizes[each.name]) for each in graph.inputs)
    return infer_shapes(replace(graph, inputs=inputs))[1]


def at_node(node: Node, error: RuleError, inputs: list[Shape]) -> SpecError:
    """A layer's complaint with its name, its place and what it reads."""
    argument = node.arguments.get(error.argument) if error.argument else None
    place = argument.place if argument is not None and argument.place is not None else node.place
    reads = ", ".join(f"{name} {format_shape(shape)}" for name, shape in zip(node.inputs, inputs, strict=True))
    message = error.message if error.message.startswith(f"{node.name} ") else f"{node.name}: {error.message}"
    return SpecError(error.code, message, place, (f"it reads {reads}", *node.trail))
