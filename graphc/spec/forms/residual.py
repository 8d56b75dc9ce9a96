"""Layers plus a shortcut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from graphc.spec.entry import Argument, Entry
from graphc.spec.forms.base import Count, Expander, Form, close_if_named, enter_if_named, layer_list, only
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import ACTIVATION, DEFAULTS, LAYERS_OR_NONE, MERGE, Schema
from graphc.spec.source import SpecMap


class Residual(Form):
    """Layers plus a shortcut."""

    kind = "residual"
    keys: ClassVar[Mapping[str, Schema]] = {
        "layers": {**LAYERS_OR_NONE, "description": "The long way."},
        "shortcut": {**LAYERS_OR_NONE, "description": "The short one; left out: the input itself."},
        "merge": {**MERGE, "default": "add"},
        "activation": ACTIVATION,
        "arg_scope": DEFAULTS,
    }
    required = ("layers",)
    inside = frozenset({"layers", "shortcut", "arg_scope"})
    example = "residual: {name: unit, layers: [conv2d: [64, 3], conv2d: [64, 3]], activation: relu}"

    def at_least(self, body: SpecMap, count: Count) -> int:
        return count.layers(body.get("layers")) + count.layers(body.get("shortcut"))

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        inner = enter_if_named(expander, entry, at)
        source = only(entry, sources)
        shortcut: Ref | None = source
        if "shortcut" in entry.arguments:
            shortcut = expander.expand_list(layer_list(entry, "shortcut"), inner, source)
        output = expander.expand_list(layer_list(entry, "layers"), inner, source)
        assert shortcut is not None
        assert output is not None
        merging = entry.arguments.get("merge", Argument("add", None, "default of residual"))
        return close_if_named(expander, entry, inner, expander.expand_merge(entry, merging, inner, [shortcut, output]))
