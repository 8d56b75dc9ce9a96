"""Convolution as products of spectra, for many taps, which cost no more than few, and small images.

Down the image the spectrum is taken at odd multiples of half a frequency: of P rows P/2 complex ones, none of them
real or there twice. What such a period wraps around changes its sign, but meets padding only. Along the image it is
the ordinary spectrum of P columns. A complex product takes three real ones (Gauss): of the real parts, the imaginary
parts and their sums. So a plane of 14×14 pixels takes 384 products, where a direct sum of 5×5 takes 4900.

Every transform is a product of a small matrix with long rows: arrays lie [row][column][image][channel]. A row of the
spectrum is made, multiplied and taken back before the next one, so that it stays in the cache. float32 stays within
1e-6 of the largest value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphc.kernels.chunks import chunks
from graphc.kernels.unfold import Grid, copy_strided
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 19
"""Of one row of the spectra of a chunk's images, inputs or outputs, whichever are wider."""
LEAST_IMAGES = 16
"""Rows of one product: fewer would not pay for transforming the filters."""
LEAST_CHANNELS = 6
"""Fewer cost more to transform than is saved; so do images of more rows or columns than 0.8 times the taps."""
LONG_ROW = 1 << 10
"""Numbers of a row for which BLAS's products with a small matrix are fastest."""


def suits(grid: Grid, w_shape: tuple[int, ...], images: int) -> bool:
    """Five taps or more both ways at stride 1, and for so many taps small images, of which there are enough."""
    kh, kw, inputs, outputs = w_shape
    dense = grid.stride == grid.dilation == (1, 1) and min(kh, kw) >= 5
    small = 5 * max(grid.padded) <= 4 * kh * kw
    return dense and small and min(inputs, outputs) >= LEAST_CHANNELS and images >= LEAST_IMAGES


def conv2d(context: Context, x: Array, w: Array, grid: Grid) -> Array:
    """`kernels.conv.conv2d` of one group."""
    down, along = _down(grid, x.dtype), _along(grid, x.dtype)
    inputs, outputs = w.shape[2:]
    taps = _by_rows(context, down.taps, w)
    y = context.empty((len(x), *grid.output, outputs), x.dtype)

    for part in _chunks(along, x, w):
        images = _by_rows(context, down.into, _pixels_first(context, x[part]))
        count = images.shape[2] // inputs
        found = context.empty((len(images), 2 * grid.output[1], count * outputs), x.dtype)
        for row in range(len(images)):
            spectra = _times(context, along.into, images[row]).reshape(-1, count, inputs)
            filters = _times(context, along.taps, taps[row]).reshape(-1, inputs, outputs)
            products = context.empty((len(spectra), count, outputs), x.dtype)
            np.matmul(spectra, filters, out=products)
            _times(context, along.out, products, out=found[row])
        pixels = _times(context, down.out, found).reshape(*grid.output, count, outputs)
        _images_first(context, pixels, out=y[part])
    return y


def gradients(context: Context, x: Array, dy: Array, w: Array, grid: Grid) -> tuple[Array, Array]:
    """`kernels.conv.conv2d_gradients` of one group, of x and of w."""
    down, along = _down(grid, x.dtype), _along(grid, x.dtype)
    inputs, outputs = w.shape[2:]
    taps = _by_rows(context, down.taps, w)
    total = np.zeros(taps.shape, x.dtype)
    dx = context.empty(x.shape, x.dtype)

    for part in _chunks(along, x, w):
        images = _by_rows(context, down.into, _pixels_first(context, x[part]))
        slopes = _by_rows(context, down.out.T, _pixels_first(context, dy[part]))
        count = images.shape[2] // inputs
        found = context.empty(images.shape, x.dtype)
        for row in range(len(images)):
            spectra = _times(context, along.into, images[row]).reshape(-1, count, inputs)
            filters = _times(context, along.taps, taps[row]).reshape(-1, inputs, outputs)
            slope = _times(context, along.out.T, slopes[row]).reshape(-1, count, outputs)
            products = context.empty(filters.shape, x.dtype)
            np.matmul(spectra.swapaxes(1, 2), slope, out=products)
            total[row] += _times(context, along.taps.T, products)
            np.matmul(slope, filters.swapaxes(1, 2), out=spectra)
            _times(context, along.into.T, spectra, out=found[row])
        pixels = _times(context, down.into.T, found).reshape(*grid.size, count, inputs)
        _images_first(context, pixels, out=dx[part])
    return dx, (down.taps.T @ total.reshape(len(down.taps), -1)).reshape(w.shape)


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
    if out is None:
        out = context.empty((rows, x.shape[1]), x.dtype)
    runs = max(x.shape[1] // LONG_ROW, 1)
    if x.shape[1] % runs:
        return np.matmul(matrix, x, out=out)
    np.matmul(matrix, x.reshape(inner, runs, -1).swapaxes(0, 1), out=out.reshape(rows, runs, -1).swapaxes(0, 1))
    return out


def _by_rows(context: Context, matrix: Array, pixels: Array) -> Array:
    """Of pixels down by along by n by C the spectrum's rows: rows × (2 parts by along) × (n by C)."""
    width = pixels.shape[1]
    return _times(context, matrix, pixels).reshape(len(matrix) // 2, 2 * width, -1)


def _pixels_first(context: Context, images: Array) -> Array:
    """From n H W C to H W n C."""
    n, height, width, channels = images.shape
    image, row, column, channel = images.strides
    return copy_strided(context, images, (height, width, n, channels), (row, column, image, channel))


def _images_first(context: Context, pixels: Array, out: Array) -> None:
    """From H W n C to n H W C."""
    row, column, image, channel = pixels.strides
    copy_strided(context, pixels, out.shape, (image, row, column, channel), out)


def _chunks(along: Axis, x: Array, w: Array) -> Iterator[slice]:
    return chunks(x, CHUNK_BYTES, len(along.into) * max(w.shape[2:]) * x.itemsize, LEAST_IMAGES)
