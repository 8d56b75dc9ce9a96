"""Sums and affine maps a channel, in chunks that stay in the cache while several operations pass over them.

Arrays are batch first, channels last. Few channels are handled as if several pixels were one, so that the inner
loops stay long; column sums are products with a row of ones, which run at the speed of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.kernels.chunks import chunks
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Of one array: three of them fit one core's second-level cache."""
WIDTH = 512
"""Channels are repeated up to about this many columns."""


def moments(context: Context, x: Array) -> tuple[int, Array, Array]:
    """Pixels, mean and biased variance of each channel over all parts of the batch, each chunk about its own mean."""
    channels = x.shape[-1]

    found = []
    for (rows,) in _chunks(x):
        count = rows.size // channels
        ones = np.ones(len(rows), x.dtype)
        mean = _narrow(ones @ rows, channels) / count
        centred = np.subtract(rows, _repeat(mean, rows), out=context.empty(rows.shape, x.dtype))
        centred *= centred
        found.append((count, mean, _narrow(ones @ centred, channels)))
    parts = [chunk for chunks_of_part in context.gather(found) for chunk in chunks_of_part]
    counts = np.array([count for count, _, _ in parts], np.float64)[:, None]
    means = np.array([mean for _, mean, _ in parts], np.float64)
    mean = (counts * means).sum(axis=0) / counts.sum()
    squares = np.array([squared for _, _, squared in parts], np.float64) + counts * (means - mean) ** 2
    pixels = int(counts.sum())
    return pixels, mean.astype(x.dtype), (squares.sum(axis=0) / pixels).astype(x.dtype)


def scale_and_shift(context: Context, x: Array, factor: Array, offset: Array, floor: float | None = None) -> Array:
    """x*factor + offset, nowhere below `floor`."""
    y = context.empty(x.shape, x.dtype)

    for rows, out in _chunks(x, y):
        np.multiply(rows, _repeat(factor, rows), out=out)
        np.add(out, _repeat(offset, rows), out=out)
        if floor is not None:
            np.maximum(out, floor, out=out)
    return y


def centred_sums(context: Context, dy: Array, x: Array, mean: Array, above: Array | None = None) -> tuple[Array, Array]:
    """Sums a channel, over this part of the batch, of dy and of dy*(x - mean); dy counts where `above` is positive."""
    channels = x.shape[-1]
    first, second = np.zeros((2, channels), np.float64)
    for rows, dy_rows, *mask in _chunks(x, dy, *([] if above is None else [above])):
        given = _passed(context, dy_rows, *mask)
        ones = np.ones(len(rows), x.dtype)
        product = np.subtract(rows, _repeat(mean, rows), out=context.empty(rows.shape, x.dtype))
        product *= given
        first += _narrow(ones @ given, channels)
        second += _narrow(ones @ product, channels)
    return first.astype(x.dtype), second.astype(x.dtype)


def combine(
    context: Context, dy: Array, by: Array, x: Array, factor: Array, offset: Array, above: Array | None = None
) -> Array:
    """dy*by + x*factor + offset; dy counts where `above` is positive."""
    out = context.empty(x.shape, x.dtype)
    for dy_rows, rows, target, *mask in _chunks(dy, x, out, *([] if above is None else [above])):
        other = np.multiply(rows, _repeat(factor, rows), out=context.empty(rows.shape, x.dtype))
        other += _repeat(offset, rows)
        np.multiply(_passed(context, dy_rows, *mask), _repeat(by, rows), out=target)
        np.add(target, other, out=target)
    return out


def _passed(context: Context, dy: Array, above: Array | None = None) -> Array:
    """dy where `above` is positive, else nothing; all of dy without `above`."""
    if above is None:
        return dy
    positive = np.greater(above, 0, out=context.empty(dy.shape, bool))
    return np.multiply(dy, positive, out=context.empty(dy.shape, dy.dtype))


def _chunks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape as matrices of whole pixels, several to a row where channels are few."""
    channels = arrays[0].shape[-1]
    pixels = arrays[0].size // channels
    together = 1
    while 2 * together * channels <= WIDTH and pixels % (2 * together) == 0:
        together *= 2
    matrices = [array.reshape(-1, together * channels) for array in arrays]
    for rows in chunks(matrices[0], CHUNK_BYTES):
        yield tuple(matrix[rows] for matrix in matrices)


def _repeat(vector: Array, rows: Array) -> Array:
    """A vector of channels for rows of several pixels."""
    times = rows.shape[1] // len(vector)
    return vector if times == 1 else np.concatenate((vector,) * times)


def _narrow(sums: Array, channels: int) -> Array:
    """Column sums of rows of several pixels, a channel."""
    total: Array = sums.reshape(-1, channels).sum(axis=0)
    return total
