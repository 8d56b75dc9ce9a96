"""Winograd's F(4, r) or F(8, 3) along the height, for three or five taps; an ordinary sum along the width.

Four outputs of three taps need six products instead of twelve, of five taps eight instead of twenty; eight outputs of
three taps need ten instead of 24. The more is saved, the more float32 loses: F(4, r) stays within 3e-6 of the largest
value of the direct sum, F(8, 3), which only training takes, within 1e-5. Per column of the image, with input rows d
and filter rows g:  y = A [(G g) * (B d)]. The adjoint is the transpose:  dg = G' [(B d) * (A' dy)].

Along the width nothing is unfolded. The transformed rows of all images lie one after the other, each with its
padding, as one line of pixels; a window of kw pixels is a run of numbers in it, and every kw-th run is the row of a
matrix that is there already. So kw products, each beginning one pixel later, make the outputs in turn; those of
windows that reach from one row into the next are made too, and left out.
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
"""Rows of outputs that are made together."""
LONG_TILE = 8
POINTS = [Fraction(point) for point in ("0", "1", "-1", "2", "-1/2", "-2", "1/2", "3/4", "-4/3")]
"""Where polynomials are evaluated, besides infinity; tile + taps - 2 of them."""
CHUNK_BYTES = 3 << 18
"""Of the transformed images of one chunk."""
LEAST_PIXELS = 512
"""Of one product: fewer would not pay for reading the filters."""


def suits(grid: Grid, channels: int) -> bool:
    """Three or five taps down at stride 1, and few rows lost where four do not divide the height."""
    dense = grid.kernel[0] in (3, 5) and grid.stride == grid.dilation == (1, 1)
    return dense and channels >= 8 and grid.output[0] >= 0.7 * _tiles(grid, TILE) * TILE


def conv2d(context: Context, x: Array, w: Array, grid: Grid) -> Array:
    """`kernels.conv.conv2d` of one group."""
    tile = _tile(context, grid)
    _, from_filters, down = matrices(tile, grid.kernel[0], x.dtype)
    points, filters = len(from_filters), w.shape[3]
    transformed = (from_filters @ w.reshape(len(w), -1)).reshape(points, -1, filters)
    y = context.empty((len(x), *grid.output, filters), x.dtype)

    for part in _chunks(grid, tile, x):
        line = _Line(grid, tile, part.stop - part.start)
        pixels = _transform(context, x[part], grid, line)
        products = context.empty((points, line.runs, line.kw, filters), x.dtype)
        for k in range(line.kw):
            np.matmul(line.runs_from(pixels, k), transformed, out=products[:, :, k])
        rows = line.rows_of(products).transpose(1, 2, 0, 3)
        for tiles, outputs, used in _whole_and_rest(tile, y[part]):
            np.matmul(down[:used], rows[:, tiles, :, : outputs.shape[3]], out=outputs)
        del pixels, products, rows
    return y


def grad_weights(context: Context, x: Array, dy: Array, w_shape: tuple[int, ...], grid: Grid) -> Array:
    """`kernels.conv.conv2d_grad_weights` of one group."""
    tile = _tile(context, grid)
    _, from_filters, down = matrices(tile, grid.kernel[0], x.dtype)
    points, filters = len(from_filters), w_shape[3]
    width = grid.output[1] * filters

    total = np.zeros((points, w_shape[1] * w_shape[2], filters), x.dtype)
    for part in _chunks(grid, tile, x):
        line = _Line(grid, tile, part.stop - part.start)
        pixels = _transform(context, x[part], grid, line)
        products = context.empty((points, line.runs, line.kw, filters), x.dtype)
        products.reshape(points, -1)[:, line.pixels * filters :] = 0
        rows = line.rows_of(products)
        rows[..., width:] = 0  # windows that reach into the next row
        for tiles, gradients, used in _whole_and_rest(tile, dy[part]):
            np.matmul(down[:used].T, gradients, out=rows[:, :, tiles, :width].transpose(1, 2, 0, 3))
        for k in range(line.kw):
            total += np.matmul(line.runs_from(pixels, k).swapaxes(1, 2), products[:, :, k])
        del pixels, products, rows
    return (from_filters.T @ total.reshape(points, -1)).reshape(w_shape)


class _Line:
    """The transformed rows of some images, one after the other, and its windows."""

    def __init__(self, grid: Grid, tile: int, images: int) -> None:
        self.tile = tile
        self.kw = grid.kernel[1]
        self.shape = (images, _tiles(grid, tile), grid.padded[1])
        self.pixels = math.prod(self.shape)
        self.runs = -(-self.pixels // self.kw)
        """Windows that begin at every kw-th pixel."""

    @property
    def length(self) -> int:
        """Pixels with those behind the end that the last windows read."""
        return self.runs * self.kw + self.kw - 1

    def rows_of(self, pixels: Array) -> Array:
        """points × images × tiles × (a row's pixels and their channels), of an array with the line's pixels."""
        images, tiles, width = self.shape
        row = width * pixels.shape[-1] * pixels.itemsize
        strides = (pixels.strides[0], tiles * row, row, pixels.itemsize)
        return strided(pixels, (len(pixels), images, tiles, row // pixels.itemsize), strides)

    def runs_from(self, pixels: Array, first: int) -> Array:
        """Every kw-th window from a pixel on, as the rows of matrices: points × runs × kw*C."""
        pixel = pixels.shape[2] * pixels.itemsize
        strides = (pixels.strides[0], self.kw * pixel, pixels.itemsize)
        return strided(pixels, (len(pixels), self.runs, self.kw * pixels.shape[2]), strides, first * pixel)


def _transform(context: Context, x: Array, grid: Grid, line: _Line) -> Array:
    """B d: points × the line's pixels × C."""
    into = matrices(line.tile, grid.kernel[0], x.dtype)[0]
    padded = pad_images(context, x, grid, line.shape[1] * line.tile + grid.kernel[0] - 1)
    n, h, _, c = padded.strides
    tiles = strided(padded, (*line.shape[:2], len(into), padded[0, 0].size), (n, line.tile * h, h, c))
    pixels = context.empty((len(into), line.length, x.shape[3]), x.dtype)
    pixels[:, line.pixels :] = 0
    np.matmul(into, tiles, out=line.rows_of(pixels).transpose(1, 2, 0, 3))
    return pixels


def _whole_and_rest(tile: int, images: Array) -> Iterator[tuple[slice, Array, int]]:
    """Which tiles, images as n × tiles × rows × (W*C) there, and the rows of a tile: all, at the end what is left."""
    n, height, width, channels = images.shape
    whole, rest = divmod(height, tile)
    rows = images.reshape(n, height, width * channels)
    if whole:
        yield slice(whole), rows[:, : whole * tile].reshape(n, whole, tile, -1), tile
    if rest:
        yield slice(whole, whole + 1), rows[:, None, whole * tile :], rest


def _tile(context: Context, grid: Grid) -> int:
    """The rows of a tile; longer ones are less exact: in training, of three taps, where they need fewer products."""
    if not context.training or grid.kernel[0] > 3:
        return TILE
    return min((TILE, LONG_TILE), key=lambda tile: _tiles(grid, tile) * (tile + grid.kernel[0] - 1))


def _tiles(grid: Grid, tile: int) -> int:
    return -(-grid.output[0] // tile)


def _chunks(grid: Grid, tile: int, x: Array) -> Iterator[slice]:
    pixels = _tiles(grid, tile) * grid.padded[1]
    image_bytes = (tile + grid.kernel[0] - 1) * pixels * x.shape[3] * x.itemsize
    return chunks(x, CHUNK_BYTES, image_bytes, -(-LEAST_PIXELS // pixels))


@cache
def matrices(tile: int, taps: int, dtype: Any) -> tuple[Array, Array, Array]:
    """B (points × points), G (points × taps) and A (tile × points), by Cook and Toom."""
    points = POINTS[: tile + taps - 2]
    inputs = [[*_product_of_roots(points[:j] + points[j + 1 :]), 0] for j in range(len(points))]
    scales = [math.prod(p - q for q in points if q != p) for p in points]
    filters = [[p**k / scale for k in range(taps)] for p, scale in zip(points, scales, strict=True)]
    outputs = [[p**i for p in points] + [int(i == tile - 1)] for i in range(tile)]
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
