"""A convolution and the largest of every window behind it, block by block.

The convolution's whole output is never there, on the way back its gradient neither: a block is made, pooled and
forgotten in the cache, and what stays is a byte a window.
"""

from __future__ import annotations

from types import ModuleType

from graphc.kernels.conv import block_kernels
from graphc.kernels.pixels import Block, Chunk, Chunks, images_first, pixels_first
from graphc.kernels.pool import tile_max, tile_max_grad
from graphc.kernels.unfold import Grid, Pair
from graphc.types import Array, Context


def pooling_kernels(context: Context, x: Array, w: Array, grid: Grid, groups: int, window: Grid) -> ModuleType | None:
    """The kernels that can do it: in training, where windows tile the outputs and nobody wants gradients that the
    kernels do not make."""
    kernels = block_kernels(grid, w.shape, groups, len(x))
    if kernels is None or (context.input_gradient and not kernels.INPUT_GRADIENT):
        return None
    return kernels if context.training and window.is_tiling and window.padded == window.size else None


def conv_max_pool2d(
    context: Context, kernels: ModuleType, x: Array, w: Array, grid: Grid, window: Pair
) -> tuple[Array, list[Chunk], list[Array]]:
    """The largest of every window of the convolution, and for the way back what the kernels take of x and each block's
    winners."""
    (rows, columns), (height, width) = grid.output, window
    y = context.empty((len(x), rows // height, columns // width, w.shape[3]), x.dtype)
    winners = []

    def take(block: Block, pixels: Array) -> None:
        largest, places = tile_max(context, pixels, window)
        images_first(largest, out=block.pooled(window).of(y))
        winners.append(places)

    kept = []

    def images() -> Chunks:
        for part in kernels.prepared(context, x, w.shape, grid):
            kept.append(part)
            yield part

    kernels.outputs(context, images(), w, grid, window, take)
    return y, kept, winners


def conv_max_pool2d_gradients(
    context: Context,
    kernels: ModuleType,
    images: list[Chunk],
    dy: Array,
    w: Array,
    winners: list[Array],
    grid: Grid,
    window: Pair,
) -> tuple[Array | None, Array]:
    """Of x, if the context asks for it, and of w. `images` may be used up."""
    ahead = iter(winners)

    def slopes(block: Block) -> Array:
        pooled = pixels_first(context, block.pooled(window).of(dy))
        return tile_max_grad(context, pooled, next(ahead), window)

    gradients: tuple[Array | None, Array] = kernels.gradients(context, images, w, grid, window, slopes)
    return gradients
