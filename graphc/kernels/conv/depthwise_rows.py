"""Depthwise convolution of one filter a channel, a row of pixels at a time, at any stride.

`depthwise` walks a slice of the batch once a tap, writes each tap's products down and adds them: eighteen passes over
memory for 3×3. Here one einsum takes all taps of a row of outputs before it goes on to the next row: the sums stay in
the first-level cache, the kh rows that are read in the second, and nothing is written twice.

NumPy's loop inside is over what lies together, with a start of its own each time, so that runs have to be long. A row
of pixels is a run of W*C numbers, if the weights are as long: they are repeated for every pixel of the row (`_along`),
once a batch. At a stride along the width the pixels of a tap are no run, so the columns are sorted by their place in
the stride (`_planes`): tap j reads a run of plane j mod stride. Padding copies the images anyway.

The gradient of the input is gathered, not scattered: with q = stride * Q + p for a padded row, the windows that read
it have it as their tap i = p + stride * t, and begin at row Q - t. So the pixels at place p are a convolution of
stride 1 of dy with every stride-th tap, from p on, turned around; and each pixel is written once. (As a transposed
convolution is split in Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.)

Times as fast as tap by tap, 3×3, a batch of 16, by seconds of the processor (docs/performance.md, 29 November):

    images         stride    forward    gradient of the input    gradient of the weights
    112×112×32     1         3.0        2.1                      1.4
    56×56×128      1         1.8        2.0                      1.0
    14×14×512      1         1.9        1.7                      1.0
    32×32×16       1         4.4        4.2                      2.6
    112×112×64     2         1.7        1.7                      1.0
    28×28×256      2         1.1        1.4                      1.0
"""

from __future__ import annotations

import itertools
from typing import ClassVar

from graphc.kernels.conv.algorithm import Verdict
from graphc.kernels.conv.depthwise import Depthwise
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.unfold import strided
from graphc.lazy import np
from graphc.types import Array, Context

MANY_CHANNELS = 64
"""From which the pixels of a tap are long enough runs for the gradient of the weights, and columns need no sorting."""


class DepthwiseRows(Depthwise):
    name: ClassVar[str] = "depthwise_rows"

    def supports(self, problem: ConvProblem) -> Verdict:
        each = problem.groups == problem.channels == problem.filters
        return Verdict(each and problem.geometry.dilation == (1, 1), "a filter for every channel, no dilation only")

    def pays(self, problem: ConvProblem) -> Verdict:
        return Verdict(problem.groups > 1, "a filter for every channel: all taps of a row of pixels at once")

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        (kh, kw), (sh, sw) = problem.geometry.kernel, problem.geometry.stride
        _, rows, columns, channels = problem.y_shape
        taps = _along(w.reshape(kh, kw, channels), columns)
        y = context.empty(problem.y_shape, x.dtype)

        def work(images: slice) -> None:
            planes = _planes(context, problem, x[images])
            n, row, place, column, number = planes.strides
            lines = y[images].reshape(len(planes), rows, -1)
            more = context.empty(lines.shape, x.dtype) if sw > 1 else lines
            for first in range(min(sw, kw)):
                own = taps[:, first::sw]
                shape = (len(planes), rows, kh, own.shape[1], columns * channels)
                read = strided(planes, shape, (n, sh * row, row, column, number), first * place)
                np.einsum("nrijx,ijx->nrx", read, own, out=more if first else lines)
                if first:
                    lines += more

        context.each_slice(work, x)
        return y

    def input_gradient(self, context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
        sh, sw = problem.geometry.stride
        taps = w.reshape(*problem.geometry.kernel, problem.channels)
        dx = context.empty(problem.x_shape, dy.dtype)

        def work(images: slice) -> None:
            padded = _pad_gradient(context, problem, dy[images])
            for place in itertools.product(range(sh), range(sw)):
                _gather(context, problem, padded, taps, place, out=dx[images])

        context.each_slice(work, dy)
        return dx

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """Tap by tap: of few channels for every column apart, as runs are long then, and these are added at the end."""
        (kh, kw), (sh, sw) = problem.geometry.kernel, problem.geometry.stride
        _, rows, columns, channels = problem.y_shape
        if channels >= MANY_CHANNELS:
            return super().weight_gradient(context, problem, x, dy)

        def work(images: slice) -> Array:
            planes = _planes(context, problem, x[images])
            n, row, place, column, number = planes.strides
            lines = dy[images].reshape(len(planes), rows, -1)
            dw = context.empty((kh, kw, columns * channels), x.dtype)
            for i, j in itertools.product(range(kh), range(kw)):
                offset = i * row + j % sw * place + j // sw * column
                read = strided(planes, lines.shape, (n, sh * row, number), offset)
                np.einsum("nrx,nrx->x", read, lines, out=dw[i, j])
            return dw

        total: Array = sum(context.each_slice(work, x))
        dw: Array = total.reshape(kh, kw, columns, channels).sum(axis=2)
        return dw.reshape(problem.w_shape)


def _along(taps: Array, columns: int) -> Array:
    """kh kw C repeated for every column: kh kw (columns by C)."""
    kh, kw, channels = taps.shape
    repeated: Array = np.tile(taps[:, :, None], (1, 1, columns, 1))
    return repeated.reshape(kh, kw, columns * channels)


def _planes(context: Context, problem: ConvProblem, x: Array) -> Array:
    """x with its zeros around it, columns sorted by their place in the stride: n × rows × place × column × C."""
    grid, stride = problem.geometry, problem.geometry.stride[1]
    (top, _), (left, _) = grid.pads
    n, height, _, channels = x.shape
    shape = (n, grid.padded[0], stride, -(-grid.padded[1] // stride), channels)
    planes, new = context.cached_buffer(("planes", grid.size, grid.pads), shape, x.dtype)
    if new:
        planes[...] = 0  # what is around the images stays so
    for place in range(stride):
        first = (place - left) % stride
        pixels = x[:, :, first::stride]
        before = (left + first) // stride
        planes[:, top : top + height, place, before : before + pixels.shape[2]] = pixels
    return planes


def _pad_gradient(context: Context, problem: ConvProblem, dy: Array) -> Array:
    """dy with as many zeros before it as there are windows that would begin before and reach into the image, and
    enough behind: n × rows × columns × C."""
    grid = problem.geometry
    before = [_most(taps, stride) - 1 for taps, stride in zip(grid.kernel, grid.stride, strict=True)]
    sizes = [
        max((size - 1 + pads[0]) // stride + 1, outputs)
        for size, pads, stride, outputs in zip(grid.size, grid.pads, grid.stride, grid.output, strict=True)
    ]
    padded = context.empty((len(dy), before[0] + sizes[0], before[1] + sizes[1], dy.shape[3]), dy.dtype)
    padded[...] = 0
    padded[:, before[0] : before[0] + dy.shape[1], before[1] : before[1] + dy.shape[2]] = dy
    return padded


def _gather(
    context: Context, problem: ConvProblem, padded: Array, taps: Array, place: tuple[int, int], out: Array
) -> None:
    """The pixels of dx at one place of the stride, from `_pad_gradient`'s."""
    grid, (sh, sw) = problem.geometry, problem.geometry.stride
    own = taps[place[0] :: sh, place[1] :: sw][::-1, ::-1]
    firsts = [(p - pads[0]) % s for p, pads, s in zip(place, grid.pads, grid.stride, strict=True)]
    pixels = out[:, firsts[0] :: sh, firsts[1] :: sw]
    if not own.size or not pixels.size:
        pixels[...] = 0  # a stride over more than the window leaves pixels out
        return
    n, height, width, channels = pixels.shape
    row, column = (
        (first + pads[0]) // s + _most(k, s) - t
        for first, pads, s, k, t in zip(firsts, grid.pads, grid.stride, grid.kernel, own.shape, strict=False)
    )
    image, row_step, step, number = padded.strides
    shape = (n, height, *own.shape[:2], width * channels)
    read = strided(padded, shape, (image, row_step, row_step, step, number), row * row_step + column * step)
    lines = context.empty((n, height, width * channels), out.dtype)
    np.einsum("nrijx,ijx->nrx", read, _along(own, width), out=lines)
    pixels[...] = lines.reshape(pixels.shape)


def _most(taps: int, stride: int) -> int:
    """Taps of a window that read pixels at one place of the stride, at most."""
    return -(-taps // stride)
