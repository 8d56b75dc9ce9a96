"""LayerGraph -> Plan: every analysis side by side, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.dims import Shape, format_shape, is_static
from graphc.errors import RuleError, SpecError
from graphc.graph import LayerGraph, Node, Plan, PlannedNode
from graphc.layers.base import elements
from graphc.passes.infer_shapes import at_node, infer_shapes
from graphc.passes.receptive_fields import first_seen, receptive_fields
from graphc.variables import ParamSpec

MAX_BYTES = 8 * 2**30
FLOAT = 4
"""Bytes of one float32."""


def plan(graph: LayerGraph, *, max_bytes: int = MAX_BYTES) -> Plan:
    """Shapes, receptive fields, variables and costs of every layer; sizes beyond `max_bytes` are refused."""
    graph, shapes = infer_shapes(graph)
    seen, warnings = receptive_fields(graph, shapes)
    planned = []
    owners: dict[str, tuple[Node, Mapping[str, ParamSpec]]] = {}
    for node in graph.nodes:
        inputs = [shapes[source] for source in node.inputs]
        params = declare(node, inputs)
        own = check_sharing(node, params, owners)
        shape = shapes[node.name]
        fixed = is_static(shape) and all(is_static(each) for each in inputs)
        planned.append(
            PlannedNode(
                node,
                shape,
                first_seen(graph, seen[node.name]),
                params if own else {},
                node.layer.count_macs(*inputs) if fixed else None,
                node.layer.count_flops(*inputs) if fixed else None,
            )
        )
    check_sizes(planned, max_bytes)
    return Plan(graph, tuple(planned), (*graph.warnings, *warnings))


def declare(node: Node, inputs: list[Shape]) -> dict[str, ParamSpec]:
    """The layer's variables, each with an initializer that its shape can have."""
    try:
        params = node.layer.declare_params(*inputs)
        for spec in params.values():
            spec.initializer.check(spec.shape)
        return params
    except RuleError as error:
        raise at_node(node, error, inputs) from None


def check_sharing(
    node: Node, params: Mapping[str, ParamSpec], owners: dict[str, tuple[Node, Mapping[str, ParamSpec]]]
) -> bool:
    """Whether the node owns its variables; sharing needs the same variables of the same shapes."""
    if not params:
        return True
    owner, theirs = owners.setdefault(node.variables, (node, params))
    if owner is node:
        return True
    ours = {name: spec.shape for name, spec in params.items()}
    if ours != {name: spec.shape for name, spec in theirs.items()}:
        needs = ", ".join(f"{name} {format_shape(shape)}" for name, shape in ours.items())
        has = ", ".join(f"{name} {format_shape(spec.shape)}" for name, spec in theirs.items())
        message = f"{node.name}: sharing the variables of {owner.name} needs {needs}, which has {has}"
        raise SpecError("G206", message, node.place)
    return False


def check_sizes(planned: list[PlannedNode], max_bytes: int) -> None:
    """Refuse variables in all, and any one activation, beyond `max_bytes`."""
    total = 0
    for each in planned:
        for local, spec in each.params.items():
            size = FLOAT * elements(spec.shape)
            total += size
            if total > max_bytes:
                shape = format_shape(spec.shape)
                what = f"{local} of {shape} is {show_bytes(size)}, the variables so far {show_bytes(total)}"
                message = f"{each.node.name}: {what}, over the limit of {show_bytes(max_bytes)} (--max-memory)"
                raise SpecError("G207", message, each.node.place)
        if is_static(each.shape) and FLOAT * elements(each.shape) > max_bytes:
            size = FLOAT * elements(each.shape)
            what = f"its output of {format_shape(each.shape)} is {show_bytes(size)}"
            message = f"{each.node.name}: {what}, over the limit of {show_bytes(max_bytes)} (--max-memory)"
            raise SpecError("G207", message, each.node.place)


def show_bytes(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    raise AssertionError
