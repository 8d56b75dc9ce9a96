"""Arguments of kinds for sequences, images and volumes alike: one value for all spatial axes, or one for each of them.

How many axes there are the input says, so that values are kept as they were written until a rule asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, Union

from pydantic import BeforeValidator, Field, StrictInt, WithJsonSchema

from graphc.dims import Shape, format_shape, whole
from graphc.errors import RuleError
from graphc.expected import MOST, Expects
from graphc.layers.factors import LARGEST_DENOMINATOR, Factor

_T = TypeVar("_T")
AXES = 3
"""A volume has so many spatial axes, and nothing has more."""


def _listed(value: Any) -> Any:
    """Lists as tuples, 2.0 as 2."""
    if isinstance(value, (list, tuple)):
        return tuple(_listed(each) for each in value)
    return whole(value)


def _schema(item: dict[str, Any], *more: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1, "maxItems": AXES}, *more]})


_Whole = BeforeValidator(_listed)
_Positive = Annotated[StrictInt, Field(gt=0, le=MOST)]
_Natural = Annotated[StrictInt, Field(ge=0, le=MOST)]
_UpToThree = Field(min_length=1, max_length=AXES)
_SIZE: dict[str, Any] = {"type": "integer", "exclusiveMinimum": 0, "maximum": MOST}
_NATURAL: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST}
_SIDES: dict[str, Any] = {"type": "array", "items": _NATURAL, "minItems": 2, "maxItems": 2}
_NUMBER: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "maximum": MOST}

AxisSizes: TypeAlias = Annotated[
    Union[_Positive, Annotated[tuple[_Positive, ...], _UpToThree]],
    _Whole,
    Expects("a whole number of at least 1 for all axes, or a list of one for each"),
    _schema(_SIZE),
]
"""One positive integer for all axes, or one for each: [height, width] of an image."""

AxisOffsets: TypeAlias = Annotated[
    Union[_Natural, Annotated[tuple[_Natural, ...], _UpToThree]],
    _Whole,
    Expects("a whole number of at least 0 for all axes, or a list of one for each"),
    _schema(_NATURAL),
]
"""One natural number for all axes, or one for each."""

AxisFactors: TypeAlias = Annotated[
    Union[Factor, Annotated[tuple[Factor, ...], _UpToThree]],
    _Whole,
    Expects(
        f"a number above 0, a fraction with a denominator of at most {LARGEST_DENOMINATOR:,}, or a list of one for each"
        " axis"
    ),
    _schema(_NUMBER),
]
"""One factor for all axes, or one for each: [vertical, horizontal] of an image."""

SidePadding: TypeAlias = Annotated[
    Union[
        _Natural,
        Annotated[tuple[_Natural, ...], _UpToThree],
        Annotated[tuple[tuple[_Natural, _Natural], ...], _UpToThree],
    ],
    _Whole,
    Expects(
        "whole pixels for every side, [vertical, horizontal] or [[top, bottom], [left, right]] of an image, a value or"
        " [before, after] for each axis of a volume, [before, after] of a sequence"
    ),
    _schema(_NATURAL, {"type": "array", "items": _SIDES, "minItems": 1, "maxItems": AXES}),
]
"""Pixels for every side; for both sides of each axis; or [before, after] for each axis, of a sequence without a list
around."""


def per_axis(value: _T | tuple[_T, ...], shape: Shape, argument: str) -> tuple[_T, ...]:
    """A value for each spatial axis of an input of this shape, or an error that says how many there are."""
    axes = len(shape) - 1
    if not isinstance(value, tuple):
        return (value,) * axes
    if len(value) != axes:
        _refuse(value, shape, argument)
    return value


def both_sides(padding: Any, shape: Shape, argument: str) -> tuple[tuple[int, int], ...]:
    """(before, after) for each spatial axis of an input of this shape, of a `SidePadding`."""
    axes = len(shape) - 1
    if not isinstance(padding, tuple):
        return ((padding, padding),) * axes
    if isinstance(padding[0], tuple):
        if len(padding) != axes:
            _refuse(padding, shape, argument)
        return padding
    if axes == 1 and len(padding) == 2:
        return ((padding[0], padding[1]),)
    if len(padding) != axes:
        _refuse(padding, shape, argument)
    return tuple((pixels, pixels) for pixels in padding)


def written(value: Any) -> Any:
    """A value for each axis as one, where all are equal; lists for tuples."""
    if not isinstance(value, tuple):
        return value
    parts = [written(each) for each in value]
    return parts[0] if all(part == parts[0] for part in parts) else parts


def _refuse(value: Sequence[Any], shape: Shape, argument: str) -> None:
    axes = len(shape) - 1
    has = f"{axes} spatial ax{'is' if axes == 1 else 'es'}"
    shown = [list(each) if isinstance(each, tuple) else each for each in value]
    raise RuleError(
        "G201", f"{argument}={shown} is for {len(value)} axes, got {format_shape(shape)} with {has}", argument
    )
