"""Winograd's F(4, r), F(8, 2) or F(8, 3) along the height, for two to five taps; an ordinary sum along the width.

Four outputs of three taps need six products instead of twelve, of five taps eight instead of twenty; eight outputs of
three taps need ten instead of 24. The more is saved, the more float32 loses: F(4, r) stays within 3e-6 of the largest
value of the direct sum, F(8, r), which only training takes, within 1.1e-5. Per column of the image, with input rows d
and filter rows g:  y = A [(G g) * (B d)], and for the gradient of the filters  dg = G' [(B d) * (A' dy)]; `cook_toom`
says where the matrices come from. (Lavin & Gray 2015, section 4, with one axis in place of two.)

1. Filters: G times kh × (kw*C*F), so that for each of the points there is a filter of one row, kw*C × F.
2. Images (`_transform`): B times the rows of every tile. A tile's rows overlap the next one's by kh - 1, which is a
   matter of strides: nothing is copied for it.
3. For each point the transformed rows are convolved along the width with the point's filter. Nothing is unfolded: the
   rows of all images lie one after the other, each with its padding, as one line of pixels (`_Line`). A window of kw
   pixels is a run of kw*C numbers in it, and every kw-th run is the row of a matrix that is there already. So kw
   products, each beginning one pixel later, make the outputs in turn; those of windows that reach from one row into
   the next are made too, and left out.
4. A times the products of every tile are its outputs; where the tile does not divide the height, the last tile's first
   few (`_whole_and_rest`).

Measured (docs/performance.md). Not unfolding along the width is 1.3 to 1.4 times as fast at 16 channels, and equal from
64 on. Transforms by 6×6 matrices, many in one call, take 9 µs for 390 kB, where a copy takes 4 and element-wise
operations 50. F(8, 3) needs a sixth less to transform than F(4, 3) and is a quarter faster at 32 channels, a tenth at
16: resnet20's step takes 58 ms in place of 65. F(7, 5) at 14×14 pixels is as fast as two dimensions and no faster.
Keeping the transformed images for the way back, where they are small, brought nothing that could be told from the
noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.algorithm import ConvAlgorithm, Verdict
from graphc.kernels.conv.cook_toom import matrices
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.unfold import Grid, pad_images, strided
from graphc.lazy import np
from graphc.types import Array, Context

TILE = 4
"""Rows of outputs that are made together."""
LONG_TILE = 8
CHUNK_BYTES = 3 << 18
"""Of the transformed images of one chunk. With 1 MB it was up to a third slower: powers of two meet in the same sets of
the cache."""
LEAST_PIXELS = 512
"""Of one product: fewer would not pay for reading the filters."""
LEAST_CHANNELS = 8
LEAST_USE = 0.7
"""The share of the tiles' rows that are rows of the image."""


class Winograd1d(ConvAlgorithm):
    name: ClassVar[str] = "winograd_1d"
    transforms: ClassVar[bool] = True

    def supports(self, problem: ConvProblem) -> Verdict:
        yes = problem.is_dense and problem.transposed is not None and 2 <= problem.geometry.kernel[0] <= 5
        return Verdict(yes, "2 to 5 taps down, one group, stride 1, no dilation, padding below the window only")

    def pays(self, problem: ConvProblem) -> Verdict:
        rows, taps = problem.geometry.output[0], problem.geometry.kernel[0]
        fits = rows >= LEAST_USE * _tiles(problem.geometry, TILE) * TILE
        tile = _tile(problem)
        reason = f"{tile} rows of {taps} taps by {tile + taps - 1} products in place of {tile * taps}"
        return Verdict(problem.channels >= LEAST_CHANNELS and fits, reason)

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        grid, tile = problem.geometry, _tile(problem)
        _, from_filters, down = matrices(tile, grid.kernel[0], x.dtype)
        points, filters = len(from_filters), w.shape[3]
        transformed = (from_filters @ w.reshape(len(w), -1)).reshape(points, -1, filters)
        y = context.empty(problem.y_shape, x.dtype)

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

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """The steps backwards: A' dy, for each point the sum of its windows times that, and G' at the end, once."""
        grid, tile = problem.geometry, _tile(problem)
        _, from_filters, down = matrices(tile, grid.kernel[0], x.dtype)
        points, filters = len(from_filters), problem.filters
        width = grid.output[1] * filters

        total = np.zeros((points, problem.w_shape[1] * problem.w_shape[2], filters), x.dtype)
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
        return (from_filters.T @ total.reshape(points, -1)).reshape(problem.w_shape)


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


def _tile(problem: ConvProblem) -> int:
    """The rows of a tile; longer ones are less exact: in training, of three taps, where they need fewer products."""
    grid = problem.geometry
    if not problem.training or grid.kernel[0] > 3:
        return TILE
    return min((TILE, LONG_TILE), key=lambda tile: _tiles(grid, tile) * (tile + grid.kernel[0] - 1))


def _tiles(grid: Grid, tile: int) -> int:
    return -(-grid.output[0] // tile)


def _chunks(grid: Grid, tile: int, x: Array) -> Iterator[slice]:
    pixels = _tiles(grid, tile) * grid.padded[1]
    image_bytes = (tile + grid.kernel[0] - 1) * pixels * x.shape[3] * x.itemsize
    return chunks(x, CHUNK_BYTES, image_bytes, -(-LEAST_PIXELS // pixels))
