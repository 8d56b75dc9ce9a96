"""Winograd's F(4×4, r×r), for three or five taps: per tile of 4×4 outputs 36 products instead of 144, 64 of 400.

Lavin & Gray 2015, sections 4 and 4.3: `winograd_1d` along both axes, y = A [(G g G') * (B d B')] A' for a tile d of the
image. What makes the many small products worth while is that every step is one call over many tiles:

1. Filters (`_transform_filters`): G along the height, G along the width: across × down × C × F, a matrix C × F for
   each of the 36 (or 64) points.
2. Images (`_transform`) are taken apart into the tile's columns once, and then lie
   [column][image][row][tile][channel], so that the transforms are products of a small matrix with long rows: B along
   the width, then B along the height, where tiles overlap by strides alone.
3. Each point's product has tiles × channels times channels × filters: sums over channels are done before anything is
   transformed back, which is where the algorithm saves.
4. A along the height, then along the width, and the tiles' pixels are put together as images (`_put_together`).

Numbers grow more than in one dimension: float32 stays within 1e-5 of the largest value of the direct sum, where one
dimension stays within 3e-6. So it is for training alone.

Measured (docs/performance.md). OpenBLAS multiplies such small matrices without packing them: 240 GFLOP/s a core at
128×64×64, as long as a chunk stays in the second-level cache. The transforms are half of the time. Against one
dimension it is 1.3 to 1.4 times as fast on the VGG-like net's convolutions and on resnet20's 64 channels, as fast at 32
channels and slower below; of five taps it is faster from 32 channels on. On the Xeon, with larger products, the same
idea ran at half the speed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.algorithm import ConvAlgorithm, Verdict
from graphc.kernels.conv.cook_toom import matrices
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.unfold import Grid, copy_strided, pad_images, strided
from graphc.lazy import np
from graphc.types import Array, Context

TILE = 4
"""Rows and columns of outputs that are made together."""
CHUNK_BYTES = 5 << 18
"""Of the transformed images of one chunk."""
LEAST_TILES = 96
"""Rows of one product: fewer would not pay for reading the filters."""
LEAST_CHANNELS = {3: 48, 5: 32}
"""By the taps: narrower images cost more to transform than is saved against one dimension."""
LEAST_USE = 0.6
"""The share of the tiles' pixels that are pixels of the image."""


class Winograd2d(ConvAlgorithm):
    name: ClassVar[str] = "winograd_2d"
    transforms: ClassVar[bool] = True

    def supports(self, problem: ConvProblem) -> Verdict:
        yes = problem.is_dense and problem.transposed is not None and set(problem.geometry.kernel) <= {3, 5}
        return Verdict(yes, "3 or 5 taps each way, one group, stride 1, no dilation, padding below the window only")

    def pays(self, problem: ConvProblem) -> Verdict:
        """In training, which bears its rounding, wide enough, and few rows and columns lost at the rim."""
        grid = problem.geometry
        (rows, columns), (height, width), (kh, kw) = _tiles(grid), grid.output, grid.kernel
        fits = height * width >= LEAST_USE * rows * columns * TILE * TILE
        wide = min(problem.channels, problem.filters) >= LEAST_CHANNELS[max(kh, kw)]
        points = (TILE + kh - 1) * (TILE + kw - 1)
        reason = f"training, 4×4 pixels of {kh}×{kw} taps by {points} products in place of {16 * kh * kw}"
        return Verdict(problem.training and fits and wide, reason)

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        grid = problem.geometry
        (_, _, down), (_, _, along) = _matrices(grid, x)
        filters = _transform_filters(context, w)
        across, points, _, outputs = filters.shape
        y = context.empty(problem.y_shape, x.dtype)

        for part in _chunks(grid, x):
            tiles = _transform_images(context, x[part], grid)
            products = context.empty((*tiles.shape[:3], outputs), x.dtype)
            np.matmul(tiles, filters, out=products)
            del tiles
            half = context.empty((across, TILE, products.shape[2] * outputs), x.dtype)
            np.matmul(down, products.reshape(across, points, -1), out=half)
            pixels = context.empty((TILE, TILE, half.shape[2]), x.dtype)
            np.matmul(along, half.swapaxes(0, 1), out=pixels)
            del half, products
            _put_together(context, pixels, grid, out=y[part])
            del pixels
        return y

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """G' [(B d B') * (A' dy A)] G: summed over tiles as products, and transformed back once."""
        grid, w_shape = problem.geometry, problem.w_shape
        (_, filters_down, down), (_, filters_along, along) = _matrices(grid, x)
        rows, columns = _tiles(grid)
        bare = Grid.of(grid.output, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))

        total: Array | None = None
        for part in _chunks(grid, x):
            tiles = _transform_images(context, x[part], grid)
            padded = pad_images(context, dy[part], bare, rows * TILE, columns * TILE)
            products = _transform(context, padded, down.T, along.T, rows, columns)
            product = context.empty((*tiles.shape[:2], *w_shape[2:]), x.dtype)
            np.matmul(tiles.swapaxes(2, 3), products, out=product)
            if total is None:
                total = product
            else:
                total += product
            del tiles, padded, products, product
        assert total is not None
        half = (filters_along.T @ total.reshape(len(total), -1)).reshape(w_shape[1], total.shape[1], -1)
        return np.ascontiguousarray((filters_down.T @ half).swapaxes(0, 1)).reshape(w_shape)


def _transform_filters(context: Context, w: Array) -> Array:
    """G g G': across × down × C × F."""
    kh, kw, inputs, outputs = w.shape
    down, along = matrices(TILE, kh, w.dtype)[1], matrices(TILE, kw, w.dtype)[1]
    half = context.empty((len(down), kw, inputs * outputs), w.dtype)
    np.matmul(down, w.reshape(kh, -1), out=half.reshape(len(down), -1))
    filters = context.empty((len(along), len(down), inputs, outputs), w.dtype)
    np.matmul(along, half, out=filters.reshape(len(along), len(down), -1).swapaxes(0, 1))
    return filters


def _transform_images(context: Context, x: Array, grid: Grid) -> Array:
    """B d B': across × down × tiles × C."""
    (down, _, _), (along, _, _) = _matrices(grid, x)
    (rows, columns), (kh, kw) = _tiles(grid), grid.kernel
    padded = pad_images(context, x, grid, rows * TILE + kh - 1, columns * TILE + kw - 1)
    return _transform(context, padded, down, along, rows, columns)


def _transform(context: Context, padded: Array, down: Array, along: Array, rows: int, columns: int) -> Array:
    """down * tile * along' for tiles that begin TILE pixels after another: across × down × tiles × C."""
    count, height, _, channels = padded.shape
    n, h, w, c = padded.strides
    shape = (along.shape[1], count, height, columns, channels)
    pixels = copy_strided(context, padded, shape, (w, n, h, TILE * w, c))
    half = context.empty((len(along), count, height, columns * channels), padded.dtype)
    flat = (-1, count, height * columns * channels)
    np.matmul(along, pixels.reshape(flat).swapaxes(0, 1), out=half.reshape(flat).swapaxes(0, 1))

    q, n, h, c = half.strides
    shape = (len(along), count, rows, down.shape[1], columns * channels)
    found = context.empty((len(along), len(down), count, rows, columns * channels), padded.dtype)
    np.matmul(down, strided(half, shape, (q, n, TILE * h, h, c)), out=found.transpose(0, 2, 3, 1, 4))
    return found.reshape(len(along), len(down), -1, channels)


def _put_together(context: Context, pixels: Array, grid: Grid, out: Array) -> None:
    """From pixels by their place in a tile (down × across × tiles*F) to images."""
    (rows, columns), (n, height, width, channels) = _tiles(grid), out.shape
    lying = pixels.reshape(TILE, TILE, n, rows, columns, channels)
    r, s, image, row, column, c = lying.strides
    shape = (n, rows, TILE, columns, TILE, channels)
    whole = (height, width) == (rows * TILE, columns * TILE)
    images = copy_strided(context, lying, shape, (image, row, r, column, s, c), out if whole else None)
    if not whole:
        out[...] = images.reshape(n, rows * TILE, columns * TILE, channels)[:, :height, :width]


def _tiles(grid: Grid) -> tuple[int, int]:
    """Rows and columns of tiles in an image."""
    height, width = grid.output
    return -(-height // TILE), -(-width // TILE)


def _chunks(grid: Grid, x: Array) -> Iterator[slice]:
    rows, columns = _tiles(grid)
    (kh, kw), tiles = grid.kernel, rows * columns
    image_bytes = (TILE + kh - 1) * (TILE + kw - 1) * tiles * x.shape[3] * x.itemsize
    return chunks(x, CHUNK_BYTES, image_bytes, -(-LEAST_TILES // tiles))


def _matrices(grid: Grid, x: Array) -> tuple[tuple[Array, Array, Array], ...]:
    """Down and along the image."""
    return tuple(matrices(TILE, taps, x.dtype) for taps in grid.kernel)
