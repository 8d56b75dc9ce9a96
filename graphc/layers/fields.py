"""Field types that layer kinds share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, Union

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema

from graphc.window import AxisPadding


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


_Positive = Annotated[StrictInt, Field(gt=0, le=1_000_000_000)]
_Natural = Annotated[StrictInt, Field(ge=0, le=1_000_000_000)]

PositiveInt: TypeAlias = _Positive
NaturalInt: TypeAlias = _Natural
Bool: TypeAlias = StrictBool
Number: TypeAlias = Annotated[float, Field(strict=True)]
PositiveNumber: TypeAlias = Annotated[float, Field(strict=True, gt=0)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""From 0 to just below 1: a rate, a decay."""

IntPair: TypeAlias = Annotated[
    tuple[_Positive, _Positive],
    BeforeValidator(_pair),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0},
                {"type": "array", "items": {"type": "integer", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
"""One positive integer for both axes, or [height, width]."""


def _padding(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return ((value, value), (value, value))
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return tuple((v, v) for v in value)
    return value


Padding: TypeAlias = Annotated[
    Union[
        Literal["same", "valid", "same_fixed"],
        tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    ],
    BeforeValidator(_padding),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["same", "valid", "same_fixed"]},
                {"type": "integer", "minimum": 0},
                {"type": "array", "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
"""same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


PixelPadding: TypeAlias = Annotated[
    tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    BeforeValidator(_padding),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "array", "minItems": 2, "maxItems": 2}]},
    ),
]
"""Pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


def axis_padding(padding: Padding, axis: int) -> AxisPadding:
    """What a `Padding` says of one axis (0: height, 1: width)."""
    return padding if isinstance(padding, str) else padding[axis]
