"""One item of a layer list as written -> an `Entry`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from graphc.errors import MachineError, Place, SpecError, clipped, did_you_mean
from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.peers import INSTEAD, simple
from graphc.spec.entry import Argument, Entry, check_name, condition
from graphc.spec.expressions import substitute
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import Block
from graphc.spec.library import library
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.spec.source import SpecList, SpecMap, extent
from graphc.written import kind_and_arguments

LETTERS = 4
"""Characters of an expression that count as one value."""


def evaluated(written: Any) -> int:
    """How many keys, values and items are looked through for `${…}` whenever this item of a layer list is read."""
    kind, body = next(iter(written.items())) if isinstance(written, SpecMap) and written else (None, None)
    if not isinstance(body, SpecMap):
        return looked_through(body)
    form = FORMS.get(kind) if kind is not None else None
    return sum(looked_through(value) for key, value in body.items() if form is None or key not in form.inside)


def looked_through(value: Any) -> int:
    """Of an expression as many characters count as one value as are evaluated in the time of one."""
    found = extent(value)
    return found.nodes + found.letters // LETTERS if found.letters else 0


def unknown_kind(kind: str, blocks: Mapping[str, Block], place: Place) -> SpecError:
    if kind in library():
        message = f"{kind} is a block that a spec has to include: include: [{library()[kind][0]}]"
        return SpecError("G110", message, place)
    hint = did_you_mean(kind, [*CATALOGUE, *FORMS, *blocks, *library()])
    instead = f": {INSTEAD[simple(kind)]}" if not hint and simple(kind) in INSTEAD else hint
    return SpecError("G110", f"no layer kind or block is named {clipped(kind)}{instead}", place)


def check_layer_kind(kind: str, blocks: Mapping[str, Block], place: Place) -> None:
    """A SpecError where no layer kind is called so; a MachineError where it is another package's that cannot be
    loaded."""
    if kind not in CATALOGUE:
        raise unknown_kind(kind, blocks, place)
    if not CATALOGUE.is_built_in(kind):
        try:
            CATALOGUE[kind]
        except MachineError as error:
            error.place = place
            raise


def read_entry(written: Any, place: Place, names: Mapping[str, Any], blocks: Mapping[str, Block]) -> Entry | None:
    """One item of a layer list, its values substituted; None where its `when` is false."""
    if isinstance(written, str):
        written = substitute(written, names, place)
    read = kind_and_arguments(written)
    if read is None:
        keys = ", ".join(islice(written, 8)) if isinstance(written, SpecMap) else ""
        found = f"the keys {keys}" if keys else clipped(written)
        raise SpecError("G118", f"a layer is one `kind: arguments`, got {found}", place)
    kind, body = read
    kind_place = place
    if isinstance(written, SpecMap):
        kind_place, place = written.key_places[kind], written.places[kind]
    if kind not in FORMS and kind not in blocks:
        check_layer_kind(kind, blocks, kind_place)
    if isinstance(body, SpecMap):
        return _read_mapping(kind, body, kind_place, names)
    if body is None:
        return Entry(kind, {}, (), None, None, None, kind_place, {})
    if kind in FORMS:
        raise SpecError("G116", f"{kind} expects a mapping, got {clipped(body)}", kind_place)
    values = substitute(body, names, place)
    positional = tuple(values) if isinstance(values, SpecList) else (values,)
    return Entry(kind, {}, positional, None, None, None, kind_place, {})


def _read_mapping(kind: str, body: SpecMap, place: Place, names: Mapping[str, Any]) -> Entry | None:
    common: dict[str, Any] = dict.fromkeys(COMMON_KEYS)
    arguments: dict[str, Argument] = {}
    form = FORMS.get(kind)
    for key, raw in body.items():
        where = body.places[key]
        value = raw if form is not None and key in form.inside else substitute(raw, names, where)
        if key in common:
            common[key] = value
            if key == "when" and not condition(value, where):
                return None
        elif form is not None and key not in form.keys:
            hint = did_you_mean(key, [*form.keys, *COMMON_KEYS])
            raise SpecError("G111", f"{kind} has no key {clipped(key)}{hint}", body.key_places[key])
        else:
            arguments[key] = Argument(value, where, f"written on the layer, at {where}")
    name = None if common["name"] is None else check_name(common["name"], body.places["name"])
    inputs = _read_input_names(common["inputs"], body.places.get("inputs", place))
    share = None if common["share"] is None else str(common["share"])
    places = {**body.places, **{key: body.key_places[key] for key in arguments if form is None}}
    return Entry(kind, arguments, (), name, inputs, share, place, places, common["when"] is not None)


def _read_input_names(written: Any, place: Place) -> tuple[str, ...] | None:
    if written is None:
        return None
    names = (written,) if isinstance(written, str) else written
    if not isinstance(names, (tuple, SpecList)) or not names or not all(isinstance(name, str) for name in names):
        raise SpecError("G123", f"inputs expects a name or a list of names, got {clipped(written)}", place)
    return tuple(names)


def check_arity(kind: type[Layer], name: str, count: int, entry: Entry) -> None:
    least, most = kind.inputs_at_least, kind.inputs_at_most
    if count < least or (most is not None and count > most):
        expected = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        place = entry.places.get("inputs", entry.place)
        who = name if name == kind.kind else f"{name}: {kind.kind}"
        noun = "input" if expected == "1" else "inputs"
        raise SpecError("G126", f"{who} takes {expected} {noun}, got {count}", place)
