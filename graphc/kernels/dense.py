"""Products of a batch of vectors with a matrix, shared between the parts of the batch by rows of the matrix.

x is n inputs, w is inputs units, y is n units, n being this part's examples. A large matrix costs more to read
than to multiply with a few examples, so each part takes some of its rows, the same ones there and back, for all
examples: their share of every output, their gradient (as factors it is whole, and the first part's alone), and the
gradients of their inputs. The parts swap what they found. A small matrix costs less than the meeting.

Of a large matrix the examples are columns: BLAS has fast products of it, as it lies, with few of them.
"""

from __future__ import annotations

from graphc.kernels.outer_product import OuterProduct
from graphc.kernels.small_products import in_pieces, times, transposed_times
from graphc.lazy import np
from graphc.types import Array, Context, Gradient

SHARED_FROM = 1 << 17
"""Elements of a matrix that is shared."""


def dense(context: Context, x: Array, w: Array) -> tuple[Array, Array]:
    """x @ w, and what `dense_gradients` wants of x: of a shared matrix the inputs of the own rows by all examples;
    where the gradient comes as its factors the first part keeps the inputs of all rows."""
    if w.size < SHARED_FROM:
        return np.matmul(x, w, out=context.empty((len(x), w.shape[1]), x.dtype)), x
    everyones = context.gather(x)
    own = _rows(len(w), context.part, len(everyones))
    if context.factors and context.part == 0:
        inputs = _side_by_side(context, everyones)
        own_inputs = inputs[own]
    else:
        inputs = own_inputs = _side_by_side(context, [part[:, own] for part in everyones])
    share = context.empty((w.shape[1], inputs.shape[1]), x.dtype)
    transposed_times(w[own], own_inputs, out=share)

    examples = _examples(context, everyones)
    first, *others = (share[:, examples].T for share in context.gather(share))
    y = context.empty(first.shape, x.dtype)
    y[...] = first
    for other in others:
        y += other
    return y, inputs


def dense_gradients(
    context: Context, inputs: Array, dy: Array, w: Array, of_weights: bool = True
) -> tuple[Array | None, Gradient | None]:
    """dy @ w.T, if the context asks for it, and x.T @ dy, which of a shared matrix the first part has for all.

    `inputs` are what `dense` gave.
    """
    dx: Array | None = None
    dw: Gradient | None = None
    if w.size < SHARED_FROM:
        if of_weights:
            dw = np.matmul(inputs.T, dy, out=context.empty(w.shape, dy.dtype))
        if context.input_gradient:
            dx = np.matmul(dy, w.T, out=context.empty((len(dy), len(w)), dy.dtype))
        return dx, dw

    everyones = context.gather(dy)
    own = _rows(len(w), context.part, len(everyones))
    columns = _side_by_side(context, everyones)  # before parts meet again
    if of_weights and context.factors:
        dw = OuterProduct(inputs.T, _joined(context, everyones)) if context.part == 0 else None
    elif of_weights:
        dw = whole = context.common(w.shape, dy.dtype)
        np.matmul(inputs, columns.T, out=whole[own])
    found = None
    if context.input_gradient:
        found = context.empty((own.stop - own.start, columns.shape[1]), dy.dtype)
        times(w[own], columns, out=found)
    pieces = context.gather(found)  # by now every row of dw is there
    if context.input_gradient:
        dx = context.empty((len(dy), len(w)), dy.dtype)
        examples = _examples(context, everyones)
        for part, piece in enumerate(pieces):
            dx[:, _rows(len(w), part, len(pieces))] = piece[:, examples].T
    return dx, dw if context.part == 0 else None


def _rows(count: int, part: int, parts: int) -> slice:
    """A part's, of a matrix with so many."""
    return slice(count * part // parts, count * (part + 1) // parts)


def _examples(context: Context, everyones: list[Array]) -> slice:
    """Which of all examples are this part's."""
    before = sum(map(len, everyones[: context.part]))
    return slice(before, before + len(everyones[context.part]))


def _joined(context: Context, parts: list[Array]) -> Array:
    """All examples' vectors."""
    if len(parts) == 1:
        return parts[0]
    shape = (sum(map(len, parts)), parts[0].shape[1])
    return np.concatenate(parts, out=context.empty(shape, parts[0].dtype))


def _side_by_side(context: Context, parts: list[Array]) -> Array:
    """All examples' vectors as columns."""
    count = sum(map(len, parts))
    if not in_pieces(count):
        return _joined(context, parts).T
    columns = context.empty((parts[0].shape[1], count), parts[0].dtype)
    np.concatenate(parts, out=columns.T)
    return columns
