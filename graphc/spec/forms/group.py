"""A naming scope, an argument scope, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from graphc.errors import SpecError, clipped
from graphc.spec.entry import Entry
from graphc.spec.forms.base import Count, Expander, Form, close_if_named, enter_if_named, layer_list, only
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import DEFAULTS, LAYERS_OR_NONE, TEXT, Schema
from graphc.spec.source import SpecMap


class Group(Form):
    """A naming scope, an argument scope, or both."""

    kind = "group"
    keys: ClassVar[Mapping[str, Schema]] = {
        "layers": {**LAYERS_OR_NONE, "description": "The group's layers."},
        "arg_scope": DEFAULTS,
        "as": {**TEXT, "description": "A name for this scope."},
    }
    required = ("layers",)
    inside = frozenset({"layers", "arg_scope"})
    example = "group: {name: head, arg_scope: {conv2d: {kernel: 1}}, layers: [conv2d: 64, conv2d: 10]}"

    def at_least(self, body: SpecMap, count: Count) -> int:
        return count.layers(body.get("layers"))

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        layers = layer_list(entry, "layers")
        inner = enter_if_named(expander, entry, at)
        if "as" in entry.arguments:
            captured = entry.arguments["as"].value
            if not isinstance(captured, str):
                message = f"group: as expects a name for the scope, got {clipped(captured)}"
                raise SpecError("G116", message, entry.places["as"])
            expander.capture_scope(captured, inner.scope, entry.places["as"])
        return close_if_named(expander, entry, inner, expander.expand_list(layers, inner, only(entry, sources)))
