"""One number a channel, added to every pixel."""

from __future__ import annotations

from graphc.kernels.chunks import sum_in_order
from graphc.lazy import np
from graphc.types import Array, Context


def add_bias(context: Context, x: Array, biases: Array, out: Array) -> None:
    """x + biases along the last axis; `out` may be x."""
    context.each_slice(lambda part: np.add(x[part], biases, out=out[part]), len(x))


def bias_gradient(context: Context, dy: Array) -> Array:
    """The sum of dy over all axes but the last."""

    def work(part: slice) -> Array:
        rows = dy[part].reshape(-1, dy.shape[-1])
        total: Array = np.ones(len(rows), dy.dtype) @ rows
        return total

    return sum_in_order(context, context.each_slice(work, len(dy)))
