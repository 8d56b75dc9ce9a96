"""Depthwise convolution: each channel has its own m filters. Tap by tap, since there is nothing to multiply.

x is N H W C, w is kh kw C m, y is N H' W' C*m; output channel c*m + j is filter j of channel c.
"""

from __future__ import annotations

from graphc.kernels.unfold import Grid, Pads, Pair, pad_images
from graphc.lazy import np
from graphc.types import Array, Context


def depthwise_conv2d(context: Context, x: Array, w: Array, stride: Pair, pads: Pads, dilation: Pair) -> Array:
    """Every window of each channel times the channel's filters."""
    kh, kw, channels, multiplier = w.shape
    grid = Grid.of(x.shape[1:3], (kh, kw), stride, pads, dilation)
    y = context.empty((len(x), *grid.output, channels * multiplier), x.dtype)

    def work(images: slice) -> None:
        padded = pad_images(context, x[images], grid)
        target = _by_channel(y[images], multiplier)
        product = context.empty(target.shape, x.dtype)
        for i in range(kh):
            for j in range(kw):
                out = product if i or j else target
                np.multiply(grid.tap(padded, i, j)[..., None], w[i, j], out=out)
                if i or j:
                    target += product

    context.each_slice(work, x)
    return y


def depthwise_conv2d_grad_input(
    context: Context, dy: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> Array:
    """The gradient of x: each output's gradient spread over its window."""
    kh, kw, _, multiplier = w.shape
    grid = Grid.of((x_shape[1], x_shape[2]), (kh, kw), stride, pads, dilation)
    (top, _), (left, _) = pads
    dx = context.empty(x_shape, dy.dtype)

    def work(images: slice) -> None:
        source = _by_channel(dy[images], multiplier)
        padded = context.empty((len(source), *grid.padded, x_shape[3]), dy.dtype)
        padded[...] = 0
        for i in range(kh):
            for j in range(kw):
                target = grid.tap(padded, i, j)
                for m in range(multiplier):
                    target += source[..., m] * w[i, j, :, m]
        dx[images] = padded[:, top : top + x_shape[1], left : left + x_shape[2]]

    context.each_slice(work, dy)
    return dx


def depthwise_conv2d_grad_weights(
    context: Context, x: Array, dy: Array, w_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> Array:
    """The gradient of w: windows times output gradients, summed over pixels and the batch."""
    kh, kw, _, multiplier = w_shape
    grid = Grid.of(x.shape[1:3], (kh, kw), stride, pads, dilation)

    def work(images: slice) -> Array:
        dw = context.empty(w_shape, x.dtype)
        padded = pad_images(context, x[images], grid)
        source = _by_channel(dy[images], multiplier)
        for i in range(kh):
            for j in range(kw):
                np.einsum("nhwc,nhwcm->cm", grid.tap(padded, i, j), source, out=dw[i, j])
        return dw

    total: Array = sum(context.each_slice(work, x))
    return total


def _by_channel(y: Array, multiplier: int) -> Array:
    """N H W C*m as N H W C m."""
    return y.reshape(*y.shape[:3], -1, multiplier)
