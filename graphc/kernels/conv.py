"""Convolution as matrix products over unfolded windows, in chunks that stay in the cache.

x is N H W C, w is kh kw C/groups F, y is N H' W' F. Every product walks the batch in chunks of whole images whose
columns (windows as rows) fit the cache. Sums over the batch are taken in the order of the chunks. Where other kernels
need fewer products or copies, they do it instead: `block_kernels`, `_fast`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from graphc.kernels import fourier, narrow, winograd, winograd_2d
from graphc.kernels.chunks import chunks
from graphc.kernels.pixels import Slopes, images_first, pixels_first
from graphc.kernels.unfold import Grid, Pads, Pair, copy_strided, fold, pad_images, windows
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Columns of one chunk: half of the second-level cache of one core."""
EACH = (1, 1)
"""The window of outputs that no pooling reads."""


def conv2d(context: Context, x: Array, w: Array, stride: Pair, pads: Pads, dilation: Pair, groups: int) -> Array:
    """Every window of x times the filters."""
    grid = Grid.of(x.shape[1:3], w.shape[:2], stride, pads, dilation)
    blocks = block_kernels(grid, w.shape, groups, len(x))
    if not blocks and (fast := _fast(context, grid, w.shape, groups)):
        found: Array = fast.conv2d(context, x, w, grid)
        return found
    y = context.empty((len(x), *grid.output, w.shape[3]), x.dtype)
    if blocks:
        images = blocks.prepared(context, x, w.shape, grid)
        blocks.outputs(context, images, w, grid, EACH, lambda block, pixels: images_first(pixels[:, 0], block.of(y)))
        return y

    for part in chunks(x, CHUNK_BYTES, _column_bytes(grid, w.shape, x)):
        padded = pad_images(context, x[part], grid)
        for inputs, outputs in _groups(w, groups):
            columns = _columns(context, padded[..., inputs], grid)
            np.matmul(columns, _matrix(w[..., outputs]), out=_rows(y[part][..., outputs]))
            del columns
    return y


def conv2d_grad_input(
    context: Context,
    dy: Array,
    w: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    pads: Pads,
    dilation: Pair,
    groups: int,
) -> Array:
    """The gradient of x: each output's gradient spread over its window through the filters."""
    grid = Grid.of((x_shape[1], x_shape[2]), w.shape[:2], stride, pads, dilation)
    opposite = grid.opposite_pads
    if groups == 1 and stride == (1, 1) and not grid.is_identity and min(map(min, opposite)) >= 0:
        turned = np.ascontiguousarray(w[::-1, ::-1].swapaxes(2, 3))
        return conv2d(context, dy, turned, stride, opposite, dilation, groups)  # itself a convolution
    dx = context.empty(x_shape, dy.dtype)

    for part in chunks(dy, CHUNK_BYTES, _column_bytes(grid, w.shape, dy)):
        for inputs, outputs in _groups(w, groups):
            rows = _rows(dy[part][..., outputs])
            if grid.is_identity:
                np.matmul(rows, _matrix(w[..., outputs]).T, out=_rows(dx[part][..., inputs]))
                continue
            columns = context.empty((len(rows), grid.kernel[0] * grid.kernel[1] * w.shape[2]), dy.dtype)
            np.matmul(rows, _matrix(w[..., outputs]).T, out=columns)
            patches = columns.reshape(-1, *grid.output, *w.shape[:3])
            dx[part][..., inputs] = fold(context, patches, grid)
            del columns, patches
    return dx


def conv2d_grad_weights(
    context: Context,
    x: Array,
    dy: Array,
    w_shape: tuple[int, ...],
    stride: Pair,
    pads: Pads,
    dilation: Pair,
    groups: int,
) -> Array:
    """The gradient of w: windows times output gradients, summed over the batch."""
    kernel = (w_shape[0], w_shape[1])
    grid = Grid.of(x.shape[1:3], kernel, stride, pads, dilation)
    if fast := _fast(context, grid, w_shape, groups):
        found: Array = fast.grad_weights(context, x, dy, w_shape, grid)
        return found

    dw = context.empty(w_shape, x.dtype)
    dw[...] = 0
    for part in chunks(x, CHUNK_BYTES, _column_bytes(grid, w_shape, x)):
        padded = pad_images(context, x[part], grid)
        for inputs, outputs in _groups(dw, groups):
            columns = _columns(context, padded[..., inputs], grid)
            product = columns.T @ _rows(dy[part][..., outputs])
            dw[..., outputs] += product.reshape(*w_shape[:3], -1)
            del columns
    return dw


def conv2d_gradients(
    context: Context,
    x: Array,
    dy: Array,
    w: Array,
    stride: Pair,
    pads: Pads,
    dilation: Pair,
    groups: int,
) -> tuple[Array | None, Array]:
    """Of x, if the context asks for it, and of w: they may share their work."""
    grid = Grid.of(x.shape[1:3], w.shape[:2], stride, pads, dilation)
    geometry = (stride, pads, dilation, groups)
    dx: Array | None = None
    if blocks := block_kernels(grid, w.shape, groups, len(x)):
        images = list(blocks.prepared(context, x, w.shape, grid))
        dx, dw = blocks.gradients(context, images, w, grid, EACH, _slopes(context, dy))
    else:
        dw = conv2d_grad_weights(context, x, dy, w.shape, *geometry)
    if context.input_gradient and dx is None:
        dx = conv2d_grad_input(context, dy, w, x.shape, *geometry)
    return dx, dw


def block_kernels(grid: Grid, w_shape: tuple[int, ...], groups: int, images: int) -> ModuleType | None:
    """The kernels that make their outputs in blocks with the pixels first."""
    if groups > 1:
        return None
    if fourier.suits(grid, w_shape, images):
        return fourier
    return narrow if narrow.suits(grid, w_shape) else None


def _slopes(context: Context, dy: Array) -> Slopes:
    return lambda block: pixels_first(context, block.of(dy))[:, None]


def _fast(context: Context, grid: Grid, w_shape: tuple[int, ...], groups: int) -> ModuleType | None:
    """The kernels that need fewer products; the less exact of them in training only."""
    if groups > 1:
        return None
    if context.training and winograd_2d.suits(grid, *w_shape[2:]):
        return winograd_2d
    return winograd if winograd.suits(grid, w_shape[2]) else None


def _columns(context: Context, padded: Array, grid: Grid) -> Array:
    """Windows as rows of a matrix: n*H'*W' × kh*kw*C."""
    if grid.is_identity:
        return _rows(padded)
    shape, strides = windows(padded, grid)
    return copy_strided(context, padded, shape, strides).reshape(-1, shape[3] * shape[4] * shape[5])


def _column_bytes(grid: Grid, w_shape: tuple[int, ...], x: Array) -> int:
    """Of one image and one group."""
    rows = grid.output[0] * grid.output[1]
    return rows * w_shape[0] * w_shape[1] * w_shape[2] * x.itemsize


def _groups(w: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """Channels that each group reads and writes."""
    inputs, outputs = w.shape[2], w.shape[3] // groups
    for g in range(groups):
        yield slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs)


def _rows(images: Array) -> Array:
    """N H W C as a matrix of pixels × channels: a view where each pixel's channels are next to another."""
    return images.reshape(-1, images.shape[-1])


def _matrix(w: Array) -> Array:
    """Filters as a matrix: kh*kw*C × F."""
    return w.reshape(-1, w.shape[-1])
