"""One item of a layer list, read: its kind, its arguments with their places, and the keys that all kinds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.graph import Argument
from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.peers import INSTEAD, simple
from graphc.spec.arithmetic import Wrong, truth
from graphc.spec.expressions import substitute
from graphc.spec.model import NAMED, Block, is_name
from graphc.spec.source import SpecList, SpecMap, extent
from graphc.written import kind_and_arguments

COMMON_KEYS = ("name", "inputs", "when", "share")

COMPOSITION_KEYS: dict[str, tuple[str, ...]] = {
    "group": ("layers", "arg_scope", "as"),
    "repeat": ("times", "layer", "layers", "each", "index"),
    "stack": ("layer", "args", "each"),
    "branches": ("paths", "merge", "activation"),
    "residual": ("layers", "shortcut", "merge", "activation"),
}
_RAW_KEYS = frozenset({"layers", "layer", "paths", "shortcut", "arg_scope", "args", "times"})
"""Arguments that are substituted where they are used, not where they are written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a layer list: its kind, its arguments as written, and the common keys."""

    kind: str
    arguments: dict[str, Argument]
    positional: Sequence[Any]
    name: str | None
    inputs: tuple[str, ...] | None
    share: str | None
    place: Place
    places: Mapping[str, Place]


def entry_kind(written: Any, names: Mapping[str, Any], place: Place) -> str:
    """The kind of an item of a layer list, whatever else may be wrong with it."""
    if isinstance(written, SpecMap) and written:
        return next(iter(written))
    kind = substitute(written, names, place) if isinstance(written, str) else written
    return kind if isinstance(kind, str) else "layer"


def written_name(written: Any) -> str | None:
    """The name on an item of a layer list, whatever else may be wrong with it."""
    body = next(iter(written.values())) if isinstance(written, SpecMap) and written else None
    name = body.get("name") if isinstance(body, SpecMap) else None
    return name if isinstance(name, str) else None


def evaluated(written: Any) -> int:
    """How many keys, values and items are looked through for `${…}` whenever this item of a layer list is read."""
    body = next(iter(written.values())) if isinstance(written, SpecMap) and written else None
    if not isinstance(body, SpecMap):
        return extent(body).nodes if extent(body).expressions else 0
    found = (extent(value) for key, value in body.items() if key not in _RAW_KEYS)
    return sum(each.nodes for each in found if each.expressions)


def unknown_kind(kind: str, blocks: Mapping[str, Block], place: Place) -> SpecError:
    hint = did_you_mean(kind, [*CATALOGUE, *COMPOSITION_KEYS, *blocks])
    instead = f": {INSTEAD[simple(kind)]}" if not hint and simple(kind) in INSTEAD else hint
    return SpecError("G110", f"no layer kind or block is named {clipped(kind)}{instead}", place)


def condition(value: Any, place: Place) -> bool:
    """Whether a `when` holds."""
    try:
        return truth(value, "when")
    except Wrong as wrong:
        raise SpecError("G112", wrong.message, place) from None


def check_name(name: Any, place: Place) -> str:
    if not is_name(name):
        raise SpecError("G117", f"name expects {NAMED}, got {clipped(name)}", place)
    return str(name)


def read_entry(written: Any, place: Place, names: Mapping[str, Any], blocks: Mapping[str, Block]) -> Entry | None:
    """One item of a layer list, its values substituted; None where its `when` is false."""
    if isinstance(written, str):
        written = substitute(written, names, place)
    read = kind_and_arguments(written)
    if read is None:
        found = f"the keys {', '.join(islice(written, 8))}" if isinstance(written, SpecMap) else clipped(written)
        raise SpecError("G118", f"a layer is one `kind: arguments`, got {found}", place)
    kind, body = read
    kind_place = place
    if isinstance(written, SpecMap):
        kind_place, place = written.key_places[kind], written.places[kind]
    if kind not in CATALOGUE and kind not in COMPOSITION_KEYS and kind not in blocks:
        raise unknown_kind(kind, blocks, kind_place)
    if isinstance(body, SpecMap):
        return _read_mapping(kind, body, kind_place, names)
    if body is None:
        return Entry(kind, {}, (), None, None, None, kind_place, {})
    if kind in COMPOSITION_KEYS:
        raise SpecError("G116", f"{kind} expects a mapping, got {clipped(body)}", kind_place)
    values = substitute(body, names, place)
    positional = tuple(values) if isinstance(values, SpecList) else (values,)
    return Entry(kind, {}, positional, None, None, None, kind_place, {})


def _read_mapping(kind: str, body: SpecMap, place: Place, names: Mapping[str, Any]) -> Entry | None:
    common: dict[str, Any] = dict.fromkeys(COMMON_KEYS)
    arguments: dict[str, Argument] = {}
    known = COMPOSITION_KEYS.get(kind)
    for key, raw in body.items():
        where = body.places[key]
        value = raw if known is not None and key in _RAW_KEYS else substitute(raw, names, where)
        if key in common:
            common[key] = value
            if key == "when" and not condition(value, where):
                return None
        elif known is not None and key not in known:
            hint = did_you_mean(key, [*known, *COMMON_KEYS])
            raise SpecError("G111", f"{kind} has no key {clipped(key)}{hint}", body.key_places[key])
        else:
            arguments[key] = Argument(value, where, f"written on the layer, at {where}")
    name = None if common["name"] is None else check_name(common["name"], body.places["name"])
    inputs = _read_input_names(common["inputs"], body.places.get("inputs", place))
    share = None if common["share"] is None else str(common["share"])
    places = {**body.places, **{key: body.key_places[key] for key in arguments if known is None}}
    return Entry(kind, arguments, (), name, inputs, share, place, places)


def _read_input_names(written: Any, place: Place) -> tuple[str, ...] | None:
    if written is None:
        return None
    names = (written,) if isinstance(written, str) else written
    if not isinstance(names, (tuple, SpecList)) or not names or not all(isinstance(name, str) for name in names):
        raise SpecError("G123", f"inputs expects a name or a list of names, got {clipped(written)}", place)
    return tuple(names)


def with_arguments(entry: Entry, written: Any, place: Place) -> Entry:
    """A stack element: the shared entry with one element's arguments over it."""
    if isinstance(written, SpecMap):
        source = f"written in stack args, at {place}"
        own = {key: Argument(value, written.places[key], source) for key, value in written.items()}
        return replace(entry, arguments={**entry.arguments, **own}, places={**entry.places, **written.key_places})
    positional = tuple(written) if isinstance(written, SpecList) else (written,)
    return replace(entry, positional=positional, place=place)


def check_arity(kind: type[Layer], name: str, count: int, entry: Entry) -> None:
    least, most = kind.inputs_at_least, kind.inputs_at_most
    if count < least or (most is not None and count > most):
        expected = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        place = entry.places.get("inputs", entry.place)
        who = name if name == kind.kind else f"{name}: {kind.kind}"
        noun = "input" if expected == "1" else "inputs"
        raise SpecError("G126", f"{who} takes {expected} {noun}, got {count}", place)
