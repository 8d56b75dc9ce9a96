"""The same layers several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from graphc.dims import whole
from graphc.errors import SpecError, clipped
from graphc.spec.entry import Entry
from graphc.spec.expressions import names_over
from graphc.spec.forms.base import Count, Expander, Form, only, value_of
from graphc.spec.forms.elements import EACH, element_list, expand_element, open_elements
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import DEFAULTS, LAYER, LAYERS, TEXT, Schema, as_expression
from graphc.spec.source import SpecMap
from graphc.spec.variables import check_variable_name


class Repeat(Form):
    """The same layers several times."""

    kind = "repeat"
    keys: ClassVar[Mapping[str, Schema]] = {
        "times": {"type": ["integer", "string"], "minimum": 0, **as_expression(), "description": "How often."},
        "layer": {**LAYER, "description": "What is repeated: one layer."},
        "layers": {**LAYERS, "description": "Or several, each time in a group of their own."},
        "each": EACH,
        "index": {**TEXT, "description": "A name for the element's number, from 1."},
        "arg_scope": DEFAULTS,
    }
    required = ("times",)
    inside = frozenset({"times", "layer", "layers", "arg_scope"})
    example = "repeat: {name: conv1, times: 2, layer: {conv2d: {filters: 64, kernel: 3}}}"

    def schema(self) -> Schema:
        one, several = {"required": ["layer"]}, {"required": ["layers"]}
        return {**super().schema(), "if": one, "then": {"not": several}, "else": several}

    def at_least(self, body: SpecMap, count: Count) -> int:
        times = count.value(body.get("times"))
        if not isinstance(times, int) or times <= 0:
            return 0
        element = count.hiding(body.get("index"))
        return times * (element.entry(body["layer"]) if "layer" in body else element.layers(body.get("layers")))

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        times = whole(value_of(expander, entry, "times", at))
        place = entry.places.get("times", entry.place)
        if isinstance(times, bool) or not isinstance(times, int) or times < 0:
            raise SpecError("G116", f"repeat: times expects a whole number of at least 0, got {clipped(times)}", place)
        at = replace(at, copies=at.copies * times)
        expander.count(place, at.copies)
        elements = element_list(entry)
        index = entry.arguments.get("index")
        if index is not None:
            check_variable_name(index.value, index.place or place)
        inner, each = open_elements(expander, entry, at, elements)
        output: Ref | None = only(entry, sources)
        for number in range(1, times + 1):
            names = at.names if index is None else names_over({index.value: number}, at.names)
            trail = (*at.trail, f"in repeat at {entry.place}, {number} of {times}")
            element = replace(inner, names=names, trail=trail)
            if "layers" in entry.arguments:
                group = expander.enter_element(f"{each}_{number}", element, place)
                output = expander.close(group, expander.expand_list(elements, group, output))
            else:
                output = expand_element(expander, elements, f"{each}_{number}", element, output)
        return expander.close(inner, output)
