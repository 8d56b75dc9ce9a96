"""From written arguments to a validated layer, each complaint at its own line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from graphc.documented import flow
from graphc.errors import Place, RuleError, SpecError, clipped, did_you_mean, write_boolean
from graphc.expected import MOST, expected, readings
from graphc.initializers import Initializer
from graphc.layers.base import Layer
from graphc.peers import VALUES, limit_of
from graphc.spec.entry import Argument
from graphc.spec.schema_terms import COMMON_KEYS


def argument_names(layer: type[Layer]) -> tuple[str, ...]:
    """Everything that may be written on a layer of this kind, besides name, inputs, when and share."""
    return (*layer.model_fields, *layer.accepts)


def has_no_argument(layer: type[Layer], name: str, place: Place) -> SpecError:
    """The error for an argument that the kind does not have, with what it has instead."""
    known = argument_names(layer)
    listed = f"; it takes {', '.join(sorted(known))}" if known else "; it takes none"
    limit = "each layer says it for itself" if name in COMMON_KEYS else limit_of(layer.kind, name)
    hint = f": {limit}" if limit else did_you_mean(name, (*known, *COMMON_KEYS)) or listed
    return SpecError("G111", f"{layer.kind} has no argument {clipped(name)}{hint}", place)


def check_argument(layer: type[Layer], name: str, value: Any, place: Place) -> Any:
    """The value, `none` read as null; a SpecError where the kind has no such argument or not of this type."""
    if name not in argument_names(layer):
        raise has_no_argument(layer, name, place)
    if value == "none" and (name in layer.accepts or name.endswith("_regularizer")):
        value = None
    if name in layer.accepts:
        return value
    try:
        _adapter(layer, name).validate_python(value)
    except ValidationError as error:
        raise SpecError("G112", f"{layer.kind}: {_sentence(layer, name, error.errors()[0], value)}", place) from None
    except RuleError as error:
        raise SpecError(error.code, f"{layer.kind}: {error.message}", place) from None
    return value


@cache
def _adapter(layer: type[Layer], name: str) -> TypeAdapter[Any]:
    info = layer.model_fields[name]
    model = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)  # has a config of its own
    annotation: Any = info.annotation
    return TypeAdapter(Annotated[annotation, info], config=None if model else {"allow_inf_nan": False})


def build_layer(layer: type[Layer], label: str, arguments: Mapping[str, Argument], place: Place) -> Layer:
    """A complete layer of arguments that are each right, or a SpecError where one is missing or two disagree."""
    try:
        return layer(**{name: argument.value for name, argument in arguments.items()})
    except ValidationError as error:
        detail = error.errors()[0]
        if detail["type"] == "missing":
            who = label if label == layer.kind else f"{label}: {layer.kind}"
            message = f"{who} needs {clipped(detail['loc'][0])}, written on it or in an arg_scope"
            raise SpecError("G113", message, place) from None
        raise SpecError("G112", f"{label}: {detail['ctx']['error']}", place) from None
    except RuleError as error:
        argument = arguments.get(error.argument or "")
        at = argument.place if argument is not None else None
        raise SpecError(error.code, f"{label}: {error.message}", at or place) from None


def _sentence(layer: type[Layer], name: str, detail: ErrorDetails, value: Any) -> str:
    """What an argument takes, and what it got."""
    if said := VALUES.get((name, flow(value).lower())):
        return f"{name}: {said}, got {clipped(value)}"
    if detail["type"] == "value_error":
        return f"{name}: {detail['ctx']['error']}"
    info = layer.model_fields[name]
    inside = _keys_of(info)
    key = str(detail["loc"][-1]) if inside and detail["loc"] else None
    if key is not None and key not in inside:
        return f"{name} has no key {clipped(key)}{did_you_mean(key, inside) or '; there are ' + ', '.join(inside)}"
    if key is not None:
        return f"{name}: {key} expects {expected(inside[key])}, got {clipped(value[key])}"
    takes = f"at most {MOST:,}" if detail["type"] == "less_than_equal" else expected(info)
    return f"{name} expects {takes}, got {clipped(value)}{_meant(layer, name, value)}"


def _keys_of(info: FieldInfo) -> Mapping[str, FieldInfo]:
    """The keys of an argument that is a mapping; none of any other."""
    models = [each for each in (info.annotation, *get_args(info.annotation)) if isinstance(each, type)]
    found = [each.model_fields for each in models if issubclass(each, BaseModel) and each is not Initializer]
    return found[0] if found else {}


def _meant(layer: type[Layer], name: str, value: Any) -> str:
    """`: write 3` where a value is right but for how it is written."""
    if _takes(layer, name, True) and write_boolean(value):
        return write_boolean(value)
    fitting = (reading for reading in readings(value) if _takes(layer, name, reading))
    return next((f": write {flow(reading)}" for reading in fitting), "")


def _takes(layer: type[Layer], name: str, value: Any) -> bool:
    try:
        _adapter(layer, name).validate_python(value)
    except ValidationError:
        return False
    return True
