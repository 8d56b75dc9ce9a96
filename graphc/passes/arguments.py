"""From written arguments to a validated layer, each complaint at its own line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from graphc.errors import Place, RuleError, SpecError, did_you_mean, write_boolean
from graphc.graph import Argument
from graphc.layers.base import Layer
from graphc.peers import LIMITS
from graphc.spec.source import clipped


def argument_names(layer: type[Layer]) -> tuple[str, ...]:
    """Everything that may be written on a layer of this kind, besides name, inputs, when and share."""
    return (*layer.model_fields, *layer.accepts)


def has_no_argument(layer: type[Layer], name: str, place: Place) -> SpecError:
    """The error for an argument that the kind does not have, with what it has instead."""
    known = argument_names(layer)
    listed = f"; it takes {', '.join(sorted(known))}" if known else "; it takes none"
    limit = LIMITS.get((layer.kind, name))
    hint = f": {limit}" if limit else did_you_mean(name, known) or listed
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
        raise SpecError("G112", f"{layer.kind}: {_sentence(name, error.errors()[0], value)}", place) from None
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
    """A complete layer, or a SpecError at the argument that is wrong or missing."""
    try:
        return layer(**{name: argument.value for name, argument in arguments.items()})
    except ValidationError as error:
        detail = error.errors()[0]
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "missing":
            who = label if label == layer.kind else f"{label}: {layer.kind}"
            message = f"{who} needs {clipped(name)}, written on it or in an arg_scope"
            raise SpecError("G113", message, place) from None
        at = arguments[name].place if name in arguments else None
        message = f"{label}: {_sentence(name, detail, arguments[name].value if name in arguments else None)}"
        raise SpecError("G112", message, at or place) from None
    except RuleError as error:
        argument = arguments.get(error.argument or "")
        at = argument.place if argument is not None else None
        raise SpecError(error.code, f"{label}: {error.message}", at or place) from None


WORDS = {
    "a valid integer": "a whole number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "a valid tuple": "one value, or a list",
    "a valid list": "a list",
    "a valid dictionary or instance of": "a mapping for",
    "greater than": "a number greater than",
    "less than": "a number less than",
}
"""Pydantic's words for a type -> a spec's."""


def _sentence(name: str, detail: ErrorDetails, value: Any) -> str:
    found = f"got {clipped(value)}"
    if not detail["msg"].startswith("Input should be "):
        return f"{name}: {detail['msg'].removeprefix('Value error, ')}, {found}"
    expected = detail["msg"].removeprefix("Input should be ")
    for theirs, ours in WORDS.items():
        if expected.startswith(theirs):
            expected = ours + expected.removeprefix(theirs)
    return f"{name} expects {expected}, {found}{write_boolean(value) if detail['type'] == 'bool_type' else ''}"
