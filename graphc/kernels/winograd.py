"""Winograd's F(4, 3) along the height, plain unfolding along the width.

Four outputs of three taps need six products instead of twelve. Per column of the image, with d six input rows
and g three filter rows:  y = A [(G g) * (B d)].  The width stays an ordinary sum, so each of the six products is
one matrix product over all taps of a row: large enough to run at full speed, which the 36 small ones of the
two-dimensional form do not, and the numbers grow less (float32 stays within 1e-5 of the direct sum).

Points 0, 1, -1, 2, -2 and infinity. The adjoints are the transposes: dg = G' [(B d) * (A' dy)].
"""

from __future__ import annotations

from typing import Any

from graphc.kernels.chunks import chunks, sum_in_order
from graphc.kernels.unfold import Grid, pad_images
from graphc.lazy import np
from graphc.types import Array, Context

TILE = 4
POINTS = 6
CHUNK_BYTES = 3 << 19
"""Columns of one chunk (six products' worth): they should stay in one core's second-level cache."""


def suits(grid: Grid, channels: int) -> bool:
    """Three taps down at stride 1, and few rows lost where four do not divide the height."""
    vertical = grid.kernel[0] == 3 and grid.stride[0] == grid.dilation[0] == 1
    height = grid.output[0]
    return vertical and channels >= 8 and height >= 0.7 * _tiles(grid) * TILE


def winograd_conv2d(context: Context, x: Array, w: Array, grid: Grid) -> Array:
    """`conv2d` of one group."""
    filters = _transform_filters(w)
    outputs = _matrices(x.dtype)[2]
    tiles, (height, width) = _tiles(grid), grid.output
    y = context.empty((len(x), height, width, w.shape[3]), x.dtype)

    def work(images: slice) -> None:
        for part in chunks(images, _column_bytes(grid, x), CHUNK_BYTES):
            columns = _columns(context, x[part], grid)
            products = context.empty((POINTS, columns.shape[1], w.shape[3]), x.dtype)
            np.matmul(columns, filters, out=products)
            del columns
            rows = products.reshape(POINTS, -1, width * w.shape[3]).swapaxes(0, 1)
            whole = height == tiles * TILE
            target = y[part] if whole else context.empty((part.stop - part.start, tiles * TILE, *y.shape[2:]), x.dtype)
            np.matmul(outputs, rows, out=target.reshape(len(rows), TILE, -1))
            if not whole:
                y[part] = target[:, :height]

    context.each_slice(work, len(x))
    return y


def winograd_grad_weights(context: Context, x: Array, dy: Array, w_shape: tuple[int, ...], grid: Grid) -> Array:
    """`conv2d_grad_weights` of one group."""
    _, from_filters, outputs = _matrices(x.dtype)
    tiles, (height, width) = _tiles(grid), grid.output

    def work(images: slice) -> Array:
        total: Array | None = None
        for part in chunks(images, _column_bytes(grid, x), CHUNK_BYTES):
            target = dy[part]
            if height != tiles * TILE:
                target = context.empty((part.stop - part.start, tiles * TILE, *dy.shape[2:]), x.dtype)
                target[:, :height] = dy[part]
                target[:, height:] = 0
            rows = target.reshape(-1, TILE, width * dy.shape[3])
            products = context.empty((POINTS, len(rows), width * dy.shape[3]), x.dtype)
            np.matmul(outputs.T, rows, out=products.swapaxes(0, 1))
            columns = _columns(context, x[part], grid)
            gradient = context.empty((POINTS, columns.shape[2], dy.shape[3]), x.dtype)
            np.matmul(columns.swapaxes(1, 2), products.reshape(POINTS, -1, dy.shape[3]), out=gradient)
            if total is None:
                total = gradient
            else:
                total += gradient
        assert total is not None
        return total

    total = sum_in_order(context, context.each_slice(work, len(x)))
    return (from_filters.T @ total.reshape(POINTS, -1)).reshape(w_shape)


def _columns(context: Context, x: Array, grid: Grid) -> Array:
    """B d, unfolded along the width: points × (n tiles W') × (kw C)."""
    tiles, (_, width), channels = _tiles(grid), grid.output, x.shape[3]
    padded = pad_images(context, x, grid, rows=tiles * TILE + 2)
    n, h, w, c = padded.strides
    rows = np.lib.stride_tricks.as_strided(
        padded, (len(x), tiles, POINTS, padded.shape[2] * channels), (n, TILE * h, h, c)
    )
    transformed = context.empty((POINTS, len(x), tiles, padded.shape[2], channels), x.dtype)
    flat = transformed.reshape(*transformed.shape[:3], -1)
    np.matmul(_matrices(x.dtype)[0], rows, out=np.moveaxis(flat, 0, 2))
    p, n, t, w, c = transformed.strides
    windows = np.lib.stride_tricks.as_strided(
        transformed,
        (POINTS, len(x), tiles, width, grid.kernel[1], channels),
        (p, n, t, w * grid.stride[1], w * grid.dilation[1], c),
    )
    columns = context.empty(windows.shape, x.dtype)
    columns[...] = windows
    return columns.reshape(POINTS, -1, grid.kernel[1] * channels)


def _transform_filters(w: Array) -> Array:
    """G g: points × (kw C) × F."""
    return (_matrices(w.dtype)[1] @ w.reshape(3, -1)).reshape(POINTS, -1, w.shape[3])


def _tiles(grid: Grid) -> int:
    return -(-grid.output[0] // TILE)


def _column_bytes(grid: Grid, x: Array) -> int:
    """Of one image."""
    return POINTS * _tiles(grid) * grid.output[1] * grid.kernel[1] * int(x.shape[3]) * x.itemsize


def _matrices(dtype: Any) -> tuple[Array, Array, Array]:
    """B (6 × 6), G (6 × 3) and A (4 × 6)."""
    inputs = [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
    filters = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
    outputs = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    return np.array(inputs, dtype), (np.array(filters) / 24).astype(dtype), np.array(outputs, dtype)
