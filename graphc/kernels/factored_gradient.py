"""The gradient of a large matrix as its two factors, made a few rows at a time where it is used.

A batch of 64 vectors through a matrix of three million numbers has a gradient of rank 64: its factors are a twelfth
of its size, its length takes two products of 64 by 64, and what an optimizer needs of it at a time stays in the cache.

Measured on LeNet's matrix of 3136 by 1024 (docs/performance.md): a step takes 12.9 ms in place of 13.7, since its
gradient is never written or read. Output gradients in tiles of 64 by 64 with the rate in them: 1.3 ms for product and
update in place of 1.8. Each process updating its own rows, in place of two threads, gained 1.4 % of the step for a
hundred lines; it was not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.kernels.small_products import small_width
from graphc.lazy import np
from graphc.types import Array, Gradient


@dataclass(slots=True, eq=False)
class FactoredGradient:
    """factor * inputs.T @ output_gradients, of examples × rows and examples × columns. NumPy takes it for an array and
    makes it whole. Its arrays may be others' too and stay as they are. Bits depend on BLAS's threads: call it with
    one."""

    inputs: Array
    output_gradients: Array
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.inputs.shape[1], self.output_gradients.shape[1]

    @property
    def size(self) -> int:
        rows, columns = self.shape
        return rows * columns

    @property
    def dtype(self) -> Any:
        return self.output_gradients.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole: Array = np.matmul(self.inputs.T, self.output_gradients)
        return np.multiply(whole, self.factor, out=whole).astype(dtype or self.dtype, copy=False)

    def by_rows(self, at_a_time: int) -> Callable[[slice], Array]:
        """What makes some rows, at most so many, as an array [rows, F] of their own."""
        examples, columns = self.output_gradients.shape
        width = small_width(at_a_time * examples, columns) or columns
        tiles = self.output_gradients.reshape(examples, -1, width).swapaxes(0, 1)
        tiles = np.multiply(tiles, self.factor, order="C")

        def rows(some: slice) -> Array:
            inputs = self.inputs[:, some].T
            found = np.empty((len(inputs), columns), self.dtype)
            np.matmul(inputs, tiles, out=found.reshape(len(inputs), -1, width).swapaxes(0, 1))
            return found

        return rows

    def square_sum(self) -> float:
        """Of all its numbers: the examples' products with each other, in float64. Where examples cancel, what is left
        is rounding error, which may be negative; then it is 0."""
        inputs, output_gradients = self.inputs.astype(np.float64), self.output_gradients.astype(np.float64)
        return max(self.factor**2 * float(np.vdot(inputs @ inputs.T, output_gradients @ output_gradients.T)), 0.0)


def scale(gradient: Gradient, factor: float) -> None:
    """Times this, in place."""
    if isinstance(gradient, FactoredGradient):
        gradient.factor *= factor
    else:
        np.multiply(gradient, factor, out=gradient)
