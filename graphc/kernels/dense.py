"""Products of a batch of vectors with a matrix, shared between the parts of the batch by pieces of the matrix.

x is n inputs, w is inputs units, y is n units, n being this part's examples. A large matrix costs more to read
than to multiply with a few examples, so each part reads a piece of it, for all examples, and the parts swap what
they found. A small one costs less than the meeting.

Pieces are made transposed, the matrix times few vectors: BLAS reads the matrix as it lies and takes two thirds to nine
tenths of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.lazy import np
from graphc.types import Array, Context

SHARED_FROM = 1 << 17
"""Elements of a matrix that is shared."""


def dense(context: Context, x: Array, w: Array) -> Array:
    """x @ w."""
    if w.size < SHARED_FROM:
        return np.matmul(x, w, out=context.empty((len(x), w.shape[1]), x.dtype))
    parts = context.gather(x)
    everything = _joined(context, parts)
    own = _piece(w.shape[1], context.part, len(parts))
    product = context.empty((own.stop - own.start, len(everything)), x.dtype)
    np.matmul(w[:, own].T, everything.T, out=product)
    return _swap(context, product, parts, w.shape[1])


def dense_grad_input(context: Context, dy: Array, w: Array) -> Array:
    """dy @ w.T."""
    if w.size < SHARED_FROM:
        return np.matmul(dy, w.T, out=context.empty((len(dy), len(w)), dy.dtype))
    parts = context.gather(dy)
    everything = _joined(context, parts)
    own = _piece(len(w), context.part, len(parts))
    product = context.empty((own.stop - own.start, len(everything)), dy.dtype)
    np.matmul(w[own], everything.T, out=product)
    return _swap(context, product, parts, len(w))


def dense_grad_weights(context: Context, x: Array, dy: Array) -> Array | None:
    """x.T @ dy; of a shared matrix the first part has all of it and the others have none."""
    shape = (x.shape[1], dy.shape[1])
    if shape[0] * shape[1] < SHARED_FROM:
        return np.matmul(x.T, dy, out=context.empty(shape, x.dtype))
    dw = context.common(shape, x.dtype)
    parts = context.gather((x, dy))
    inputs, gradients = (_joined(context, arrays) for arrays in zip(*parts, strict=True))
    own = _piece(shape[0], context.part, len(parts))
    np.matmul(inputs[:, own].T, gradients, out=dw[own])
    context.gather(None)  # until every piece is there
    return dw if context.part == 0 else None


def _piece(count: int, part: int, parts: int) -> slice:
    return slice(count * part // parts, count * (part + 1) // parts)


def _joined(context: Context, parts: Sequence[Array]) -> Array:
    """The whole batch's vectors."""
    if len(parts) == 1:
        return parts[0]
    shape = (sum(map(len, parts)), parts[0].shape[1])
    return np.concatenate(parts, out=context.empty(shape, parts[0].dtype))


def _swap(context: Context, product: Array, parts: list[Array], width: int) -> Array:
    """From a piece (units × examples) of every example's vector to this part's whole vectors."""
    pieces = context.gather(product)
    before = sum(map(len, parts[: context.part]))
    own = slice(before, before + len(parts[context.part]))
    y = context.empty((own.stop - own.start, width), product.dtype)
    for part, piece in enumerate(pieces):
        y[:, _piece(width, part, len(parts))] = piece[:, own].T
    return y
