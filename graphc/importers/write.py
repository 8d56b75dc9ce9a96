"""A net as the text of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphc.documented import flow
from graphc.importers.arguments import Scope, written_arguments
from graphc.importers.flat import FlatLayer, FlatNet

WIDTH = 118


def head(net: FlatNet, comments: Iterable[str], scope: Scope) -> Iterator[str]:
    """Everything before the layers."""
    yield from (f"# {comment}" for comment in comments)
    yield "graphc: 1"
    yield f"name: {flow(net.name)}"
    yield "inputs:"
    yield from (f"  {flow(name)}: {flow(list(shape))}" for name, shape in net.inputs.items())
    if scope:
        yield "arg_scope:"
        yield from (f"  {kind}: {flow(arguments)}" for kind, arguments in sorted(scope.items()))


def tail(net: FlatNet, outputs: Mapping[str, str]) -> str:
    return f"outputs: {flow(dict(outputs))}"


def entry(kind: str, arguments: Mapping[str, Any]) -> str:
    """`- conv2d: {name: conv1, filters: 64}`."""
    return f"- {kind}: {flow(dict(arguments))}" if arguments else f"- {kind}"


def layer_entry(layer: FlatLayer, inputs: Sequence[str] | None, scope: Scope) -> str:
    """A layer; `inputs` where it reads something else than what stands before it."""
    given: dict[str, Any] = {"name": layer.name}
    if inputs is not None:
        given["inputs"] = inputs[0] if len(inputs) == 1 else list(inputs)
    return entry(layer.kind, {**given, **written_arguments(layer, scope)})


def flat_text(net: FlatNet, comments: Iterable[str], scope: Scope) -> str:
    """One line a layer."""
    lines = [*head(net, comments, scope), "layers:"]
    before = next(iter(net.inputs)) if len(net.inputs) == 1 else ""
    for layer in net.layers:
        inputs = None if layer.inputs == (before,) else layer.inputs
        lines.append(f"  {layer_entry(layer, inputs, scope)}")
        before = layer.name
    return "\n".join([*lines, tail(net, net.outputs), ""])
