"""`graphc explain`: where each effective argument of a layer comes from; what a kind takes."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined

from graphc.documented import field_texts, written
from graphc.errors import SpecError, did_you_mean
from graphc.graph import Node, Plan
from graphc.layers import CATALOGUE
from graphc.passes.truncate import find_layer
from graphc.report.tables import render
from graphc.spec.schema import argument_order


def explain_layer(plan: Plan, target: str, form: str) -> str:
    """`LAYER` or `LAYER.ARG`: value, place and source of each argument."""
    nodes = {each.node.name: each.node for each in plan.nodes}
    name, _, argument = target.partition(".")
    node = nodes[name] if name in nodes else nodes[find_layer(plan.graph, name)]
    rows = [argument_row(node, field) for field in argument_order(type(node.layer))]
    if argument:
        known = [row[0] for row in rows]
        if argument not in known:
            hint = did_you_mean(argument, known)
            raise SpecError("G111", f"{node.layer.kind} has no argument {argument!r}{hint}")
        rows = [row for row in rows if row[0] == argument]
    if form == "json":
        rows = [[name, written(getattr(node.layer, name)), source] for name, _, source in rows]
    table = render(("argument", "value", "from"), rows, form)
    if form != "table":
        return table
    head = f"{node.name}: {node.layer.kind}, written at {node.place}\n"
    trail = "".join(f"  {step}\n" for step in node.trail)
    reads = f"  reads {', '.join(node.inputs)}\n"
    return head + trail + reads + table


def argument_row(node: Node, field: str) -> list[Any]:
    """Argument, value as it would be written, and where it came from."""
    value = show(written(getattr(node.layer, field)))
    given = node.arguments.get(field)
    if given is None:
        return [field, value, f"default of {node.layer.kind}"]
    place = f" at {given.place}" if given.place is not None and str(given.place) not in given.source else ""
    return [field, value, given.source + place]


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


def show(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
