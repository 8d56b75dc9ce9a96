"""Floating-point numbers as files store them, as float32."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.lazy import np
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Float:
    """A type of numbers in a file."""

    stored: str
    """NumPy's type with the same bytes, without byte order."""
    size: int
    """Bytes of a number."""
    halved: bool = False
    """Whether they are the upper halves of float32 numbers: bfloat16, which NumPy does not know."""

    def as_float32(self, stored: Array) -> Array:
        """The numbers, in C order; those too large for float32 become infinite."""
        if self.halved:
            widened: Array = (stored.astype(np.uint32, order="C") << 16).view(np.float32)
            return widened
        with np.errstate(over="ignore"):
            return stored.astype(np.float32, order="C", copy=False)


FLOAT16, FLOAT32, FLOAT64 = Float("f2", 2), Float("f4", 4), Float("f8", 8)
BFLOAT16 = Float("u2", 2, halved=True)
NAMES = "float16, bfloat16, float32 or float64"
