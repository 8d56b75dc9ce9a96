"""Paths side by side from one input, then merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphc.errors import Place, SpecError, clipped
from graphc.spec.entry import Argument, Entry, check_name, condition
from graphc.spec.forms.base import Count, Expander, Form, close_if_named, enter_if_named, only, required
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import ACTIVATION, DEFAULTS, LAYER, LAYERS, MERGE, Schema, map_of
from graphc.spec.source import SpecList, SpecMap

PATH: Schema = {
    "type": ["array", "object"],
    "items": LAYER,
    "properties": {"when": {"description": "Left out where false."}, "layers": LAYERS},
    "required": ["when", "layers"],
    "additionalProperties": False,
}


class Branches(Form):
    """Paths side by side from one input, then merged."""

    kind = "branches"
    keys: ClassVar[Mapping[str, Schema]] = {
        "paths": {**map_of(PATH, "Path -> its layers."), "type": "object", "minProperties": 1},
        "merge": {**MERGE, "default": "concat"},
        "activation": ACTIVATION,
        "arg_scope": DEFAULTS,
    }
    required = ("paths",)
    inside = frozenset({"paths", "arg_scope"})
    example = "branches: {name: mixed, paths: {left: [conv2d: [64, 1]], right: [conv2d: [64, 3]]}, merge: concat}"

    def at_least(self, body: SpecMap, count: Count) -> int:
        paths = body.get("paths")
        return sum(_least(path, count) for path in paths.values()) if isinstance(paths, SpecMap) else 0

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        paths = required(entry, "paths").value
        place = entry.places.get("paths", entry.place)
        if not isinstance(paths, SpecMap) or not paths:
            message = f"branches: paths expects a mapping of names to lists of layers, got {clipped(paths)}"
            raise SpecError("G116", message, place)
        inner = enter_if_named(expander, entry, at)
        source = only(entry, sources)
        outputs: list[Ref] = []
        for name, written in paths.items():
            layers, around = _path(expander, name, written, paths.places[name], inner)
            if layers is None:
                continue
            where = paths.key_places[name]
            path = expander.enter_element(check_name(name, where), around, where)
            output = expander.close(path, expander.expand_list(layers, path, source))
            assert output is not None
            outputs.append(output)
        if not outputs:
            raise SpecError("G126", "branches: every path is left out, there is nothing to merge", place)
        merging = entry.arguments.get("merge", Argument("concat", None, "default of branches"))
        return close_if_named(expander, entry, inner, expander.expand_merge(entry, merging, inner, outputs))


def _path(
    expander: Expander, name: str, written: Any, place: Place, at: ExpansionFrame
) -> tuple[SpecList | None, ExpansionFrame]:
    """A path's layers and where they stand; None where its `when` is false."""
    if isinstance(written, SpecMap) and set(written) == {"when", "layers"}:
        where = written.places["when"]
        if not condition(expander.substituted(written["when"], at.names, where), where):
            return None, at
        written, at = written["layers"], at.under_when()
    if not isinstance(written, SpecList):
        raise SpecError("G116", f"path {name} expects a list of layers, got {clipped(written)}", place)
    return written, at


def _least(path: Any, count: Count) -> int:
    if isinstance(path, SpecMap):
        return count.layers(path.get("layers")) if count.value(path.get("when")) is True else 0
    return count.layers(path)
