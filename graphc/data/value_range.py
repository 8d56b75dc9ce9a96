"""Which value of an image is black and which is white, and values brought into an image's type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import AfterValidator

from graphc.errors import DataError, Place, clipped
from graphc.files import shown
from graphc.settings import LIST, Settings
from graphc.types import Array

TYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64|96|128)|longdouble")
"""NumPy's names of types of numbers."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Between black and white, and of either: what is computed with them is finite in float32."""
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

    @property
    def unit(self) -> float:
        """What the values are multiplied with so that the largest, whatever its sign, is 1."""
        return 1 / max(abs(self.low), abs(self.high))


@dataclass(frozen=True, slots=True)
class UnknownRange:
    """A range that has to be asked for."""

    found: str
    """The type and values that do not tell it."""
    source: str | None = None
    """Where they come from."""

    def error(self, what: str, *also: str) -> DataError:
        """The error that asks; `what` needs it; `also`: what else may be written."""
        notes = ["`value_range: [black, white]` at the source says it, such as [0, 255] or [-1, 1]"]
        notes = [*notes, *also]
        message = f"{what} needs to know which values are black and white, found {self.found}"
        return DataError("G412", message, Place(self.source) if self.source else None, notes)


AnyRange: TypeAlias = ValueRange | UnknownRange


def range_of_type(dtype: Any) -> ValueRange | None:
    """Of a type whose own range is what its values mean: bool and integers of 8 and 16 bits."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return ValueRange(0.0, 1.0)
    return ValueRange(*_limits(dtype)) if dtype.name in NARROW else None


def range_of(images: Array) -> AnyRange:
    """What images of any shape show of their range: their type's own; of floats 0 to 1 where all lie there; of wide
    integers their type's own where its outer half is used."""
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
    """The values (floats, any shape) in another type, cut off at `limits`; integers are rounded, cut off at their
    type's own range, and never wrap. `values` may be overwritten."""
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


def brought(images: Array, dtype: Any, there: AnyRange, here: AnyRange | None = None) -> Array:
    """Images of another type, any shape, brought from their range `here` (default: what they show) to the range `there`
    of a type, as a new array; those of the type, and floats where it is of floats, stay."""
    dtype = np.dtype(dtype)
    if images.dtype == dtype or images.dtype.kind == dtype.kind == "f":
        return images
    here = here or range_of(images)
    for each in (here, there):
        if isinstance(each, UnknownRange):
            raise each.error(f"bringing images of {images.dtype} to {dtype}")
    assert isinstance(here, ValueRange)
    assert isinstance(there, ValueRange)
    values = images.astype(np.float64)
    values -= here.low
    values *= there.span / here.span
    values += there.low
    return in_type(values, dtype, there)


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if not SMALLEST <= values[1] - values[0] <= 2 * LARGEST or max(map(abs, values)) > LARGEST:
        raise ValueError(f"expected [black, white], found {list(values)}")
    return values


BlackToWhite: TypeAlias = Annotated[tuple[float, float], LIST, AfterValidator(_ordered)] | None
"""As a recipe says it."""


def _of_numbers(dtype: str) -> str:
    if not TYPES.fullmatch(dtype):
        raise ValueError(f"expected a type of numbers, found {clipped(dtype)}")
    return dtype


class ImageValues(Settings):
    """Type and range of images, such as those that a network was trained on."""

    dtype: Annotated[str, AfterValidator(_of_numbers)] = "uint8"
    black_to_white: BlackToWhite = (0.0, 255.0)
    """None: not known."""
    in_files: BlackToWhite = None
    """The range of files with more than 8 bits a value, where it is said; default: what they show."""
    reduced: bool = False
    """Files of more than 8 bits a value are reduced to 8, rather than refused."""

    @classmethod
    def of(cls, dtype: Any, values: AnyRange | None, said: ValueRange | None = None) -> ImageValues:
        """`said`: the range that the source says."""
        known, in_files = ((each.low, each.high) if isinstance(each, ValueRange) else None for each in (values, said))
        return cls(dtype=np.dtype(dtype).name, black_to_white=known, in_files=in_files)

    @property
    def range(self) -> AnyRange:
        if self.black_to_white is None:
            return UnknownRange(f"{self.dtype} of which nothing is known")
        return ValueRange(*self.black_to_white)

    @property
    def known_range(self) -> ValueRange | None:
        return None if self.black_to_white is None else ValueRange(*self.black_to_white)

    @property
    def unit(self) -> float:
        """What preprocessing multiplies with where it does not say it; floats of unknown range stay."""
        return 1.0 if self.black_to_white is None else ValueRange(*self.black_to_white).unit

    @property
    def said_range(self) -> ValueRange | None:
        """The range where the source says it."""
        return None if self.in_files is None else self.known_range

    def taken(self, images: Array, given: ImageValues | None = None) -> Array:
        """Images of any shape and type brought to this one; `given`: their type and range, where they are known."""
        here = None if given is None else given.range
        if self.in_files is not None and images.dtype.itemsize > 1:
            here = here or ValueRange(*self.in_files)
        return brought(images, self.dtype, self.range, here)


BYTES = ImageValues()
"""Of files with 8 bits a value."""


def file_values(dtype: str | None, said: ValueRange | None) -> ImageValues:
    """Type and range that images in files are brought to; `said`: which values of files with more than 8 bits are
    black and white, where the recipe says it."""
    kind = np.dtype(dtype or "uint8")
    own = ValueRange(0.0, 1.0) if kind.kind == "f" else ValueRange(*_limits(kind))
    there = own if said is None or dtype in (None, "uint8", "int8") else said
    found = ImageValues.of(kind, there, said)
    return found.model_copy(update={"reduced": dtype == "uint8"})


def black_to_white(
    said: tuple[float, float] | None, arrays: Mapping[str, Array] | None = None, path: Path | None = None
) -> ValueRange | None:
    """The range that a recipe says; an error where images of an array ([N, H, W], [N, H, W, C]) lie outside of it."""
    if said is None:
        return None
    for key, array in (arrays or {}).items():
        if array.ndim in (3, 4) and array.size and (array.min() < said[0] or array.max() > said[1]):
            expected = f"expected values from {said[0]:g} to {said[1]:g}, as `value_range` says"
            found = f"found {array.min():g} to {array.max():g} in {key!r}"
            raise DataError("G412", f"{expected}, {found}", None if path is None else Place(shown(path)))
    return ValueRange(*said)


def _limits(dtype: Any) -> tuple[float, float]:
    """The least and largest value of an integer type, as floats that it can hold."""
    limits = np.iinfo(dtype)
    high = float(limits.max)
    return float(limits.min), high if int(high) <= limits.max else float(np.nextafter(high, 0))
