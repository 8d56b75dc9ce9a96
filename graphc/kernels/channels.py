"""Sums and affine maps a channel, in chunks that stay in the cache while several operations pass over them.

Arrays are batch first, channels last. Many pixels are handled as one row, so that the inner loops are long;
column sums are products with a row of ones, which run at the speed of memory: 0.045 ns an element, where
`sum(axis=0)` takes 0.1 to 1 (docs/performance.md says measured on what).

Tried without gain, in processor seconds of resnet20's step, trees by turns, other programs at work: chunk by chunk
inside the convolutions, batch norm's statistics taken behind one and its values, ReLU with them, made before the next,
and so on the way back. 16 passes over memory became 9, or 6 with values made anew on the way back, and a shard's
workspace 59 MB in place of 82; the step took 4 to 10 % longer. Chunks that the second-level cache holds are too short
for so many calls, and longer ones are in the third-level cache without that. Chunks of 512 kB here: 5 % longer, of 2
MB: as long. The factor of all gradients left to the convolution's weights, a pass less: as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from graphc.kernels.chunks import slices
from graphc.kernels.relu import relu, relu_backward
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Of one array: half of a second-level cache, or all of it. Shorter operations would leave more to the interpreter."""
WIDTH = 1 << 13
"""Numbers of one row; rows of 8192 broadcast a third faster than rows of 512."""
SUM_WIDTH = 1 << 9
"""Columns of a product that adds up rows: enough for long loops, and few left to add."""
FAR = 16
"""Squares of a channel over squares about its mean, from which on their difference has lost too many digits."""


def moments(context: Context, x: Array) -> tuple[int, Array, Array]:
    """Pixels, mean [C] and biased variance [C] over all axes of x [N, …, C] but the last and over all shards of the
    batch, each chunk about its own mean."""
    channels = x.shape[-1]

    found = []
    for (rows,) in _chunks(x):
        count = rows.size // channels
        mean = _sums(rows, channels) / count
        work = context.empty(rows.shape, x.dtype)
        squares = _sums(np.square(rows, out=work), channels)
        about_mean = squares - count * mean * mean
        if (squares > FAR * about_mean).any():
            np.subtract(rows, _row(mean, x)[: rows.shape[1]], out=work)
            about_mean = _sums(np.square(work, out=work), channels)
        found.append((np.full(channels, count), mean, about_mean))
    every = np.concatenate(context.all_gather(np.array(found, np.float64)))
    counts, means, squares = every.swapaxes(0, 1)
    pixels = counts.sum(axis=0)
    mean = (counts * means).sum(axis=0) / pixels
    squares = squares + counts * (means - mean) ** 2
    return int(pixels[0]), mean.astype(x.dtype), (squares.sum(axis=0) / pixels).astype(x.dtype)


def scale_and_shift(context: Context, x: Array, factor: Array, offset: Array, with_relu: bool = False) -> Array:
    """x*factor + offset, and with a ReLU nowhere below 0, as a new array of x's shape [N, …, C]; factor and offset are
    [C]."""
    y = context.empty(x.shape, x.dtype)
    factors, offsets = _row(factor, x), _row(offset, x)

    for rows, out in _chunks(x, y):
        width = rows.shape[1]
        np.multiply(rows, factors[:width], out=out)
        np.add(out, offsets[:width], out=out)
        if with_relu:
            relu(out, out)
    return y


def add_bias(x: Array, biases: Array, out: Array) -> None:
    """x + biases, [N, …, C] and [C], written into `out`, which may be x."""
    row = _row(biases, x)
    for rows, target in _chunks(x, out):
        np.add(rows, row[: rows.shape[1]], out=target)


def bias_gradient(dy: Array) -> Array:
    """The sum [C] of dy [N, …, C] over all axes but the last."""
    rows = dy.reshape(-1, dy.shape[-1])
    total: Array = np.ones(len(rows), dy.dtype) @ rows
    return total


def product_sums(context: Context, dy: Array, x: Array) -> tuple[Array, Array]:
    """Sums [C], over this part of the batch, of dy and of dy*x, both [N, …, C]."""
    zero = np.zeros(x.shape[-1], x.dtype)
    first, second, _ = backward_sums(context, dy, x, zero, zero, None)
    return first, second


def backward_sums(
    context: Context, dy: Array, x: Array, mean: Array, inverse: Array, y: Array | None
) -> tuple[Array, Array, Array]:
    """Sums [C], over this part of the batch, of dy and of dy*(x - mean), and that dy: what of it a ReLU lets pass whose
    value was y, as a new array, or dy itself without y.

    dy, x and y are [N, …, C], the mean and `inverse`, one over x's deviation, [C].
    """
    channels = x.shape[-1]
    given = dy if y is None else context.empty(dy.shape, dy.dtype)
    far = bool((np.square(mean * inverse) > FAR).any())
    means = _row(mean, x)
    first, second = np.zeros((2, channels), np.float64)
    for rows, dy_rows, given_rows, *above in _chunks(x, dy, given, *([] if y is None else [y])):
        for y_rows in above:
            relu_backward(context, dy_rows, y_rows, out=given_rows)
        total = _sums(given_rows, channels)
        if far:
            centered = np.subtract(rows, means[: rows.shape[1]], out=context.empty(rows.shape, x.dtype))
            second += _products(centered, given_rows, channels)
        else:
            second += _products(rows, given_rows, channels) - mean * total
        first += total
    return first.astype(x.dtype), second.astype(x.dtype), given


def combine(context: Context, dy: Array, by: Array, x: Array, factor: Array, offset: Array) -> Array:
    """dy*by + x*factor + offset as a new array: dy and x are [N, …, C], the others [C]."""
    out = context.empty(x.shape, x.dtype)
    bys, factors, offsets = (_row(vector, x) for vector in (by, factor, offset))
    for dy_rows, rows, target in _chunks(dy, x, out):
        width = rows.shape[1]
        other = np.multiply(rows, factors[:width], out=context.empty(rows.shape, x.dtype))
        other += offsets[:width]
        np.multiply(dy_rows, bys[:width], out=target)
        np.add(target, other, out=target)
    return out


def _chunks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape as matrices of many whole pixels a row; what does not fill a row comes last, as one."""
    width = _width(arrays[0])
    step = max(1, CHUNK_BYTES // (width * arrays[0].itemsize)) * width
    flat = [array.reshape(-1) for array in arrays]
    whole = arrays[0].size // width * width
    for some in slices(whole, step):
        yield tuple(array[some].reshape(-1, width) for array in flat)
    if whole < arrays[0].size:
        yield tuple(array[whole:].reshape(1, -1) for array in flat)


def _width(x: Array) -> int:
    channels = x.shape[-1]
    return int(channels * max(1, min(WIDTH, x.size) // channels))


def _row(vector: Array, x: Array) -> Array:
    """A number a channel, repeated for a whole row of x's pixels."""
    row = np.empty((_width(x) // len(vector), len(vector)), x.dtype)
    row[...] = vector
    return row.reshape(-1)


def _sums(rows: Array, channels: int) -> Array:
    """The sum of each channel over rows of several pixels."""
    together = math.gcd(rows.size // channels, max(1, SUM_WIDTH // channels))
    narrow = rows.reshape(-1, together * channels)
    total: Array = (np.ones(len(narrow), rows.dtype) @ narrow).reshape(-1, channels).sum(axis=0)
    return total


def _products(a: Array, b: Array, channels: int) -> Array:
    """The sum of each channel of a*b."""
    total: Array = np.einsum("ij,ij->j", a, b).reshape(-1, channels).sum(axis=0)
    return total
