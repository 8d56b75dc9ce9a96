"""Convolution as matrix products over unfolded windows, in chunks that stay in the cache.

x is N H W C, w is kh kw C/groups F, y is N H' W' F. Every product walks the batch in the context's slices, and
each slice in chunks of whole images whose columns (windows as rows) fit the cache. Sums over the batch are taken
in the order of the slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from graphc.kernels import fourier, winograd, winograd_2d
from graphc.kernels.chunks import chunks
from graphc.kernels.unfold import Grid, Pads, Pair, copy_strided, fold, pad_images, windows
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Columns of one chunk: half of the second-level cache of one core."""
TOGETHER = 4
"""Neighbouring outputs of narrow images that are one row of the columns: more products, fewer copies."""
NARROW = 64
"""Numbers in a window, and twice the filters, up to which that pays."""


def conv2d(context: Context, x: Array, w: Array, stride: Pair, pads: Pads, dilation: Pair, groups: int) -> Array:
    """Every window of x times the filters."""
    grid = Grid.of(x.shape[1:3], w.shape[:2], stride, pads, dilation)
    if groups == 1 and fourier.suits(grid, w.shape, len(x)):
        return fourier.conv2d(context, x, w, grid)
    if fast := _fast(context, grid, w.shape, groups):
        found: Array = fast.conv2d(context, x, w, grid)
        return found
    if _is_narrow(grid, w.shape, groups):
        wide = conv2d(context, x, _widened(w), (1, TOGETHER), pads, dilation, groups)
        return wide.reshape(len(x), *grid.output, w.shape[3])
    y = context.empty((len(x), *grid.output, w.shape[3]), x.dtype)

    for part in chunks(x, CHUNK_BYTES, _column_bytes(grid, w.shape, x)):
        padded = pad_images(context, x[part], grid)
        for inputs, outputs in _groups(w, groups):
            columns = _columns(context, padded[..., inputs], grid)
            np.matmul(columns, _matrix(w[..., outputs]), out=_rows(y[part][..., outputs]))
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
    if _is_narrow(grid, w_shape, groups):
        rows, width = grid.output
        together = dy.reshape(len(x), rows, width // TOGETHER, -1)
        shape = (w_shape[0], w_shape[1] + TOGETHER - 1, w_shape[2], together.shape[3])
        wide = conv2d_grad_weights(context, x, together, shape, (1, TOGETHER), pads, dilation, groups)
        return _narrowed(wide, w_shape)

    dw = context.empty(w_shape, x.dtype)
    dw[...] = 0
    for part in chunks(x, CHUNK_BYTES, _column_bytes(grid, w_shape, x)):
        padded = pad_images(context, x[part], grid)
        for inputs, outputs in _groups(dw, groups):
            columns = _columns(context, padded[..., inputs], grid)
            product = columns.T @ _rows(dy[part][..., outputs])
            dw[..., outputs] += product.reshape(*w_shape[:3], -1)
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
) -> tuple[Array, Array]:
    """`conv2d_grad_input` and `conv2d_grad_weights`, which may share their work."""
    grid = Grid.of(x.shape[1:3], w.shape[:2], stride, pads, dilation)
    if groups == 1 and fourier.suits(grid, w.shape, len(x)):
        return fourier.gradients(context, x, dy, w, grid)
    geometry = (stride, pads, dilation, groups)
    dw = conv2d_grad_weights(context, x, dy, w.shape, *geometry)
    return conv2d_grad_input(context, dy, w, x.shape, *geometry), dw


def _fast(context: Context, grid: Grid, w_shape: tuple[int, ...], groups: int) -> ModuleType | None:
    """The kernels that need fewer products; the less exact of them in training only."""
    if groups > 1:
        return None
    if context.training and winograd_2d.suits(grid, *w_shape[2:]):
        return winograd_2d
    return winograd if winograd.suits(grid, w_shape[2]) else None


def _is_narrow(grid: Grid, w_shape: tuple[int, ...], groups: int) -> bool:
    """So few numbers in a window that copying them costs more than multiplying: first layers, of images."""
    kh, kw, inputs, filters = w_shape
    few = kw > 1 and kh * kw * inputs <= NARROW and filters <= NARROW // 2
    plain = groups == 1 and grid.stride == grid.dilation == (1, 1)
    return few and plain and grid.output[1] % TOGETHER == 0


def _widened(w: Array) -> Array:
    """Filters from the window of neighbouring outputs to all of them: w, each time one pixel further."""
    kh, kw, inputs, filters = w.shape
    wide = np.zeros((kh, kw + TOGETHER - 1, inputs, TOGETHER, filters), w.dtype)
    for i in range(TOGETHER):
        wide[:, i : i + kw, :, i] = w
    return wide.reshape(*wide.shape[:3], -1)


def _narrowed(wide: Array, w_shape: tuple[int, ...]) -> Array:
    """The adjoint of `_widened`."""
    kh, kw, inputs, filters = w_shape
    each = wide.reshape(kh, kw + TOGETHER - 1, inputs, TOGETHER, filters)
    dw: Array = sum(each[:, i : i + kw, :, i] for i in range(TOGETHER))  # type: ignore[assignment]
    return dw


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
