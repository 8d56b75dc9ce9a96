"""One layer kind, one element an entry of args."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from graphc.errors import SpecError, clipped
from graphc.spec.entry import Entry, with_arguments
from graphc.spec.forms.base import Count, Expander, Form, only, value_of
from graphc.spec.forms.elements import EACH, element_list, expand_element, open_elements
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import DEFAULTS, LAYER, Schema, as_expression
from graphc.spec.source import SpecList, SpecMap
from graphc.written import kind_and_arguments


class Stack(Form):
    """One layer kind, one element an entry of args."""

    kind = "stack"
    keys: ClassVar[Mapping[str, Schema]] = {
        "layer": {**LAYER, "description": "The kind, with what all elements share."},
        "args": {
            "type": ["array", "string"],
            **as_expression(),
            "description": "One element each: a mapping of arguments, a list of them by position, or the first one.",
        },
        "each": EACH,
        "arg_scope": DEFAULTS,
    }
    required = ("layer", "args")
    inside = frozenset({"layer", "args", "arg_scope"})
    example = "stack: {name: conv1, layer: {conv2d: {kernel: 3}}, args: [32, {filters: 64, stride: 2}]}"

    def at_least(self, body: SpecMap, count: Count) -> int:
        args = body.get("args")
        return sum(count.entry(_element(body.get("layer"), each)) for each in args) if isinstance(args, SpecList) else 0

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        args = value_of(expander, entry, "args", at)
        if not isinstance(args, SpecList):
            place = entry.places.get("args", entry.place)
            raise SpecError("G116", f"stack: args expects a list with one entry an element, got {clipped(args)}", place)
        elements = element_list(entry, only="layer")
        inner, each = open_elements(expander, entry, at, elements)
        output: Ref | None = only(entry, sources)
        for number, (written, place) in enumerate(zip(args, args.places, strict=True), start=1):
            trail = (*at.trail, f"in stack at {entry.place}, {number} of {len(args)}")
            element = replace(inner, trail=trail)
            change = partial(with_arguments, written=written, place=place)
            output = expand_element(expander, elements, f"{each}_{number}", element, output, change)
        return expander.close(inner, output)


def _element(layer: Any, over: Any) -> Any:
    """An element as it would be written: the layer with these arguments over its own."""
    kind, own = kind_and_arguments(layer) or (None, None)
    if not isinstance(own, SpecMap):
        return {kind: over}
    if not isinstance(over, SpecMap):
        return layer
    return {kind: SpecMap({**own, **over}, over.place, own.key_places | over.key_places, own.places | over.places)}
