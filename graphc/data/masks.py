"""What the values of a mask mean: which class a stored value stands for, and which classes a loss takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field

from graphc.errors import DataError, Place
from graphc.types import Array

LARGEST = 2**31 - 1


def _numbers(value: Any) -> Any:
    """Keys as numbers: a document's are text."""
    if not isinstance(value, Mapping):
        return value
    wrong = [key for key in value if not re.fullmatch("0|-?[1-9][0-9]{0,9}", str(key))]
    if wrong:
        raise ValueError(f"expected whole numbers as keys, such as {{255: 1}}, found {wrong[0]!r:.40}")
    return {int(key): each for key, each in value.items()}


_Value: TypeAlias = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
MaskValues: TypeAlias = Annotated[dict[_Value, _Value], BeforeValidator(_numbers)]
"""Stored value -> class; a value that is not named stands for itself."""


def mapped(mask: Array, values: Mapping[int, int]) -> Array:
    """The classes (int64, a new array) of stored values, any shape."""
    stored = mask.astype(np.int64)
    found = stored.copy()
    for value, kind in values.items():
        found[stored == value] = kind
    return found


@dataclass(frozen=True, slots=True)
class MaskRule:
    """What the pixels of a mask may be."""

    classes: int | None
    """Classes from 0 up to so many; None: any value."""
    ignore: int | None = None
    """The value that does not count in the loss."""
    fill: int = 0
    """The value of pixels that come in from outside of the image."""

    def takes(self, value: int) -> bool:
        """Whether a pixel may have this value."""
        return self.classes is None or value == self.ignore or 0 <= value < self.classes

    def check(self, mask: Array, name: str) -> None:
        """An error that names the first pixel with another value; `mask`: [H, W], `name`: of its file."""
        if self.classes is None:
            return
        wrong = (mask < 0) | (mask >= self.classes)
        if self.ignore is not None:
            wrong &= mask != self.ignore
        if not wrong.any():
            return
        row, column = np.argwhere(wrong)[0].tolist()
        value = mask[row, column]
        expected = "0 or 1" if self.classes == 2 else f"classes from 0 to {self.classes - 1}"
        ignored = "" if self.ignore is None else f", or {self.ignore}, which is ignored"
        found = f"{value} at row {row}, column {column} ({np.count_nonzero(wrong):,} such pixels)"
        notes = [f"say on the source what it means: `mask_values: {{{value}: {self.classes - 1}}}`"]
        if self.ignore is None:
            notes.append("or name in the loss, as `ignore`, a value that shall not count")
        raise DataError("G405", f"expected a mask with {expected}{ignored}, found {found}", Place(name), notes)
