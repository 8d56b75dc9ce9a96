"""Depthwise convolution, each channel with its own m filters: tap by tap, since there is no sum over channels to make
a matrix product of.

w, kh kw 1 C*m, is looked at as kh kw C m: output channel c*m + j is filter j of channel c. A slice of the batch that
fits the cache is walked by all taps.
"""

from __future__ import annotations

from typing import ClassVar

from graphc.kernels.conv.algorithm import ConvAlgorithm, Verdict
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.unfold import pad_images
from graphc.lazy import np
from graphc.types import Array, Context


class Depthwise(ConvAlgorithm):
    name: ClassVar[str] = "depthwise"

    def supports(self, problem: ConvProblem) -> Verdict:
        return Verdict(problem.groups == problem.channels, "a group for every channel only")

    def pays(self, problem: ConvProblem) -> Verdict:
        return Verdict(problem.groups > 1, "a group for every channel: tap by tap, without sums over channels")

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        """Every tap's pixels, of all windows, times the tap's filters, added up."""
        grid = problem.geometry
        taps = _taps(w, problem)
        y = context.empty(problem.y_shape, x.dtype)

        def work(images: slice) -> None:
            padded = pad_images(context, x[images], grid)
            target = _by_channel(y[images], problem)
            product = context.empty(target.shape, x.dtype)
            for i in range(grid.kernel[0]):
                for j in range(grid.kernel[1]):
                    out = product if i or j else target
                    np.multiply(grid.tap(padded, i, j)[..., None], taps[i, j], out=out)
                    if i or j:
                        target += product

        context.each_slice(work, x)
        return y

    def input_gradient(self, context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
        """dy times every tap's filters, added where the tap has read."""
        grid, (_, height, width, channels) = problem.geometry, problem.x_shape
        taps = _taps(w, problem)
        (top, _), (left, _) = grid.pads
        dx = context.empty(problem.x_shape, dy.dtype)

        def work(images: slice) -> None:
            source = _by_channel(dy[images], problem)
            padded = context.empty((len(source), *grid.padded, channels), dy.dtype)
            padded[...] = 0
            for i in range(grid.kernel[0]):
                for j in range(grid.kernel[1]):
                    target = grid.tap(padded, i, j)
                    for m in range(taps.shape[3]):
                        target += source[..., m] * taps[i, j, :, m]
            dx[images] = padded[:, top : top + height, left : left + width]

        context.each_slice(work, dy)
        return dx

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """Of every tap the sum over pixels of what it has read times dy."""
        grid = problem.geometry

        def work(images: slice) -> Array:
            dw = context.empty(problem.w_shape, x.dtype)
            taps = _taps(dw, problem)
            padded = pad_images(context, x[images], grid)
            source = _by_channel(dy[images], problem)
            for i in range(grid.kernel[0]):
                for j in range(grid.kernel[1]):
                    np.einsum("nhwc,nhwcm->cm", grid.tap(padded, i, j), source, out=taps[i, j])
            return dw

        total: Array = sum(context.each_slice(work, x))
        return total


def _by_channel(images: Array, problem: ConvProblem) -> Array:
    """N H W C*m as N H W C m."""
    return images.reshape(*images.shape[:3], problem.channels, -1)


def _taps(w: Array, problem: ConvProblem) -> Array:
    """kh kw 1 C*m as kh kw C m."""
    return w.reshape(*problem.geometry.kernel, problem.channels, -1)
