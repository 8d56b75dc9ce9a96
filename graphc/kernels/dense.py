"""Products of a batch of vectors with a matrix, shared between the ranks by rows of the matrix.

x is n inputs, w is inputs units, y is n units, n being this shard's examples. A large matrix costs more to read
than to multiply with a few examples, so each rank takes some of its rows, the same ones forward and backward, for
all examples: their share of every output, their gradient (as factors it is whole, and rank 0's alone), and the
gradients of their inputs. The ranks swap what they found. A small matrix costs less than the collective call.

Of a large matrix the examples are columns: BLAS has fast products of it, as it lies, with few of them.
"""

from __future__ import annotations

from graphc.kernels.factored_gradient import FactoredGradient
from graphc.kernels.small_products import skinny_matmul, skinny_matmul_t, use_small_gemm
from graphc.lazy import np
from graphc.parallel.communicator import rows_of
from graphc.types import Array, Context, Gradient

SHARED_FROM = 1 << 17
"""Elements of a matrix that is shared."""


def dense(context: Context, x: Array, w: Array) -> tuple[Array, Array]:
    """x @ w, [N, C] @ [C, F], and what `dense_gradients` wants of x: of a shared matrix the inputs of the own rows by
    all examples; where the gradient comes as its factors rank 0 keeps the inputs of all rows."""
    if w.size < SHARED_FROM:
        return np.matmul(x, w, out=context.empty((len(x), w.shape[1]), x.dtype)), x
    everyones = context.all_gather(x)
    own = rows_of(len(w), context.rank, len(everyones))
    if context.factored and context.rank == 0:
        inputs = _side_by_side(context, everyones)
        own_inputs = inputs[own]
    else:
        inputs = own_inputs = _side_by_side(context, [x[:, own] for x in everyones])
    share = context.empty((w.shape[1], inputs.shape[1]), x.dtype)
    skinny_matmul_t(w[own], own_inputs, out=share)

    examples = _examples(context, everyones)
    first, *others = (share[:, examples].T for share in context.all_gather(share))
    y = context.empty(first.shape, x.dtype)
    y[...] = first
    for other in others:
        y += other
    return y, inputs


def dense_gradients(
    context: Context, inputs: Array, dy: Array, w: Array, of_weights: bool = True
) -> tuple[Array | None, Gradient | None]:
    """dy @ w.T [N, C], if the context asks for it, and x.T @ dy [C, F], which of a shared matrix rank 0 has for all.

    `inputs` are what `dense` gave, dy is [N, F].
    """
    dx: Array | None = None
    dw: Gradient | None = None
    if w.size < SHARED_FROM:
        if of_weights:
            dw = np.matmul(inputs.T, dy, out=context.empty(w.shape, dy.dtype))
        if context.input_gradient:
            dx = np.matmul(dy, w.T, out=context.empty((len(dy), len(w)), dy.dtype))
        return dx, dw

    everyones = context.all_gather(dy)
    own = rows_of(len(w), context.rank, len(everyones))
    columns = _side_by_side(context, everyones)  # before the next collective call
    if of_weights and context.factored:
        dw = FactoredGradient(inputs.T, _joined(context, everyones)) if context.rank == 0 else None
    elif of_weights:
        dw = whole = context.shared_buffer(w.shape, dy.dtype)
        np.matmul(inputs, columns.T, out=whole[own])
    found = None
    if context.input_gradient:
        found = context.empty((own.stop - own.start, columns.shape[1]), dy.dtype)
        skinny_matmul(w[own], columns, out=found)
    pieces = context.all_gather(found)  # by now every row of dw is there
    if context.input_gradient:
        dx = context.empty((len(dy), len(w)), dy.dtype)
        examples = _examples(context, everyones)
        for rank, piece in enumerate(pieces):
            dx[:, rows_of(len(w), rank, len(pieces))] = piece[:, examples].T
    return dx, dw if context.rank == 0 else None


def _examples(context: Context, everyones: list[Array]) -> slice:
    """Which of all examples are this rank's."""
    before = sum(map(len, everyones[: context.rank]))
    return slice(before, before + len(everyones[context.rank]))


def _joined(context: Context, vectors: list[Array]) -> Array:
    """All examples' vectors."""
    if len(vectors) == 1:
        return vectors[0]
    shape = (sum(map(len, vectors)), vectors[0].shape[1])
    return np.concatenate(vectors, out=context.empty(shape, vectors[0].dtype))


def _side_by_side(context: Context, vectors: list[Array]) -> Array:
    """All examples' vectors as columns."""
    count = sum(map(len, vectors))
    if not use_small_gemm(count):
        return _joined(context, vectors).T
    columns = context.empty((vectors[0].shape[1], count), vectors[0].dtype)
    np.concatenate(vectors, out=columns.T)
    return columns
