"""Convolution of images with few channels, the first layers', by unfolding along the width alone.

Unfolding both ways (`unfolded`) makes kh*kw copies of runs of C numbers, which are very short runs for C of 1 or 3.
With the pixels first, and channels as images of their own, copies along the width are of long rows, and along the
height there are none, in three steps (partial unfolding, of one axis: compare "MEC", Cho & Brand 2017, which does so
for [image][row][column][channel]):

1. Padded images are laid as [row][channel][column][image]: a row of one channel is one run of columns × images.
2. For each tap t along the width and each channel the columns t, t + 1, … of every row are copied: [row][tap and
   channel][column and image], kw copies of long rows.
3. The window of the outputs in row r reads the rows r to r + kh - 1 of that, kh times kw*C lines. They lie one after
   the other: a matrix of kh*kw*C × (columns and images) that is there already, and the next row's begins kw*C lines
   later. Its transpose times the filters, kh*kw*C × F, are the outputs of the row, and a block of rows is one call.

Measured (docs/performance.md): as fast as unfolding for four neighboring outputs at once, which was there before, 1.4
times as fast for 3 channels and 5×5 taps; and its outputs come in blocks, which a pooling can read in the cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.algorithm import BlockwiseConvAlgorithm, Verdict
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.pixels import Block, Chunk, Chunks, Consume, OutputGradient, stretches
from graphc.kernels.unfold import Grid, Pair, strided
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 3 << 18
"""Of the unfolded images of one chunk."""
MOST_NUMBERS = 64
"""In a window, and half as many filters, up to which it pays."""


class FewChannels(BlockwiseConvAlgorithm):
    name: ClassVar[str] = "few_channels"

    def pays(self, problem: ConvProblem) -> Verdict:
        kh, kw, inputs, filters = problem.w_shape
        few = kw > 1 and kh * kw * inputs <= MOST_NUMBERS and 2 * filters <= MOST_NUMBERS
        return Verdict(few, f"{kh * kw * inputs} numbers in a window, {filters} filters: unfolded along the width only")

    def transform_input(self, context: Context, problem: ConvProblem, x: Array) -> Chunks:
        """The images as they are, which are smaller than all that is made of them."""
        grid = problem.geometry
        image_bytes = grid.padded[0] * grid.kernel[1] * problem.channels * grid.output[1] * x.itemsize
        return ((images, x[images]) for images in chunks(x, CHUNK_BYTES, image_bytes))

    def outputs(
        self, context: Context, problem: ConvProblem, x: Chunks, w: Array, window: Pair, consume: Consume
    ) -> None:
        columns = problem.geometry.output[1]
        for block, lines in _blocks(context, problem, x, window):
            pixels = context.empty((len(lines), lines.shape[2], problem.filters), w.dtype)
            np.matmul(lines.swapaxes(1, 2), w.reshape(-1, problem.filters), out=pixels)
            consume(block, pixels.reshape(len(lines), window[1], columns // window[1], -1, problem.filters))
            del pixels  # its memory is the next one's, still in the cache

    def block_gradients(
        self,
        context: Context,
        problem: ConvProblem,
        x: list[Chunk],
        window: Pair,
        output_gradient: OutputGradient,
        w: Array | None,
    ) -> tuple[None, Array]:
        """Of w only: every row's windows times the row's gradient, summed."""
        kh, kw, inputs, filters = problem.w_shape
        dw = np.zeros((kh * kw * inputs, filters), x[0][1].dtype)
        for block, lines in _blocks(context, problem, x, window):
            dw += np.matmul(lines, output_gradient(block).reshape(len(lines), -1, filters)).sum(axis=0)
        return None, dw.reshape(problem.w_shape)


def _blocks(context: Context, problem: ConvProblem, x: Chunks, window: Pair) -> Iterator[tuple[Block, Array]]:
    """Blocks and what their rows' windows see: rows × kh*kw*C × (columns by n)."""
    rows, columns = problem.geometry.output
    for images, pixels in x:
        unfolded = _unfold(context, pixels, problem.geometry, window[1])
        _, lines, line = unfolded.shape
        row, step, item = unfolded.strides
        windows = strided(unfolded, (rows, problem.geometry.kernel[0] * lines, line), (row, step, item))
        for some in stretches(rows, line * problem.filters * unfolded.itemsize, window[0]):
            yield Block(images, some, slice(0, columns)), windows[some]


def _unfold(context: Context, x: Array, grid: Grid, wide: int) -> Array:
    """Each row's taps along the width: rows × kw*C × (columns by n), columns sorted by their place in windows so wide.

    So are those of the padded images: the tap t of the outputs at one place reads one run of what is at place + t.
    """
    n, height, _, channels = x.shape
    (rows, columns), (top, _), (left, _) = grid.padded, *grid.pads
    windows, taps = grid.output[1] // wide, grid.kernel[1]
    shape = (rows, channels, wide, -(-columns // wide), n)
    padded, new = context.cached_buffer(("few_channels", grid.size, grid.pads), shape, x.dtype)
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
