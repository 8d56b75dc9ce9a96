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
        """The numbers, of any shape, in C order; those too large for float32 become infinite."""
        if self.halved:
            widened: Array = (stored.astype(np.uint32, order="C") << 16).view(np.float32)
            return widened
        with np.errstate(over="ignore"):
            return stored.astype(np.float32, order="C", copy=False)


FLOATS = {
    "float16": Float("f2", 2),
    "bfloat16": Float("u2", 2, halved=True),
    "float32": Float("f4", 4),
    "float64": Float("f8", 8),
}
"""Those that weights may be of, by name."""
NAMES = "float16, bfloat16, float32 or float64"


def floats_of(data: bytes | memoryview, dtype: str, shape: tuple[int, ...], order: str = "<") -> Array:
    """Bytes as a float32 array of this shape; `order`: of the bytes of a number, as NumPy writes it."""
    kind = FLOATS[dtype]
    return kind.as_float32(np.frombuffer(data, f"{order}{kind.stored}").reshape(shape))
