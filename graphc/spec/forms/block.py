"""A layer kind of the user's own: how it is written, the least that it has, and what it becomes.

A block may use itself where a `when` on the way ends it: a frame knows which of the blocks around it are `guarded`
so. Without one it would never end, and is refused where it stands; where the `when` stays true, the depth of groups
and blocks is the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.layers import CATALOGUE
from graphc.spec.documents import check_keys, found
from graphc.spec.entry import NAMED, Entry, is_name
from graphc.spec.expressions import names_over
from graphc.spec.forms import FORMS
from graphc.spec.forms.base import Count, Expander, SaidError
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import COMMON_KEYS, LAYERS, NAMES, SCOPE, TEXT, Schema, map_of, object_of
from graphc.spec.source import SpecList, SpecMap
from graphc.spec.variables import check_variable_name

KEYS: Mapping[str, Schema] = {
    "description": {"type": ["string", "null"], "description": "What it is, in a sentence or two."},
    "param_descriptions": map_of(TEXT, "Parameter -> what it means."),
    "params": {
        "type": ["array", "null"],
        "items": {"type": ["string", "object"]},
        "description": "A name is required, {name: default} is not.",
    },
    "inputs": {**NAMES, "type": ["string", "array", "null"], "description": "Names for what the block reads."},
    "arg_scope": {**SCOPE, "description": "Defaults inside the block, within those of its user."},
    "layers": {**LAYERS, "description": "The block's layers."},
}


class _Required:
    """Stands for the default of a block parameter that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Block:
    """A layer kind of the user's own."""

    name: str
    params: Mapping[str, Any]
    """Parameter -> its default as written, or REQUIRED."""
    inputs: tuple[str, ...] | None
    arg_scope: Any
    layers: SpecList
    place: Place
    description: str = ""
    param_descriptions: Mapping[str, str] = field(default_factory=dict)

    def at_least(self, body: Any, count: Count) -> int:
        """The least number of layers inside, where it is used with these arguments."""
        given = body.items() if isinstance(body, SpecMap) else zip(self.params, _positional(body), strict=False)
        own = ((name, value) for name, value in given if name in self.params and name not in COMMON_KEYS)
        return count.of_block(self.name, {name: count.value(value) for name, value in own})

    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        """The value after a use of it."""
        certain = at.open_blocks[at.guarded :]
        if self.name in certain:
            chain = " -> ".join([*certain[certain.index(self.name) :], self.name])
            raise SpecError("G162", f"blocks may not use themselves: {chain}", entry.place)
        values = self.values(expander, entry, at)
        bindings: dict[str, Ref] = {}
        if self.inputs is not None:
            if len(self.inputs) != len(sources):
                expected = ", ".join(self.inputs)
                message = f"block {self.name} reads {len(self.inputs)} inputs ({expected}), got {len(sources)}"
                raise SpecError("G126", message, entry.places.get("inputs", entry.place))
            bindings = dict(zip(self.inputs, sources, strict=True))
        elif len(sources) > 1:
            message = f"block {self.name} reads 1 input, as it says no `inputs`, got {len(sources):,}"
            raise SpecError("G126", message, entry.places.get("inputs", entry.place))
        inner = replace(
            expander.enter(entry, self.name, at),
            names=values,
            bindings=bindings,
            trail=(*at.trail, f"in block {self.name} used at {entry.place}"),
            open_blocks=(*at.open_blocks, self.name),
        )
        if self.arg_scope is not None:
            raw = expander.substituted(self.arg_scope, values, self.place)
            scope = expander.enter_scope(inner.scope, raw, self.place, f"arg_scope of block {self.name}")
            inner = replace(inner, scope=scope)
        return expander.close(inner, expander.expand_list(self.layers, inner, sources[0]))

    def values(self, expander: Expander, entry: Entry, at: ExpansionFrame) -> Mapping[str, Any]:
        """What `${…}` sees inside: the parameters over the spec's variables."""
        arguments = expander.effective(entry, tuple(self.params), at)
        values: dict[str, Any] = {}
        seen = names_over(values, expander.variables)
        for name, default in self.params.items():
            if name in arguments:
                values[name] = arguments[name].value
            elif default is REQUIRED:
                error = SpecError("G113", f"block {self.name} needs {clipped(name)}", entry.place)
                raise SaidError if at.scope.faulty else error
            else:
                values[name] = expander.substituted(default, seen, self.place)
        return seen


def _positional(body: Any) -> list[Any]:
    return body if isinstance(body, SpecList) else [] if body is None else [body]


def block_schema() -> Schema:
    return {**object_of(KEYS, "A layer kind of your own."), "required": ["layers"], "title": "block"}


def read_blocks(written: SpecMap, attempt: Callable[[Callable[[], Any], Any], Any]) -> dict[str, Block]:
    """The blocks of a spec by name; what is wrong with one goes to `attempt`, and it is left out."""
    blocks = {
        name: attempt(lambda n=name: _block(n, written[n], written.key_places[n], written.places[n]), None)  # type: ignore[misc]
        for name in written
    }
    return {name: block for name, block in blocks.items() if block is not None}


def _block(name: str, written: Any, key_place: Place, place: Place) -> Block:
    if CATALOGUE.is_built_in(name) or name in FORMS:
        raise SpecError("G154", f"{name!r} is a layer kind already: choose another name for the block", key_place)
    if not is_name(name):
        raise SpecError("G154", f"a block's name expects {NAMED}, found {clipped(name)}", key_place)
    if not isinstance(written, SpecMap):
        raise SpecError("G154", f"block {name} expects a mapping with layers, found {found(written)}", place)
    check_keys(written, tuple(KEYS), f"block {name}")
    layers, params = layers_of(written, f"block {name}"), _params(name, written)
    inputs, scope = _inputs(name, written), written.get("arg_scope")
    return Block(name, params, inputs, scope, layers, key_place, *_descriptions(name, written, params))


def layers_of(tree: SpecMap, what: str) -> SpecList:
    """The layers of a spec or a block as written."""
    layers = tree.get("layers")
    if isinstance(layers, SpecList):
        return layers
    if layers is None:
        raise SpecError("G153", f"{what} needs layers: a list of `kind: {{arguments}}`", tree.place)
    raise SpecError(
        "G151", f"layers expects a list, each item with a dash, found {found(layers)}", tree.places["layers"]
    )


def _params(block: str, written: SpecMap) -> dict[str, Any]:
    """Parameter -> default: `depth` is required, `{stride: 1}` is not."""
    items = written.get("params")
    if items is None:
        return {}
    if not isinstance(items, SpecList):
        message = f"params of block {block} expects a list such as [depth, {{stride: 1}}], found {found(items)}"
        raise SpecError("G154", message, written.places["params"])
    params: dict[str, Any] = {}
    for item, place in zip(items, items.places, strict=True):
        if not isinstance(item, (str, SpecMap)):
            raise SpecError("G154", f"a parameter is a name or {{name: default}}, found {found(item)}", place)
        for name in [item] if isinstance(item, str) else item:
            check_variable_name(name, place)
            if name in params:
                raise SpecError("G154", f"block {block} has the parameter {name!r} twice", place)
            params[name] = REQUIRED if isinstance(item, str) else item[name]
    return params


def _descriptions(block: str, written: SpecMap, params: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """What is said of the block, and of its parameters."""
    told, of_params = written.get("description"), written.get("param_descriptions")
    if told is not None and not isinstance(told, str):
        message = f"description of block {block} expects text, found {found(told)}"
        raise SpecError("G154", message, written.places["description"])
    if of_params is not None and not isinstance(of_params, SpecMap):
        message = (
            f"param_descriptions of block {block} expects a mapping of parameters to text, found {found(of_params)}"
        )
        raise SpecError("G154", message, written.places["param_descriptions"])
    of_params = of_params if of_params is not None else SpecMap.empty(written.place)
    for name, text in of_params.items():
        if name not in params:
            hint = did_you_mean(name, params)
            message = f"block {block} has no parameter {clipped(name)}{hint}"
            raise SpecError("G154", message, of_params.key_places[name])
        if not isinstance(text, str):
            raise SpecError("G154", f"expected what {name} means, found {found(text)}", of_params.places[name])
    return told or "", dict(of_params)


def _inputs(block: str, written: SpecMap) -> tuple[str, ...] | None:
    """Names that the block gives to what it reads."""
    items = written.get("inputs")
    if items is None:
        return None
    names = list(items) if isinstance(items, SpecList) else [items]
    place = written.places["inputs"]
    if not names or not all(map(is_name, names)):
        raise SpecError("G154", f"inputs of block {block} expects a list of names, found {found(items)}", place)
    if len(set(names)) < len(names):
        raise SpecError("G154", f"inputs of block {block} has a name twice: {', '.join(names)}", place)
    return tuple(names)
