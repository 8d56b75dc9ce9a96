"""Winograd's F(4×4, r×r), for three or five taps: per tile of 4×4 outputs 36 products instead of 144, 64 of 400.

`winograd` along both axes: y = A [(G g G') * (B d B')] A' for a tile d of the image. What makes the many small
products worth while is that every step is one call over many tiles: images are taken apart into the tile's columns
once, and then lie [column][image][row][tile][channel], so that the transforms are products of a small matrix with
long rows, and each of the 36 products has tiles × channels times channels × filters.

Numbers grow more than in one dimension: float32 stays within 1e-5 of the largest value of the direct sum, where one
dimension stays within 3e-6.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.kernels.chunks import chunks
from graphc.kernels.unfold import Grid, copy_strided, pad_images, strided
from graphc.kernels.winograd import TILE, matrices
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 5 << 18
"""Of the transformed images of one chunk."""
LEAST_TILES = 96
"""Rows of one product: fewer would not pay for reading the filters."""
LEAST_CHANNELS = {3: 48, 5: 32}
"""By the taps: narrower images cost more to transform than is saved against one dimension."""


def suits(grid: Grid, channels: int, filters: int) -> bool:
    """Three or five taps both ways at stride 1, wide enough, and few rows and columns lost at the rim."""
    dense = set(grid.kernel) <= {3, 5} and grid.stride == grid.dilation == (1, 1)
    (rows, columns), (height, width) = _tiles(grid), grid.output
    useful = height * width >= 0.6 * rows * columns * TILE * TILE
    return dense and useful and min(channels, filters) >= LEAST_CHANNELS[max(grid.kernel)]


def conv2d(context: Context, x: Array, w: Array, grid: Grid) -> Array:
    """`kernels.conv.conv2d` of one group."""
    (_, _, down), (_, _, along) = _matrices(grid, x)
    filters = _transform_filters(context, w)
    across, points, _, outputs = filters.shape
    y = context.empty((len(x), *grid.output, outputs), x.dtype)

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


def grad_weights(context: Context, x: Array, dy: Array, w_shape: tuple[int, ...], grid: Grid) -> Array:
    """`kernels.conv.conv2d_grad_weights` of one group."""
    (_, filters_down, down), (_, filters_along, along) = _matrices(grid, x)
    rows, columns = _tiles(grid)
    bare = Grid.of(grid.output, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))

    total: Array | None = None
    for part in _chunks(grid, x):
        tiles = _transform_images(context, x[part], grid)
        padded = pad_images(context, dy[part], bare, rows * TILE, columns * TILE)
        products = _transform(context, padded, down.T, along.T, rows, columns)
        found = context.empty((*tiles.shape[:2], *w_shape[2:]), x.dtype)
        np.matmul(tiles.swapaxes(2, 3), products, out=found)
        if total is None:
            total = found
        else:
            total += found
        del tiles, padded, products, found
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
