"""Products of a batch of vectors with a matrix, shared between threads by columns of the result.

x is N inputs, w is inputs units, y is N units. Slices run over columns, not over the batch: so a single example
is shared too, and no slice has to read the whole matrix.
"""

from __future__ import annotations

from graphc.lazy import np
from graphc.types import Array, Context


def dense(context: Context, x: Array, w: Array) -> Array:
    """x @ w."""
    y = context.empty((len(x), w.shape[1]), x.dtype)
    context.each_slice(lambda part: np.matmul(x, w[:, part], out=y[:, part]), w.shape[1])
    return y


def dense_grad_input(context: Context, dy: Array, w: Array) -> Array:
    """dy @ w.T."""
    dx = context.empty((len(dy), len(w)), dy.dtype)
    context.each_slice(lambda part: np.matmul(dy, w[part].T, out=dx[:, part]), len(w))
    return dx


def dense_grad_weights(context: Context, x: Array, dy: Array) -> Array:
    """x.T @ dy."""
    dw = context.empty((x.shape[1], dy.shape[1]), dy.dtype)
    context.each_slice(lambda part: np.matmul(x[:, part].T, dy, out=dw[part]), x.shape[1])
    return dw
