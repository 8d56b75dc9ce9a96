"""What is written of a layer: arguments that differ from the defaults of its kind, or from those of its scope.

A scope's default is the commonest value of an argument, where the whole text gets shorter by it. A layer that has the
built-in default then says so. Merges stay out of scopes: their arguments would reach those of every residual.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

from pydantic import ValidationError

from graphc.documented import flow, written
from graphc.errors import RuleError, clipped
from graphc.importers.flat import FlatLayer
from graphc.importers.onnx_graph import RefusedError
from graphc.layers import CATALOGUE
from graphc.layers.base import static
from graphc.types import Array

Scope: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Kind -> argument -> its default."""
WORTH = 12
"""Letters that a default has to save."""
LISTS = frozenset({"shape", "axes", "strides", "anchors", "variances"})
"""Arguments that stay lists where all their numbers are equal."""
NEVER = frozenset({"filters", "units", "start", "stop", "shape", "groups"})
"""Arguments that stand on every layer, common or not."""


def shape_of(
    kind: str,
    arguments: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    params: Mapping[str, Array] = MappingProxyType({}),
) -> tuple[int, ...]:
    """The shape of an example behind a layer; a RefusedError where it does not take these arguments, inputs or
    variables, of any shape."""
    try:
        layer = CATALOGUE[kind](**arguments).fitted(*shapes)
        shape = static(layer.infer_shape(*shapes), kind)
        for name, spec in layer.declare_params(*shapes).items() if params else ():
            if name in params and params[name].shape != tuple(spec.shape):
                expected, found = list(spec.shape), list(params[name].shape)
                raise RefusedError(f"its {name} would have the shape {found}: expected {expected}")
        return shape
    except RuleError as error:
        raise RefusedError(error.message) from None
    except ValidationError as error:
        first = error.errors()[0]
        name = next((str(part) for part in first["loc"]), "its arguments")
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise RefusedError(f"{kind}: {name} {said}, found {clipped(first['input'])}") from None


@cache
def defaults(kind: str) -> Mapping[str, Any]:
    """The built-in defaults of a kind, as a user would write them; of arguments that may be left out."""
    fields = CATALOGUE[kind].model_fields
    found = {name: simple(written(info.default)) for name, info in fields.items() if not info.is_required()}
    return {**found, **dict.fromkeys(CATALOGUE[kind].accepts)}


def simple(value: Any) -> Any:
    """A pair of equal numbers as one; of pairs, only where both are such."""
    if not isinstance(value, (list, tuple)):
        return value
    value = [list(each) if isinstance(each, tuple) else each for each in value]
    if len(value) != 2:
        return value
    if isinstance(value[0], list):
        return simple([each[0] for each in value]) if all(len(set(each)) == 1 for each in value) else value
    return value[0] if value[0] == value[1] else value


def effective(layer: FlatLayer, scope: Scope) -> dict[str, Any]:
    """Every argument of a layer, those left out too; followers as they are written in this scope."""
    given = {name: value if name in LISTS else simple(value) for name, value in layer.arguments.items()}
    found = {**defaults(layer.kind), **given}
    for name, follower in (("normalizer", layer.normalizer), ("activation", layer.activation)):
        if follower is not None:
            arguments = written_arguments(follower, scope)
            found[name] = {follower.kind: arguments} if arguments else follower.kind
    return found


def written_arguments(layer: FlatLayer, scope: Scope) -> dict[str, Any]:
    """The arguments that have to be written in this scope, in a good order."""
    values, scoped = effective(layer, scope), scope.get(layer.kind, {})
    found = {}
    for name in _order(layer.kind, values):
        value = values[name]
        if name in scoped:
            if scoped[name] != value:
                found[name] = "none" if value is None else value
        elif value != _builtin(layer, name):
            found[name] = value
    return found


def _builtin(layer: FlatLayer, name: str) -> Any:
    """What an argument is that is written nowhere."""
    if name == "bias" and "normalizer" in layer.layer_class.accepts:
        return layer.normalizer is None
    return defaults(layer.kind).get(name)


def _order(kind: str, values: Mapping[str, Any]) -> list[str]:
    first = [name for name in CATALOGUE[kind].positional if name in values]
    last = [name for name in CATALOGUE[kind].accepts if name in values]
    rest = [name for name in CATALOGUE[kind].model_fields if name in values and name not in (*first, *last)]
    return [*first, *rest, *last]


def scope_of(layers: Iterable[FlatLayer]) -> dict[str, dict[str, Any]]:
    """The scope in which these layers are shortest."""
    parts = [part for layer in layers for part in layer.parts]
    by_kind: dict[str, list[FlatLayer]] = {}
    for part in parts:
        by_kind.setdefault(part.kind, []).append(part)
    rank = {"activation": 0, "normalization": 1}
    scope: dict[str, dict[str, Any]] = {}
    for kind in sorted(by_kind, key=lambda kind: (rank.get(CATALOGUE[kind].family, 2), kind)):
        if CATALOGUE[kind].inputs_at_most is None:
            continue
        names = _order(kind, dict.fromkeys((*CATALOGUE[kind].model_fields, *CATALOGUE[kind].accepts)))
        best = {name: _best(by_kind[kind], name, scope) for name in names}
        chosen = {name: value for name, value in best.items() if value is not None}
        if chosen:
            scope[kind] = chosen
    return scope


def _best(layers: list[FlatLayer], name: str, scope: Scope) -> Any:
    """The default of an argument that saves most, if it saves enough."""
    if name in NEVER:
        return None
    values = [effective(layer, scope).get(name) for layer in layers]
    builtin = [_builtin(layer, name) for layer in layers]
    before = sum(_length(name, value) for value, default in zip(values, builtin, strict=True) if value != default)
    counts = Counter(map(flow, values)).most_common(3)
    best, saved = None, WORTH
    for text, _ in counts:
        value = next(each for each in values if flow(each) == text)
        if value is None or "${" in text:
            continue
        after = _length(name, value) + sum(_length(name, each) for each in values if each != value)
        if before - after > saved:
            best, saved = value, before - after
    return best


def _length(name: str, value: Any) -> int:
    return len(name) + len(flow(value)) + 4


__all__ = ["Scope", "defaults", "effective", "scope_of", "simple", "written_arguments"]
