"""Winograd's F(4, r) along the height, for three or five taps; plain unfolding along the width.

Four outputs of three taps need six products instead of twelve, of five taps eight instead of twenty. Per column of
the image, with input rows d and filter rows g:  y = A [(G g) * (B d)].  The width stays an ordinary sum, so each
product is one matrix product over all taps of a row: large enough to run at full speed, which the 36 small ones of
the two-dimensional F(4x4, 3x3) do not, and numbers grow less (float32 stays within 1e-5 of the direct sum).

The adjoint is the transpose: dg = G' [(B d) * (A' dy)].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

from graphc.kernels.chunks import chunks
from graphc.kernels.unfold import Grid, pad_images, strided
from graphc.lazy import np
from graphc.types import Array, Context

TILE = 4
POINTS = [Fraction(point) for point in ("0", "1", "-1", "2", "-2", "1/2", "-1/2")]
"""Where polynomials are evaluated, besides infinity; TILE + taps - 2 of them."""
CHUNK_BYTES = 3 << 20
"""Columns of one chunk, of all products. One product's fit a second-level cache; smaller chunks would be a little
better for one thread, but many short operations keep several threads waiting for the interpreter's lock."""
LEAST_ROWS = 256
"""Of one product: fewer would not pay for reading the filters."""


def suits(grid: Grid, channels: int) -> bool:
    """Three or five taps down at stride 1, and few rows lost where four do not divide the height."""
    vertical = grid.kernel[0] in (3, 5) and grid.stride[0] == grid.dilation[0] == 1
    height = grid.output[0]
    return vertical and channels >= 8 and height >= 0.7 * _tiles(grid) * TILE


def winograd_conv2d(context: Context, x: Array, w: Array, grid: Grid) -> Array:
    """`conv2d` of one group."""
    filters = _transform_filters(w)
    outputs = _matrices(grid.kernel[0], x.dtype)[2]
    tiles, (height, width) = _tiles(grid), grid.output
    y = context.empty((len(x), height, width, w.shape[3]), x.dtype)

    for part in _chunks(grid, x):
        columns = _columns(context, x[part], grid)
        products = context.empty((*columns.shape[:2], w.shape[3]), x.dtype)
        np.matmul(columns, filters, out=products)
        rows = products.reshape(len(products), -1, width * w.shape[3]).swapaxes(0, 1)
        whole = height == tiles * TILE
        target = y[part] if whole else context.empty((part.stop - part.start, tiles * TILE, *y.shape[2:]), x.dtype)
        np.matmul(outputs, rows, out=target.reshape(len(rows), TILE, -1))
        if not whole:
            y[part] = target[:, :height]
    return y


def winograd_grad_weights(context: Context, x: Array, dy: Array, w_shape: tuple[int, ...], grid: Grid) -> Array:
    """`conv2d_grad_weights` of one group."""
    _, from_filters, outputs = _matrices(grid.kernel[0], x.dtype)
    points = len(from_filters)
    tiles, (height, width) = _tiles(grid), grid.output

    total: Array | None = None
    for part in _chunks(grid, x):
        target = dy[part]
        if height != tiles * TILE:
            target = context.empty((part.stop - part.start, tiles * TILE, *dy.shape[2:]), x.dtype)
            target[:, :height] = dy[part]
            target[:, height:] = 0
        rows = target.reshape(-1, TILE, width * dy.shape[3])
        products = context.empty((points, len(rows), width * dy.shape[3]), x.dtype)
        np.matmul(outputs.T, rows, out=products.swapaxes(0, 1))
        columns = _columns(context, x[part], grid)
        gradient = context.empty((points, columns.shape[2], dy.shape[3]), x.dtype)
        np.matmul(columns.swapaxes(1, 2), products.reshape(points, -1, dy.shape[3]), out=gradient)
        if total is None:
            total = gradient
        else:
            total += gradient
    assert total is not None
    return (from_filters.T @ total.reshape(points, -1)).reshape(w_shape)


def _columns(context: Context, x: Array, grid: Grid) -> Array:
    """B d, unfolded along the width: points × (n tiles W') × (kw C)."""
    transform = _matrices(grid.kernel[0], x.dtype)[0]
    points, tiles, (_, width), channels = len(transform), _tiles(grid), grid.output, x.shape[3]
    padded = pad_images(context, x, grid, rows=tiles * TILE + grid.kernel[0] - 1)
    n, h, w, c = padded.strides
    rows = strided(padded, (len(x), tiles, points, padded.shape[2] * channels), (n, TILE * h, h, c))
    transformed = context.empty((points, len(x), tiles, padded.shape[2], channels), x.dtype)
    np.matmul(transform, rows, out=transformed.reshape(points, len(x), tiles, -1).transpose(1, 2, 0, 3))
    p, n, t, w, c = transformed.strides
    (_, stride), (_, dilation), kw = grid.stride, grid.dilation, grid.kernel[1]
    shape = (points, len(x), tiles, width, kw, channels)
    columns = context.empty(shape, x.dtype)
    columns[...] = strided(transformed, shape, (p, n, t, w * stride, w * dilation, c))
    return columns.reshape(points, -1, kw * channels)


def _transform_filters(w: Array) -> Array:
    """G g: points × (kw C) × F."""
    transform = _matrices(w.shape[0], w.dtype)[1]
    return (transform @ w.reshape(w.shape[0], -1)).reshape(len(transform), -1, w.shape[3])


def _tiles(grid: Grid) -> int:
    return -(-grid.output[0] // TILE)


def _chunks(grid: Grid, x: Array) -> Iterator[slice]:
    rows = _tiles(grid) * grid.output[1]
    image_bytes = (TILE + grid.kernel[0] - 1) * rows * grid.kernel[1] * x.shape[3] * x.itemsize
    return chunks(x, CHUNK_BYTES, image_bytes, -(-LEAST_ROWS // rows))


@cache
def _matrices(taps: int, dtype: Any) -> tuple[Array, Array, Array]:
    """B (points × points), G (points × taps) and A (TILE × points), by Cook and Toom."""
    points = POINTS[: TILE + taps - 2]
    inputs = [[*_product_of_roots(points[:j] + points[j + 1 :]), 0] for j in range(len(points))]
    scales = [math.prod(p - q for q in points if q != p) for p in points]
    filters = [[p**k / scale for k in range(taps)] for p, scale in zip(points, scales, strict=True)]
    outputs = [[p**i for p in points] + [int(i == TILE - 1)] for i in range(TILE)]
    at_infinity = [_product_of_roots(points)], [[0] * (taps - 1) + [1]]
    matrices = inputs + at_infinity[0], filters + at_infinity[1], outputs
    b, g, a = (np.array([[float(value) for value in row] for row in matrix], dtype) for matrix in matrices)
    return b, g, a


def _product_of_roots(roots: list[Fraction]) -> list[Fraction | int]:
    """Coefficients of the product of (x - root), the constant first."""
    found: list[Fraction | int] = [1]
    for root in roots:
        found = [high - root * low for high, low in zip([0, *found], [*found, 0], strict=True)]
    return found
