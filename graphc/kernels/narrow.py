"""Convolution of images with few channels, the first layers', by unfolding along the width alone.

With the pixels first, and channels as images of their own, the kernel's columns side by side are a few copies of long
rows: [row][tap and channel][column and image]. What the window of one row of outputs sees is then a matrix that is
there already, kh*kw*C rows one after the other, and the next row's begins a few rows later.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from graphc.kernels.chunks import chunks
from graphc.kernels.pixels import Block, Chunk, Chunks, Slopes, Take, stretches
from graphc.kernels.unfold import Grid, Pair, strided
from graphc.lazy import np
from graphc.types import Array, Context

INPUT_GRADIENT = False
"""Whether `gradients` has that of the input."""
CHUNK_BYTES = 3 << 18
"""Of the unfolded images of one chunk."""
MOST_NUMBERS = 64
"""In a window, and half as many filters, up to which it pays."""


def suits(grid: Grid, w_shape: tuple[int, ...]) -> bool:
    kh, kw, inputs, filters = w_shape
    few = kw > 1 and kh * kw * inputs <= MOST_NUMBERS and 2 * filters <= MOST_NUMBERS
    return few and grid.stride == grid.dilation == (1, 1)


def prepared(context: Context, x: Array, w_shape: tuple[int, ...], grid: Grid) -> Chunks:
    """What the others take of x, a chunk of images at a time: the images, which are smaller than all made of them."""
    image_bytes = grid.padded[0] * w_shape[1] * x.shape[3] * grid.output[1] * x.itemsize
    return ((images, x[images]) for images in chunks(x, CHUNK_BYTES, image_bytes))


def outputs(context: Context, x: Chunks, w: Array, grid: Grid, window: Pair, take: Take) -> None:
    """`kernels.conv.conv2d` of one group, in blocks of whole windows."""
    filters = w.shape[3]
    for block, lines in _blocks(context, x, w.shape, grid, window):
        pixels = context.empty((len(lines), lines.shape[2], filters), w.dtype)
        np.matmul(lines.swapaxes(1, 2), w.reshape(-1, filters), out=pixels)
        take(block, pixels.reshape(len(lines), window[1], grid.output[1] // window[1], -1, filters))
        del pixels  # its memory is the next one's, still in the cache


def gradients(
    context: Context, x: list[Chunk], w: Array, grid: Grid, window: Pair, slopes: Slopes
) -> tuple[None, Array]:
    """Of w only, from those of the blocks that `outputs` gave."""
    filters = w.shape[3]
    dw = np.zeros((w.size // filters, filters), w.dtype)
    for block, lines in _blocks(context, x, w.shape, grid, window):
        dw += np.matmul(lines, slopes(block).reshape(len(lines), -1, filters)).sum(axis=0)
    return None, dw.reshape(w.shape)


def _blocks(
    context: Context, x: Chunks, w_shape: tuple[int, ...], grid: Grid, window: Pair
) -> Iterator[tuple[Block, Array]]:
    """Blocks and what their rows' windows see: rows × kh*kw*C × (columns by n)."""
    rows, columns = grid.output
    for images, pixels in x:
        unfolded = _unfold(context, pixels, grid, window[1])
        _, lines, line = unfolded.shape
        row, step, item = unfolded.strides
        windows = strided(unfolded, (rows, w_shape[0] * lines, line), (row, step, item))
        for some in stretches(rows, line * w_shape[3] * unfolded.itemsize, window[0]):
            yield Block(images, some, slice(0, columns)), windows[some]


def _unfold(context: Context, x: Array, grid: Grid, wide: int) -> Array:
    """Each row's taps along the width: rows × kw*C × (columns by n), columns sorted by their place in windows so wide.

    So are those of the padded images: the tap t of the outputs at one place reads one run of what is at place + t.
    """
    n, height, _, channels = x.shape
    (rows, columns), (top, _), (left, _) = grid.padded, *grid.pads
    windows, taps = grid.output[1] // wide, grid.kernel[1]
    shape = (rows, channels, wide, -(-columns // wide), n)
    padded, new = context.kept(("narrow", grid.size, grid.pads), shape, x.dtype)
    if new:
        padded[...] = 0  # what is around the images stays so
    for place in range(wide):
        first = (place - left) % wide
        pixels = x[:, :, first::wide].transpose(1, 3, 2, 0)
        before = (left + first) // wide
        padded[top : top + height, :, place, before : before + pixels.shape[2]] = pixels
    unfolded = context.empty((rows, taps, channels, wide, windows, n), x.dtype)
    for tap, place in itertools.product(range(taps), range(wide)):
        before, read = divmod(place + tap, wide)
        unfolded[:, tap, :, place] = padded[:, :, read, before : before + windows]
    return unfolded.reshape(rows, taps * channels, -1)
