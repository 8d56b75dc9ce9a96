"""`graphc explain`: where each effective argument of a layer comes from; what a kind takes."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticUndefined

from graphc.documented import field_texts, flow, written
from graphc.errors import SpecError, did_you_mean
from graphc.graph import Argument, Node, Plan
from graphc.layers import CATALOGUE
from graphc.passes.truncate import find_layer
from graphc.report.tables import render
from graphc.spec.schema import argument_order


def explain_layer(plan: Plan, target: str, form: str) -> str:
    """`LAYER` or `LAYER.ARG`: value, place and source of each argument."""
    nodes = {each.node.name: each.node for each in plan.nodes}
    name, _, argument = target.partition(".")
    node = nodes[name] if name in nodes else nodes[find_layer(plan.graph, name)]
    rows = argument_rows(node)
    if argument:
        known = [row[0] for row in rows]
        if argument not in known:
            hint = did_you_mean(argument, known)
            raise SpecError("G111", f"{node.layer.kind} has no argument {argument!r}{hint}")
        rows = [row for row in rows if row[0] == argument]
    if form != "json":
        rows = [[name, show(value), source] for name, value, source in rows]
    table = render(("argument", "value", "from"), rows, form)
    if form != "table":
        return table
    head = f"{node.name}: {node.layer.kind}, written at {node.place}\n"
    trail = "".join(f"  {step}\n" for step in node.trail)
    reads = f"  reads {', '.join(node.inputs)}\n"
    below = [f"{each.name} ({each.layer.kind})" for each in nodes.values() if belongs(each, node)]
    followed = f"  followed by {', '.join(below)}\n" if below else ""
    return head + trail + reads + followed + table


def belongs(node: Node, layer: Node) -> bool:
    """Whether a node is the normalizer or the activation of a layer."""
    return bool(layer.followed_by) and node.name.startswith(f"{layer.name}/")


def argument_rows(node: Node) -> list[list[Any]]:
    """Every argument in force: its name, its value as it would be written, and where it came from."""
    layer = node.layer
    given = {**node.arguments, **node.followed_by}
    rows = []
    for name in (*argument_order(type(layer)), *layer.accepts):
        if name in node.followed_by:
            value = node.followed_by[name].value
        else:
            value = None if name in layer.accepts else written(layer.in_force(name))
        rows.append([name, value, source_of(given[name]) if name in given else f"default of {layer.kind}"])
    return rows


def source_of(argument: Argument) -> str:
    place = argument.place
    return argument.source if place is None or str(place) in argument.source else f"{argument.source} at {place}"


def explain_kind(kind: str, form: str) -> str:
    """What a kind takes, with defaults and meanings."""
    if kind not in CATALOGUE:
        hint = did_you_mean(kind, CATALOGUE)
        raise SpecError("G110", f"no layer kind is named {kind!r}{hint}; for a layer: graphc explain SPEC LAYER")
    layer = CATALOGUE[kind]
    rows = []
    for name in argument_order(layer):
        value = layer.model_fields[name].default
        default = "required" if value is PydanticUndefined else show(written(value))
        rows.append([name, default, field_texts(layer).get(name, "")])
    rows.extend(
        [name, "none", f"{name.capitalize()} after the layer: a kind, or a kind with arguments."]
        for name in layer.accepts
    )
    table = render(("argument", "default", "meaning"), rows, form)
    return table if form != "table" else f"{kind}: {layer.__doc__ or ''}\n{table}"


def show(value: Any, length: int = 80) -> str:
    text = value if isinstance(value, str) else flow(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
