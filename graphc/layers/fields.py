"""Field types that layer kinds share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    WrapValidator,
)

from graphc.dims import whole
from graphc.expected import MOST, Expects
from graphc.window import AxisPadding


def _pair(value: Any) -> Any:
    value = whole(value)
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


MOST_AXES = 6
"""Of an example."""

_Whole = BeforeValidator(whole)
_Positive = Annotated[StrictInt, Field(gt=0, le=MOST), _Whole]
_Natural = Annotated[StrictInt, Field(ge=0, le=MOST), _Whole]

PositiveInt: TypeAlias = _Positive
NaturalInt: TypeAlias = _Natural
Bool: TypeAlias = StrictBool


def _held(value: float) -> float:
    """The value, where float32 has it as a finite number, and not as 0 what is none."""
    if value and not LEAST <= abs(value) <= LARGEST:
        raise ValueError(f"expected 0 or a number that float32 holds, from 1e-45 to 3.4e38, got {value:g}")
    return value


LEAST, LARGEST = 2.0**-149, 2.0**128 - 2.0**104
"""Of float32, above 0; in doubles."""
_Float32 = AfterValidator(_held)
Number: TypeAlias = Annotated[float, Field(strict=True), _Float32]
PositiveNumber: TypeAlias = Annotated[float, Field(strict=True, gt=0), _Float32]
Fraction: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""From 0 to just below 1: a rate, a decay."""

_SIZE: dict[str, Any] = {"type": "integer", "exclusiveMinimum": 0, "maximum": MOST}

AxisName: TypeAlias = Literal["channels", "length", "depth", "height", "width"]
"""An axis of a sequence, an image or a volume."""

IntPair: TypeAlias = Annotated[
    tuple[_Positive, _Positive],
    BeforeValidator(_pair),
    Expects("a whole number of at least 1 or [height, width]"),
    WithJsonSchema({"anyOf": [_SIZE, {"type": "array", "items": _SIZE, "minItems": 2, "maxItems": 2}]}),
]
"""One positive integer for both axes, or [height, width]."""


_NATURAL: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST}

NaturalPair: TypeAlias = Annotated[
    tuple[_Natural, _Natural],
    BeforeValidator(_pair),
    Expects("a whole number of at least 0 or [height, width]"),
    WithJsonSchema({"anyOf": [_NATURAL, {"type": "array", "items": _NATURAL, "minItems": 2, "maxItems": 2}]}),
]
"""One natural number for both axes, or [height, width]."""


class AtMost(BaseModel):
    """A kernel of so many pixels, or of its input's where that has fewer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_most: PositiveInt


def _extents(value: Any) -> Any:
    value = whole(value)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(value)
    if isinstance(value, AtMost) or value == "input" or (isinstance(value, int) and not isinstance(value, bool)):
        return value, value
    if isinstance(value, dict) and set(value) == {"at_most"}:
        return value, value
    return value


def _extent(value: Any, of_number: Callable[[Any], Any]) -> Any:
    if value == "input" or isinstance(value, AtMost):
        return value
    return AtMost.model_validate(value) if isinstance(value, dict) else of_number(value)


Extent: TypeAlias = Annotated[Union[_Positive, Literal["input"], AtMost], WrapValidator(_extent)]
"""Pixels of a window along one axis: a number, all of the input's, or at most a number."""

_ATMOST: dict[str, Any] = {
    "type": "object", "properties": {"at_most": _SIZE}, "required": ["at_most"], "additionalProperties": False
}  # fmt: skip
_EXTENTS: list[dict[str, Any]] = [_SIZE, {"enum": ["input"]}, _ATMOST]
_TWO_EXTENTS: dict[str, Any] = {"type": "array", "items": {"anyOf": _EXTENTS}, "minItems": 2, "maxItems": 2}

Kernel: TypeAlias = Annotated[
    tuple[Extent, Extent],
    BeforeValidator(_extents),
    Expects("a whole number of at least 1, [height, width], input or {at_most: 5}"),
    WithJsonSchema({"anyOf": [*_EXTENTS, _TWO_EXTENTS]}),
]
"""One extent for both axes, or [height, width]."""


def _padding(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = [whole(v) for v in value]
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return ((value, value), (value, value))
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return tuple((v, v) for v in value)
    return value


_PIXELS: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST}
_TWO: dict[str, Any] = {"type": "array", "items": _PIXELS, "minItems": 2, "maxItems": 2}
_SIDES: list[dict[str, Any]] = [_PIXELS, _TWO, {**_TWO, "items": _TWO}]
"""The forms of a padding in pixels."""
_IN_PIXELS = "whole pixels for every side, [vertical, horizontal] or [[top, bottom], [left, right]]"

Padding: TypeAlias = Annotated[
    Union[
        Literal["same", "valid", "same_fixed"],
        tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    ],
    BeforeValidator(_padding),
    Expects(f"same, valid, same_fixed, {_IN_PIXELS}"),
    WithJsonSchema({"anyOf": [{"enum": ["same", "valid", "same_fixed"]}, *_SIDES]}),
]
"""same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


PixelPadding: TypeAlias = Annotated[
    tuple[tuple[_Natural, _Natural], tuple[_Natural, _Natural]],
    BeforeValidator(_padding),
    Expects(_IN_PIXELS),
    WithJsonSchema({"anyOf": _SIDES}),
]
"""Pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""


def axis_padding(padding: Padding, axis: int) -> AxisPadding:
    """What a `Padding` says of one axis (0: height, 1: width)."""
    return padding if isinstance(padding, str) else padding[axis]


def _axes(value: Any) -> Any:
    value = whole(value)
    return (value,) if isinstance(value, (str, int)) and not isinstance(value, bool) else value


_NAMED = ("channels", "length", "depth", "height", "width")
_NUMBERED: dict[str, Any] = {"type": "integer", "minimum": -MOST_AXES, "maximum": MOST_AXES - 1}
_AXIS: list[dict[str, Any]] = [{"enum": list(_NAMED)}, _NUMBERED]

_Axis = Union[AxisName, Annotated[StrictInt, Field(ge=-MOST_AXES, lt=MOST_AXES), _Whole]]
Axes: TypeAlias = Annotated[
    tuple[_Axis, ...],
    Field(min_length=1, max_length=MOST_AXES),
    BeforeValidator(_axes),
    Expects(f"{', '.join(_NAMED)}, a whole number from {-MOST_AXES} to {MOST_AXES - 1}, or a list of these"),
    WithJsonSchema({"anyOf": [*_AXIS, {"type": "array", "items": {"anyOf": _AXIS}, "minItems": 1}]}),
]
"""One axis of an example, or several, each by name or number."""
