"""Field types that layer kinds share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, Union

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema

from graphc.dims import whole
from graphc.window import AxisPadding


def _pair(value: Any) -> Any:
    value = whole(value)
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


_MOST = 1_000_000_000
_Whole = BeforeValidator(whole)
_Positive = Annotated[StrictInt, Field(gt=0, le=_MOST), _Whole]
_Natural = Annotated[StrictInt, Field(ge=0, le=_MOST), _Whole]

PositiveInt: TypeAlias = _Positive
NaturalInt: TypeAlias = _Natural
Bool: TypeAlias = StrictBool
Number: TypeAlias = Annotated[float, Field(strict=True)]
PositiveNumber: TypeAlias = Annotated[float, Field(strict=True, gt=0)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""From 0 to just below 1: a rate, a decay."""

_SIZE: dict[str, Any] = {"type": "integer", "exclusiveMinimum": 0, "maximum": _MOST}

IntPair: TypeAlias = Annotated[
    tuple[_Positive, _Positive],
    BeforeValidator(_pair),
    WithJsonSchema({"anyOf": [_SIZE, {"type": "array", "items": _SIZE, "minItems": 2, "maxItems": 2}]}),
]
"""One positive integer for both axes, or [height, width]."""


def _padding(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = [whole(v) for v in value]
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return ((value, value), (value, value))
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return tuple((v, v) for v in value)
    return value


_PIXELS: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": _MOST}
_TWO: dict[str, Any] = {"type": "array", "items": _PIXELS, "minItems": 2, "maxItems": 2}
_SIDES: list[dict[str, Any]] = [_PIXELS, _TWO, {**_TWO, "items": _TWO}]
"""The forms of a padding in pixels."""

Padding: TypeAlias = Annotated[
    Union[
        Literal["same", "valid", "same_fixed"],
        tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    ],
    BeforeValidator(_padding),
    WithJsonSchema({"anyOf": [{"enum": ["same", "valid", "same_fixed"]}, *_SIDES]}),
]
"""same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


PixelPadding: TypeAlias = Annotated[
    tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    BeforeValidator(_padding),
    WithJsonSchema({"anyOf": _SIDES}),
]
"""Pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


def axis_padding(padding: Padding, axis: int) -> AxisPadding:
    """What a `Padding` says of one axis (0: height, 1: width)."""
    return padding if isinstance(padding, str) else padding[axis]
