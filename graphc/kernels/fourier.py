"""Convolution as products of spectra, for many taps, which cost no more than few, and small images.

Down the image the spectrum is taken at odd multiples of half a frequency: of P rows P/2 complex ones, none of them
real or there twice. What such a period wraps around changes its sign, but meets padding only. Along the image it is
the ordinary spectrum of P columns. A complex product takes three real ones (Gauss): of the real parts, the imaginary
parts and their sums. So a plane of 14×14 pixels takes 384 products, where a direct sum of 5×5 takes 4900.

Every transform is a product of a small matrix with long rows: arrays lie [row][column][image][channel]. A row of the
spectrum is made, multiplied and taken back before the next one, in the same memory, which stays in the cache. float32
stays within 1e-6 of the largest value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphc.kernels.chunks import chunks
from graphc.kernels.pixels import Block, Slopes, Take, images_first, pixels_first, stretches
from graphc.kernels.unfold import Grid, Pair
from graphc.lazy import np
from graphc.types import Array, Context

INPUT_GRADIENT = True
"""Whether `gradients` has that of the input."""
CHUNK_BYTES = 1 << 19
"""Of one row of the spectra of a chunk's images, inputs or outputs, whichever are wider."""
LEAST_IMAGES = 16
"""Of a batch: fewer would not pay for transforming the filters."""
LEAST_CHANNELS = 6
"""Fewer cost more to transform than is saved."""
LONG_ROW = 1 << 10
"""Numbers of a row for which BLAS's products with a small matrix are fastest."""


def suits(grid: Grid, w_shape: tuple[int, ...], images: int) -> bool:
    """Five taps or more both ways at stride 1, padded images of at most 0.8 times as many pixels a side as there are
    taps, and enough of them."""
    kh, kw, inputs, outputs = w_shape
    dense = grid.stride == grid.dilation == (1, 1) and min(kh, kw) >= 5
    small = 5 * max(grid.padded) <= 4 * kh * kw  # wider ones cost more to transform than is saved
    return dense and small and min(inputs, outputs) >= LEAST_CHANNELS and images >= LEAST_IMAGES


def outputs(context: Context, x: Array, w: Array, grid: Grid, window: Pair, take: Take) -> None:
    """`kernels.conv.conv2d` of one group, rows by columns by n by filters, in blocks of whole windows."""
    down, along = _down(grid, x.dtype), _along(grid, x.dtype)
    inputs, filters = w.shape[2:]
    taps = _by_rows(context, down.taps, w)

    for part in _chunks(along, x, w):
        count = part.stop - part.start
        images = _by_rows(context, down.into, pixels_first(context, x[part]))
        found = context.empty((len(images), 2 * grid.output[1], count * filters), x.dtype)
        for row in range(len(images)):
            _multiply(context, along, images[row], taps[row], (count, inputs, filters), out=found[row])
        parts = found.reshape(2 * len(found), grid.output[1], -1)
        for block in _blocks(grid, part, w, window):
            shape = (grid.output[0], -1, count, filters)
            take(block, _times(context, down.out, parts[:, block.columns]).reshape(shape))


def gradients(
    context: Context, x: Array, w: Array, grid: Grid, window: Pair, slopes: Slopes
) -> tuple[Array | None, Array]:
    """Of x, if the context asks for it, and of w, from those of the blocks that `outputs` gave."""
    down, along = _down(grid, x.dtype), _along(grid, x.dtype)
    inputs, filters = w.shape[2:]
    taps = _by_rows(context, down.taps, np.ascontiguousarray(w.swapaxes(2, 3)))
    total = np.zeros(taps.shape, x.dtype)
    dx = context.empty(x.shape, x.dtype) if context.input_gradient else None

    for part in _chunks(along, x, w):
        count = part.stop - part.start
        images = _by_rows(context, down.into, pixels_first(context, x[part]))
        slope_rows = context.empty((len(images), 2 * grid.output[1], count * filters), x.dtype)
        parts = slope_rows.reshape(2 * len(images), grid.output[1], -1)
        for block in _blocks(grid, part, w, window):
            _times(context, down.out.T, slopes(block), out=parts[:, block.columns])
        for row in range(len(images)):
            rows = images[row], slope_rows[row], taps[row], total[row]
            _multiply_back(context, along, *rows, (count, inputs, filters))
        if dx is not None:
            pixels = _times(context, down.into.T, images)
            images_first(pixels.reshape(*grid.size, count, inputs), out=dx[part])
    return dx, (down.taps.T @ total.reshape(len(down.taps), -1)).reshape(w.shape)


def _multiply(
    context: Context, along: Axis, images: Array, taps: Array, sizes: tuple[int, int, int], out: Array
) -> None:
    """One row of the spectra, along the image: forth, times the filters, and back."""
    count, inputs, outputs = sizes
    spectra = _times(context, along.into, images).reshape(-1, count, inputs)
    filters = _times(context, along.taps, taps).reshape(-1, inputs, outputs)
    products = context.empty((len(spectra), count, outputs), out.dtype)
    np.matmul(spectra, filters, out=products)
    _times(context, along.out, products, out=out)


def _multiply_back(
    context: Context,
    along: Axis,
    images: Array,
    slopes: Array,
    taps: Array,
    total: Array,
    sizes: tuple[int, int, int],
) -> None:
    """The way back of one row: the taps' gradient onto `total`, that of the images, if it is wanted, over `images`.

    `taps` have their outputs before their inputs.
    """
    count, inputs, outputs = sizes
    spectra = _times(context, along.into, images).reshape(-1, count, inputs)
    slope = _times(context, along.out.T, slopes).reshape(-1, count, outputs)
    products = context.empty((len(spectra), inputs, outputs), images.dtype)
    np.matmul(spectra.swapaxes(1, 2), slope, out=products)
    total += _times(context, along.taps.T, products)
    if context.input_gradient:
        del products
        filters = _times(context, along.taps, taps).reshape(-1, outputs, inputs)
        np.matmul(slope, filters, out=spectra)
        _times(context, along.into.T, spectra, out=images)


@dataclass(frozen=True, slots=True)
class Axis:
    """A convolution along one axis as three matrices: y = out [(taps w) * (into x)]."""

    into: Array
    taps: Array
    out: Array

    @staticmethod
    def of(into: Array, taps: Array, out: Array, dtype: Any) -> Axis:
        return Axis(*(np.ascontiguousarray(matrix, dtype) for matrix in (into, taps, out)))


@cache
def _down(grid: Grid, dtype: Any) -> Axis:
    """To the real and the imaginary part of each row.

    The tap k reads the input pad - k before its output, so filters are those with that tap at pad - k.
    """
    (height, _), (taps, _), (rows, _), ((top, bottom), _) = grid.size, grid.kernel, grid.output, grid.pads
    period = 2 * -(-(height + max(top, bottom)) // 2)
    frequencies = (np.arange(period // 2) + 0.5) / period

    def parts(positions: Array) -> Array:
        turns = np.exp(-2j * np.pi * np.multiply.outer(frequencies, positions))
        return np.stack([turns.real, turns.imag], 1).reshape(period, -1)

    out = parts(np.arange(rows)).T * 2 / period
    return Axis.of(parts(np.arange(height)), parts(top - np.arange(taps)), out, dtype)


@cache
def _along(grid: Grid, dtype: Any) -> Axis:
    """From the real and the imaginary part of each column to Gauss's three numbers, and back."""
    (_, width), (_, taps), (_, columns), (_, (left, right)) = grid.size, grid.kernel, grid.output, grid.pads
    period = width + max(left, right)
    frequencies = np.arange(period) / period

    def thrice(positions: Array) -> Array:
        turns = np.exp(-2j * np.pi * np.multiply.outer(frequencies, positions))
        real, imaginary = np.stack([turns.real, -turns.imag], 1), np.stack([turns.imag, turns.real], 1)
        return np.stack([real, imaginary, real + imaginary], 1).reshape(3 * period, -1)

    turns = np.exp(2j * np.pi * np.multiply.outer(np.arange(columns), frequencies)) / period
    of_three = turns[..., None] * np.array([1 - 1j, -1 - 1j, 1j])  # ac - bd + i((a + b)(c + d) - ac - bd)
    out = np.stack([of_three.real, of_three.imag]).reshape(2 * columns, -1)
    return Axis.of(thrice(np.arange(width)), thrice(left - np.arange(taps)), out, dtype)


def _times(context: Context, matrix: Array, x: Array, out: Array | None = None) -> Array:
    """matrix times x, whose first axes are taken as one, and so are the rest."""
    rows, inner = matrix.shape
    x = x.reshape(inner, -1)
    long = x.shape[1]
    out = context.empty((rows, long), x.dtype) if out is None else out.reshape(rows, long)
    runs = max(long // LONG_ROW, 1)
    if long % runs:
        return np.matmul(matrix, x, out=out)
    np.matmul(matrix, x.reshape(inner, runs, -1).swapaxes(0, 1), out=out.reshape(rows, runs, -1).swapaxes(0, 1))
    return out


def _by_rows(context: Context, matrix: Array, pixels: Array) -> Array:
    """Of pixels down by along by n by C the spectrum's rows: rows × (2 parts by along) × (n by C)."""
    return _times(context, matrix, pixels).reshape(len(matrix) // 2, 2 * pixels.shape[1], -1)


def _chunks(along: Axis, x: Array, w: Array) -> Iterator[slice]:
    return chunks(x, CHUNK_BYTES, len(along.into) * max(w.shape[2:]) * x.itemsize, LEAST_IMAGES)


def _blocks(grid: Grid, images: slice, w: Array, window: Pair) -> Iterator[Block]:
    """Some columns of the outputs, all rows."""
    rows, columns = grid.output
    column_bytes = rows * (images.stop - images.start) * w.shape[3] * w.itemsize
    return (Block(images, slice(0, rows), some) for some in stretches(columns, column_bytes, window[1]))
