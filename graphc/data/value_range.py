"""Which value of an image is black and which is white, and values brought into an image's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import DataError
from graphc.types import Array

NARROW = ("uint8", "int8", "uint16", "int16")
"""Types of which all values are used; wider ones mostly hold numbers of some narrower range."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """From black to white."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The value of which 0 is black and 1 white."""
        return self.low + share * (self.high - self.low)

    @property
    def span(self) -> float:
        """How far white is from black."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class UnknownRange:
    """A range that has to be asked for."""

    found: str
    """The type and values that do not tell it."""

    def error(self, what: str) -> DataError:
        """The error that asks; `what` needs it."""
        notes = ["`value_range: [black, white]` at the source says it, such as [0, 255] or [-1, 1]"]
        message = f"{what} needs to know which values are black and white, found {self.found}"
        return DataError("G412", message, notes=notes)


AnyRange: TypeAlias = ValueRange | UnknownRange


def range_of_type(dtype: Any) -> ValueRange | None:
    """Of a type whose own range is what its values mean: bool and integers of 8 and 16 bits."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return ValueRange(0.0, 1.0)
    return ValueRange(*_limits(dtype)) if dtype.name in NARROW else None


def range_of(images: Array) -> AnyRange:
    """What the images show of their range: their type's own; of floats 0 to 1 where all lie there; of wide integers
    their type's own where its outer half is used."""
    found = range_of_type(images.dtype)
    if found is not None:
        return found
    if not images.size:
        return UnknownRange(f"no values of {images.dtype}")
    low, high = float(images.min()), float(images.max())
    unknown = UnknownRange(f"{images.dtype} from {low:g} to {high:g}")
    if images.dtype.kind == "f":
        return ValueRange(0.0, 1.0) if low >= 0 and high <= 1 else unknown
    own = ValueRange(*_limits(images.dtype))
    return own if low < own.low / 2 or high > own.high / 2 else unknown


def in_type(values: Array, dtype: Any, limits: ValueRange | None = None) -> Array:
    """The values (floats) in another type, cut off at `limits`; integers are rounded, cut off at their type's own
    range, and never wrap. The array given may be written over."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind == "f":
        if limits is not None:
            values = np.clip(values, limits.low, limits.high, out=values)
        return values.astype(dtype, copy=False)
    low, high = _limits(dtype)
    if limits is not None:
        low, high = max(low, limits.low), min(high, limits.high)
    if dtype.itemsize > 2 and values.dtype != np.float64:
        values = values.astype(np.float64)
    np.rint(values, out=values)
    np.minimum(values, high, out=values)
    np.maximum(values, low, out=values)
    return values.astype(dtype)


def _limits(dtype: Any) -> tuple[float, float]:
    """The least and largest value of an integer type, as floats that it can hold."""
    limits = np.iinfo(dtype)
    high = float(limits.max)
    return float(limits.min), high if int(high) <= limits.max else float(np.nextafter(high, 0))
