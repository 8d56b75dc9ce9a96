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
WholeInt: TypeAlias = Annotated[StrictInt, Field(ge=-MOST, le=MOST), _Whole]
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
_NATURAL: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST}


def _per_axis(axes: int) -> BeforeValidator:
    """One number counts for every axis."""

    def spread(value: Any) -> Any:
        value = whole(value)
        return (value,) * axes if isinstance(value, int) and not isinstance(value, bool) else value

    return BeforeValidator(spread)


def _schema(axes: int, item: dict[str, Any], *shorter: dict[str, Any]) -> WithJsonSchema:
    """An array of one item an axis, or a shorter form."""
    array = {"type": "array", "items": item, "minItems": axes, "maxItems": axes}
    return WithJsonSchema({"anyOf": [*shorter, array]})


_OF_VOLUMES = "[depth, height, width]"

Ints1d: TypeAlias = Annotated[
    tuple[_Positive, ...],
    Field(min_length=1, max_length=1),
    _per_axis(1),
    Expects("a whole number of at least 1"),
    _schema(1, _SIZE, _SIZE),
]
"""One positive integer, for the only axis."""
Ints2d: TypeAlias = Annotated[
    tuple[_Positive, ...],
    Field(min_length=2, max_length=2),
    _per_axis(2),
    Expects("a whole number of at least 1 or [height, width]"),
    _schema(2, _SIZE, _SIZE),
]
"""One positive integer for both axes, or [height, width]."""
Ints3d: TypeAlias = Annotated[
    tuple[_Positive, ...],
    Field(min_length=3, max_length=3),
    _per_axis(3),
    Expects(f"a whole number of at least 1 or {_OF_VOLUMES}"),
    _schema(3, _SIZE, _SIZE),
]
"""One positive integer for all axes, or [depth, height, width]."""


IntPair: TypeAlias = Annotated[
    tuple[_Positive, _Positive],
    BeforeValidator(_pair),
    Expects("a whole number of at least 1 or [height, width]"),
    WithJsonSchema({"anyOf": [_SIZE, {"type": "array", "items": _SIZE, "minItems": 2, "maxItems": 2}]}),
]
"""One positive integer for both axes, or [height, width]."""


Naturals1d: TypeAlias = Annotated[
    tuple[_Natural, ...],
    Field(min_length=1, max_length=1),
    _per_axis(1),
    Expects("a whole number of at least 0"),
    _schema(1, _NATURAL, _NATURAL),
]
"""One natural number, for the only axis."""
Naturals2d: TypeAlias = Annotated[
    tuple[_Natural, ...],
    Field(min_length=2, max_length=2),
    _per_axis(2),
    Expects("a whole number of at least 0 or [height, width]"),
    _schema(2, _NATURAL, _NATURAL),
]
"""One natural number for both axes, or [height, width]."""
Naturals3d: TypeAlias = Annotated[
    tuple[_Natural, ...],
    Field(min_length=3, max_length=3),
    _per_axis(3),
    Expects(f"a whole number of at least 0 or {_OF_VOLUMES}"),
    _schema(3, _NATURAL, _NATURAL),
]
"""One natural number for all axes, or [depth, height, width]."""


class AtMost(BaseModel):
    """A kernel of so many pixels, or of its input's where that has fewer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_most: PositiveInt


def _extents(axes: int) -> BeforeValidator:
    """One extent counts for every axis."""

    def spread(value: Any) -> Any:
        value = whole(value)
        if isinstance(value, (list, tuple)) and len(value) == axes:
            return tuple(value)
        if isinstance(value, AtMost) or value == "input" or (isinstance(value, int) and not isinstance(value, bool)):
            return (value,) * axes
        if isinstance(value, dict) and set(value) == {"at_most"}:
            return (value,) * axes
        return value

    return BeforeValidator(spread)


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

Kernel1d: TypeAlias = Annotated[
    tuple[Extent, ...],
    Field(min_length=1, max_length=1),
    _extents(1),
    Expects("a whole number of at least 1, input or {at_most: 5}"),
    _schema(1, {"anyOf": _EXTENTS}, *_EXTENTS),
]
"""One extent, for the only axis."""
Kernel: TypeAlias = Annotated[
    tuple[Extent, ...],
    Field(min_length=2, max_length=2),
    _extents(2),
    Expects("a whole number of at least 1, [height, width], input or {at_most: 5}"),
    _schema(2, {"anyOf": _EXTENTS}, *_EXTENTS),
]
"""One extent for both axes, or [height, width]."""
Kernel3d: TypeAlias = Annotated[
    tuple[Extent, ...],
    Field(min_length=3, max_length=3),
    _extents(3),
    Expects(f"a whole number of at least 1, {_OF_VOLUMES}, input or {{at_most: 5}}"),
    _schema(3, {"anyOf": _EXTENTS}, *_EXTENTS),
]
"""One extent for all axes, or [depth, height, width]."""


def _sides(axes: int) -> BeforeValidator:
    """One number counts for every side, one an axis for both of its sides; of one axis [before, after] is both."""

    def spread(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            value = [whole(v) for v in value]
        value = whole(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return ((value, value),) * axes
        if isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value):
            if axes == 1 and len(value) == 2:
                return (tuple(value),)
            return tuple((v, v) for v in value) if len(value) == axes else value
        return value

    return BeforeValidator(spread)


_TWO: dict[str, Any] = {"type": "array", "items": _NATURAL, "minItems": 2, "maxItems": 2}
_SIDES: list[dict[str, Any]] = [_NATURAL, _TWO, {**_TWO, "items": _TWO}]
"""The forms of a padding in pixels."""
_THREE: dict[str, Any] = {"type": "array", "items": _NATURAL, "minItems": 3, "maxItems": 3}
_ONE_PAIR: dict[str, Any] = {"type": "array", "items": _TWO, "minItems": 1, "maxItems": 1}
_WORDS: dict[str, Any] = {"enum": ["same", "valid", "same_fixed"]}
_IN_PIXELS = "whole pixels for every side, [vertical, horizontal] or [[top, bottom], [left, right]]"

_Words: TypeAlias = Literal["same", "valid", "same_fixed"]
_Pads: TypeAlias = tuple[tuple[_Natural, _Natural], ...]

Padding1d: TypeAlias = Annotated[
    Union[_Words, Annotated[_Pads, Field(min_length=1, max_length=1)]],
    _sides(1),
    Expects("same, valid, same_fixed, a whole number for both sides or [before, after]"),
    WithJsonSchema({"anyOf": [_WORDS, _NATURAL, {**_TWO, "minItems": 1}, _ONE_PAIR]}),
]
"""same, valid, same_fixed, positions for both sides, or [before, after]."""
Padding: TypeAlias = Annotated[
    Union[_Words, Annotated[_Pads, Field(min_length=2, max_length=2)]],
    _sides(2),
    Expects(f"same, valid, same_fixed, {_IN_PIXELS}"),
    WithJsonSchema({"anyOf": [_WORDS, *_SIDES]}),
]
"""same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""
Padding3d: TypeAlias = Annotated[
    Union[_Words, Annotated[_Pads, Field(min_length=3, max_length=3)]],
    _sides(3),
    Expects(f"same, valid, same_fixed, a whole number for every side, {_OF_VOLUMES} or a [before, after] for each"),
    WithJsonSchema({"anyOf": [_WORDS, _NATURAL, _THREE, {**_THREE, "items": _TWO}]}),
]
"""same, valid, same_fixed, positions for every side, [depth, height, width], or [before, after] for each of them."""


def axis_padding(padding: Padding, axis: int) -> AxisPadding:
    """What a padding says of one axis, counted from 0 (of an image 0: height, 1: width)."""
    return padding if isinstance(padding, str) else padding[axis]


def _axes(value: Any) -> Any:
    value = whole(value)
    return (value,) if isinstance(value, (str, int)) and not isinstance(value, bool) else value


_NAMED = ("channels", "length", "depth", "height", "width")
_NUMBERED: dict[str, Any] = {"type": "integer", "minimum": -MOST_AXES, "maximum": MOST_AXES - 1}
_AXIS: list[dict[str, Any]] = [{"enum": list(_NAMED)}, _NUMBERED]

Axis: TypeAlias = Annotated[
    Union[
        Literal["channels", "length", "depth", "height", "width"],
        Annotated[StrictInt, Field(ge=-MOST_AXES, lt=MOST_AXES), _Whole],
    ],
    Expects(f"{', '.join(_NAMED)}, or a whole number from {-MOST_AXES} to {MOST_AXES - 1}"),
    WithJsonSchema({"anyOf": _AXIS}),
]
"""An axis of an example by its name or its number: 0 is the first behind the batch, -1 the last."""

Axes: TypeAlias = Annotated[
    tuple[Axis, ...],
    Field(min_length=1, max_length=MOST_AXES),
    BeforeValidator(_axes),
    Expects(f"{', '.join(_NAMED)}, a whole number from {-MOST_AXES} to {MOST_AXES - 1}, or a list of these"),
    WithJsonSchema({"anyOf": [*_AXIS, {"type": "array", "items": {"anyOf": _AXIS}, "minItems": 1}]}),
]
"""One axis of an example, or several, each by name or number."""
