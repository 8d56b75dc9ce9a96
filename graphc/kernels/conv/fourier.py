"""Convolution as products of spectra, for many taps, which cost no more than few, and small images.

Mathieu, Henaff & LeCun, "Fast Training of Convolutional Networks through FFTs", 2013: the spectrum of a convolution is
the product of the spectra. For each frequency, y's (images × filters) is x's (images × channels) times w's (channels ×
filters): one matrix product a frequency in place of one a tap. What is not as there:

*Transforms are matrix products*, not FFTs: axes are short (14 to 40 pixels), and a small matrix times long rows of
numbers, arrays lying [row][column][image][channel], is what BLAS is fastest at.

*Down the image* (`_down`) the spectrum is taken at odd multiples of half a frequency, f = (k + 1/2) / P (a generalized
transform: Bongiovanni, Corsini & Frosini, 1976). Of P real rows these are P/2 pairs of conjugates, of which one each is
kept: P/2 complex numbers with none that is real or there twice. What such a period wraps around changes its sign, but
meets padding only, since P is at least the height and the wider padding.

*Along the image* (`_along`) it is the ordinary spectrum of P columns: those of the rows are complex already, and have
no symmetry to gain from.

*A complex product takes three real ones* (Gauss; see Knuth, The Art of Computer Programming, 4.6.4): with ac, bd and
(a + b)(c + d), (a + bi)(c + di) = (ac - bd) + ((a + b)(c + d) - ac - bd) i. So `into` and `taps` make of every complex
number its real part, its imaginary part and their sum, the three are multiplied, and `out` combines the products.

Altogether, along each axis, y = out [(taps w) * (into x)] with three real matrices, and what has this form has as
gradients
    dw = taps' [(into x) * (out' dy)]        dx = into' [(taps w) * (out' dy)]
so that no inverse transform has to be written for them, and out' dy is made once for both.

A plane of 14×14 pixels with 5×5 taps takes 8 × 16 × 3 = 384 products, where a direct sum takes 4900. A row of the
spectrum is made, multiplied and taken back before the next one, in the same memory, which stays in the cache. float32
stays within 1e-6 of the largest value.

Measured (docs/performance.md says on what). Transforms run at 200 to 230 GFLOP/s, as products of a matrix of 48×28 with
rows of 512 numbers. Winograd in two dimensions takes 1024 products for the same plane, and four times the memory
between its steps. LeNet's second convolution took 7.5 ms of a step in each of two processes, and takes 3.3 with its
pooling, for which the way back begins with the rows that the way forward has made. 7×7 taps on 8 to 28 pixels are 3.5
to 5 times as fast as unfolded. At 20 pixels Winograd is faster for 5×5 taps (the choice changes at 17), and for 3×3 at
nearly all sizes, because transforms grow with the image. Where the window is the whole image (a dense layer written as
a convolution) unfolding is 2 to 3.5 times as fast. float32 stayed within 5e-7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.algorithm import BlockwiseConvAlgorithm, Verdict
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.pixels import (
    Block,
    Chunk,
    Chunks,
    Consume,
    OutputGradient,
    empty_padded_rows,
    hwnc_to_nhwc,
    nhwc_to_hwnc,
    stretches,
)
from graphc.kernels.unfold import Grid, Pair
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 19
"""Of one row of the spectra of a chunk's images, inputs or outputs, whichever are wider."""
LEAST_IMAGES = 16
"""Of a batch: fewer would not pay for transforming the filters."""
LEAST_CHANNELS = 6
"""Fewer cost more to transform than is saved."""
LEAST_TAPS = 5
"""Each way; with fewer, sums are not so much longer than transforms."""
LEAST_SAVING = 2
"""Times as many products of the direct sum: products of spectra run at half of its speed, with the transforms."""
RUN = 1 << 9
"""Numbers of a row for which BLAS's products with a small matrix are fastest."""


class Fourier(BlockwiseConvAlgorithm):
    name: ClassVar[str] = "fourier"
    transforms: ClassVar[bool] = True
    shares_gradients: ClassVar[bool] = True

    def pays(self, problem: ConvProblem) -> Verdict:
        """Many taps, padded images of at most 0.8 times as many pixels a side as there are taps (wider ones cost more
        to transform than is saved), and outputs for which there is something to save: a window that is the whole
        image has one, and is best taken as it is."""
        grid = problem.geometry
        (kh, kw), padded = grid.kernel, grid.padded
        small = min(kh, kw) >= LEAST_TAPS and 5 * max(padded) <= 4 * kh * kw
        many = min(problem.channels, problem.filters) >= LEAST_CHANNELS and problem.batch >= LEAST_IMAGES
        products = 3 * _rows_period(grid) // 2 * _columns_period(grid)
        direct = kh * kw * grid.output[0] * grid.output[1]
        reason = f"{kh}×{kw} taps on {padded[0]}×{padded[1]} pixels, padded: {products} products in place of {direct}"
        return Verdict(small and many and direct >= LEAST_SAVING * products, reason)

    def transform_input(self, context: Context, problem: ConvProblem, x: Array) -> Chunks:
        """The spectrum's rows down the image; each is taken along it when it is multiplied."""
        into = _down(problem.geometry, x.dtype).into
        for images in _chunks(problem, x):
            yield images, _rows_of(context, into, nhwc_to_hwnc(context, x[images]))

    def outputs(
        self, context: Context, problem: ConvProblem, x: Chunks, w: Array, window: Pair, consume: Consume
    ) -> None:
        grid = problem.geometry
        down, along = _down(grid, w.dtype), _along(grid, window[1], w.dtype)
        taps = _rows_of(context, down.taps, w)
        for images, rows in x:
            products = _empty_rows(context, len(rows), grid.output[1], (rows.shape[2], w.shape[3]), w.dtype)
            _multiply(context, along, rows, taps, out=products)
            del rows
            for block, parts in _blocks(products, grid, images, window):
                pixels = empty_padded_rows(context, (len(down.out), *parts.shape[1:]), w.dtype)
                _times(down.out, parts, out=pixels)
                consume(block, pixels)
                del pixels  # its memory is the next one's, still in the cache
            del products, parts

    def block_gradients(
        self,
        context: Context,
        problem: ConvProblem,
        x: list[Chunk],
        window: Pair,
        output_gradient: OutputGradient,
        w: Array | None,
    ) -> tuple[Array | None, Array]:
        """dx goes back from the memory of x's own rows, chunk by chunk."""
        grid, dtype = problem.geometry, x[0][1].dtype
        down, along = _down(grid, dtype), _along(grid, window[1], dtype)
        taps = None if w is None else _rows_of(context, down.taps, np.ascontiguousarray(w.swapaxes(2, 3)))
        dx: Array | None = None
        dw: Array | None = None
        while x:
            images, rows = x.pop(0)
            dy_rows = _empty_rows(context, len(rows), grid.output[1], (rows.shape[2], problem.filters), dtype)
            for block, parts in _blocks(dy_rows, grid, images, window):
                _times(down.out.T, output_gradient(block), out=parts)
            gradient_rows = _empty_rows(context, len(rows), grid.kernel[1], problem.w_shape[2:], dtype)
            _multiply_back(context, along, rows, dy_rows, taps, out=gradient_rows)
            del dy_rows, parts
            if dw is None:
                dw = context.empty(problem.w_shape, dtype)
                _times(down.taps.T, _parts(gradient_rows), out=dw)
            else:
                dw += _pixels_of(context, down.taps.T, gradient_rows)
            del gradient_rows
            if taps is not None:
                dx = context.empty(problem.x_shape, dtype) if dx is None else dx
                hwnc_to_nhwc(_pixels_of(context, down.into.T, rows), out=dx[images])
            del rows
        assert dw is not None
        return dx, dw


def _multiply(context: Context, along: Axis, rows: Array, taps: Array, out: Array) -> None:
    """Rows of the images' spectrum times those of the taps: forth along the image, multiplied, and back."""
    images, kernels, products = (_Spectrum(context, along, each) for each in (rows, taps, out))
    for row, tap, found in zip(_runs(rows), _runs(taps), _runs(out), strict=True):
        np.matmul(along.into, row, out=images.runs)
        np.matmul(along.taps, tap, out=kernels.runs)
        np.matmul(images.matrices, kernels.matrices, out=products.matrices)
        np.matmul(along.out, products.runs, out=found)


def _multiply_back(context: Context, along: Axis, rows: Array, dy: Array, taps: Array | None, out: Array) -> None:
    """The gradient of the taps' rows; that of the images' rows, where taps are given, over these.

    `taps` have their outputs before their inputs.
    """
    images, products, gradient = (_Spectrum(context, along, each) for each in (rows, dy, out))
    kernels = gradient.matrices.reshape(len(gradient.matrices), out.shape[3], out.shape[2])  # the same memory, later
    tap_rows: Any = [None] * len(rows) if taps is None else _runs(taps)
    for row, tap, dy_row, found in zip(_runs(rows), tap_rows, _runs(dy), _runs(out), strict=True):
        np.matmul(along.into, row, out=images.runs)
        np.matmul(along.out.T, dy_row, out=products.runs)
        np.matmul(images.matrices.swapaxes(1, 2), products.matrices, out=gradient.matrices)
        np.matmul(along.taps.T, gradient.runs, out=found)
        if tap is not None:
            np.matmul(along.taps, tap, out=gradient.runs)
            np.matmul(products.matrices, kernels, out=images.matrices)
            np.matmul(along.into.T, images.runs, out=row)


class _Spectrum:
    """Of one row: as long runs, which transforms take, and as a matrix for each frequency."""

    def __init__(self, context: Context, along: Axis, rows: Array) -> None:
        lines = empty_padded_rows(context, (len(along.into), *rows.shape[2:]), rows.dtype)
        self.matrices = lines
        self.runs = _runs(lines)


@dataclass(frozen=True, slots=True)
class Axis:
    """A convolution along one axis as three matrices: y = out [(taps w) * (into x)]."""

    into: Array
    taps: Array
    out: Array

    @staticmethod
    def of(into: Array, taps: Array, out: Array, dtype: Any) -> Axis:
        """The three matrices, into [frequencies, pixels], taps [frequencies, taps] and out [outputs, frequencies],
        contiguous, in this dtype."""
        return Axis(*(np.ascontiguousarray(matrix, dtype) for matrix in (into, taps, out)))


@cache
def _down(grid: Grid, dtype: Any) -> Axis:
    """To the real and the imaginary part of each row.

    The tap k reads the input pad - k before its output, so filters are those with that tap at pad - k.
    """
    (height, _), (taps, _), (rows, _), ((top, _), _) = grid.size, grid.kernel, grid.output, grid.pads
    period = _rows_period(grid)
    frequencies = (np.arange(period // 2) + 0.5) / period

    def parts(positions: Array) -> Array:
        turns = np.exp(-2j * np.pi * np.multiply.outer(frequencies, positions))
        return np.stack([turns.real, turns.imag], 1).reshape(period, -1)

    out = parts(np.arange(rows)).T * 2 / period
    return Axis.of(parts(np.arange(height)), parts(top - np.arange(taps)), out, dtype)


@cache
def _along(grid: Grid, window: int, dtype: Any) -> Axis:
    """From the real and the imaginary part of each column to Gauss's three numbers, and back."""
    (_, width), (_, taps), (_, columns), (_, (left, _)) = grid.size, grid.kernel, grid.output, grid.pads
    period = _columns_period(grid)
    frequencies = np.arange(period) / period

    def thrice(positions: Array) -> Array:
        turns = np.exp(-2j * np.pi * np.multiply.outer(frequencies, positions))
        real, imaginary = np.stack([turns.real, -turns.imag], 1), np.stack([turns.imag, turns.real], 1)
        return np.stack([real, imaginary, real + imaginary], 1).reshape(3 * period, -1)

    order = np.arange(columns).reshape(-1, window).T.ravel()
    turns = np.exp(2j * np.pi * np.multiply.outer(order, frequencies)) / period
    of_three = turns[..., None] * np.array([1 - 1j, -1 - 1j, 1j])  # ac - bd + i((a + b)(c + d) - ac - bd)
    out = np.stack([of_three.real, of_three.imag]).reshape(2 * columns, -1)
    return Axis.of(thrice(np.arange(width)), thrice(left - np.arange(taps)), out, dtype)


def _rows_period(grid: Grid) -> int:
    return 2 * -(-(grid.size[0] + max(grid.pads[0])) // 2)


def _columns_period(grid: Grid) -> int:
    return grid.size[1] + max(grid.pads[1])


def _rows_of(context: Context, matrix: Array, pixels: Array) -> Array:
    """Of pixels the rows of the spectrum down: rows × (2 parts by along) × n × C."""
    rows = _empty_rows(context, len(matrix) // 2, pixels.shape[1], pixels.shape[2:], pixels.dtype)
    _times(matrix, pixels, out=_parts(rows))
    return rows


def _pixels_of(context: Context, matrix: Array, rows: Array) -> Array:
    """Of the spectrum's rows the pixels."""
    parts = _parts(rows)
    pixels = empty_padded_rows(context, (len(matrix), *parts.shape[1:]), rows.dtype)
    _times(matrix, parts, out=pixels)
    return pixels


def _empty_rows(context: Context, count: int, along: int, run: tuple[int, ...], dtype: Any) -> Array:
    return empty_padded_rows(context, (count * 2 * along, *run), dtype).reshape(count, 2 * along, *run)


def _parts(rows: Array) -> Array:
    """Each row's real part and its imaginary one, one after the other: parts × along × n × C."""
    return rows.reshape(2 * len(rows), -1, *rows.shape[2:])


def _times(matrix: Array, x: Array, out: Array) -> None:
    """matrix times x along its first axis."""
    np.matmul(matrix, _runs(x.swapaxes(0, -3)), out=_runs(out.swapaxes(0, -3)))


def _runs(lines: Array) -> Array:
    """Each n × C as one run of numbers, or several of a length that BLAS is fast at: … × runs × lines × run."""
    *axes, n, channels = lines.shape
    return lines.reshape(*axes, _runs_of(n * channels), -1).swapaxes(-2, -3)


@cache
def _runs_of(long: int) -> int:
    return next((runs for runs in range(-(-long // RUN), 4 * long // RUN + 1) if long % runs == 0), 1)


def _chunks(problem: ConvProblem, x: Array) -> Iterator[slice]:
    image_bytes = 3 * _columns_period(problem.geometry) * max(problem.channels, problem.filters) * x.itemsize
    return chunks(x, CHUNK_BYTES, image_bytes, LEAST_IMAGES)


def _blocks(rows: Array, grid: Grid, images: slice, window: Pair) -> Iterator[tuple[Block, Array]]:
    """Some windows side by side, over all rows, and what they are made of: parts of rows × place × windows × n × C."""
    wide, columns = window[1], grid.output[1]
    parts = _parts(rows).reshape(-1, wide, columns // wide, *rows.shape[2:])
    for some in stretches(columns, grid.output[0] * rows[0, 0].nbytes, wide):
        windows = slice(some.start // wide, some.stop // wide)
        yield Block(images, slice(0, grid.output[0]), some), parts[:, :, windows]
