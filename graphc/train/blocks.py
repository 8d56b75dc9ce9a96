"""Variables and gradients a block at a time: small enough to stay in the cache while several passes go over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from graphc.kernels.chunks import slices
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.lazy import np
from graphc.types import Array, Gradient

BLOCK = 131_072
"""Elements updated at a time: 512 kB of float32 an array. With 32,768 two threads took 1.2 to 1.8 times as long,
waiting for the interpreter's lock (docs/performance.md says measured on what)."""

ParallelFor: TypeAlias = Callable[[Callable[[slice], None], int], None]
"""Work on slices of range(count), which are blocks, by threads or alone; no result depends on how it is cut."""


def alone(work: Callable[[slice], None], count: int) -> None:
    """All of it at once."""
    work(slice(0, count))


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """Consecutive slices of range(count), each small enough for the cache."""
    return slices(count, size or BLOCK)


def by_blocks(gradient: Gradient) -> tuple[list[slice], Callable[[slice], Array]]:
    """Slices of a flat variable, and the gradient [n] there."""
    if not isinstance(gradient, FactoredGradient):
        return list(blocks(gradient.size)), flat(gradient).__getitem__
    columns = gradient.shape[1]
    at_a_time = max(BLOCK // columns, 1)
    rows = gradient.by_rows(at_a_time)

    def some_rows(part: slice) -> Array:
        return flat(rows(slice(part.start // columns, part.stop // columns)))

    return list(blocks(gradient.size, at_a_time * columns)), some_rows


def square_sum(array: Gradient) -> float:
    """Sum of squares of an array of any shape, block by block, added up in float64: the same bits on any number of
    BLAS's threads."""
    if isinstance(array, FactoredGradient):
        return array.square_sum()
    numbers = flat(array)
    total = 0.0
    for part in blocks(numbers.size):
        total += float(np.einsum("i,i->", numbers[part], numbers[part]))  # not BLAS
    return total


def flat(array: Array) -> Array:
    """A view [n] of an array of any shape in C order."""
    assert array.flags.c_contiguous
    return array.reshape(-1)


def add_scaled(to: Array, factor: float, array: Array, spare: Array | None = None) -> None:
    """to += factor * array, of one shape, in place; `spare` may be overwritten, and array too if it is that."""
    if factor == -1:
        to -= array
    elif factor:
        to += np.multiply(array, factor, out=spare)
