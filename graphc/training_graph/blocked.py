"""Convolutions in the layout of onnxruntime's own kernels for CPUs, and their gradients.

These kernels (domain `com.microsoft.nchwc`, of its CPU provider) read channels in blocks of as many as a register of
the processor has numbers, [N, C/B, H, W, B], and share a convolution out among threads by rows. onnxruntime takes them
by itself where weights are constants, which those of a training step are not; written into the graph they ran at up to
230 GFLOP/s on two cores where Conv and ConvTranspose, whose threads meet at every image, ran at 36 to 161. All three
products of a convolution are such convolutions:

- the data gradient, with the taps reversed; of strides one convolution that gives every phase, side by side;
- the weight gradient, with batch and channels exchanged: dy is the filter, as large as the image.

A tensor in this layout has the shape [N, C, H, W] too, as these operators have it: `as_blocks` shows how it lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from graphc.lazy import np
from graphc.training_graph.tensor import Tensor
from graphc.window import Window

NCHWC = "com.microsoft.nchwc"
"""The domain of these operators."""
IMAGES = 4
"""Axes of a batch of images, all that there are kernels for."""


def in_blocks(x: Tensor) -> Tensor:
    """x [N, C, H, W] in blocks, C a multiple of their size."""
    (name,) = x.graph.node("ReorderInput", x.name, domain=NCHWC)
    return Tensor(x.graph, name, x.shape)


def _rows_in_blocks(x: Tensor) -> Tensor:
    """x [N, H, W, C], channels last, in blocks."""
    (name,) = x.graph.node("ReorderInput", x.name, domain=NCHWC, channels_last=1)
    return Tensor(x.graph, name, (x.shape[0], x.shape[3], *x.shape[1:3]))


def out_of_blocks(x: Tensor) -> Tensor:
    """[N, C, H, W] of a tensor in blocks of this shape."""
    (name,) = x.graph.node("ReorderOutput", x.name, domain=NCHWC, channels=x.shape[1])
    return Tensor(x.graph, name, x.shape)


def as_blocks(x: Tensor) -> Tensor:
    """A tensor in blocks as it lies: [N, C/B, H, W, B]."""
    batch, channels, *sizes = x.shape
    return x.reshape(batch, channels // x.graph.block, *sizes, x.graph.block)


def whole_blocks(graph_block: int, *counts: int) -> bool:
    """Whether there are blocks, and each of these counts is some of them."""
    return graph_block > 0 and not any(count % graph_block for count in counts)


# forward ----------------------------------------------------------------------------------------------------


def fits(x: Tensor, weights: Tensor, attributes: Mapping[str, Any]) -> bool:
    """Whether a Conv of x [N, C, …] by weights [K, C/groups, …] has a kernel in blocks."""
    return attributes.get("group", 1) == 1 and _are_read(x) and whole_blocks(x.graph.block, weights.shape[0])


def _are_read(x: Tensor) -> bool:
    """Whether the kernels read x [N, C, …]: images of fewer channels than a block has, or of whole blocks."""
    return x.rank == IMAGES and (x.shape[1] < x.graph.block or whole_blocks(x.graph.block, x.shape[1]))


def convolution(
    x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
) -> Tensor:
    """Conv of x [N, C, H, W] by weights [K, C, kh, kw]: [N, K, …], of this shape; what `fits`."""
    narrow = x.shape[1] < x.graph.block
    filters = _narrow_filters(weights) if narrow else _filters(weights)
    return out_of_blocks(_conv(x if narrow else in_blocks(x), filters, biases, attributes, shape))


def _conv(
    x: Tensor, filters: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
) -> Tensor:
    names = [x.name, filters.name, *([] if biases is None else [biases.name])]
    (name,) = x.graph.node("Conv", *names, domain=NCHWC, **{**attributes, "group": 1})
    return Tensor(x.graph, name, tuple(shape))


def _filters(weights: Tensor) -> Tensor:
    """Weights [K, C, kh, kw] as the kernels read them: [K/B, C/B, kh, kw, B of C, B of K]."""
    filters, channels, *taps = weights.shape
    block = weights.graph.block
    cut = weights.transpose(2, 3, 1, 0).reshape(*taps, channels // block, block, filters // block, block)
    return cut.transpose(4, 2, 0, 1, 3, 5).reshape(filters, channels, *taps)


def _narrow_filters(weights: Tensor) -> Tensor:
    """Weights [K, C, kh, kw] of fewer channels than a block has: [K/B, C, kh, kw, B]."""
    filters, channels, *taps = weights.shape
    block = weights.graph.block
    cut = weights.transpose(2, 3, 1, 0).reshape(*taps, channels, filters // block, block)
    return cut.transpose(3, 2, 0, 1, 4).reshape(*weights.shape)


# backward ---------------------------------------------------------------------------------------------------


class Phases:
    """Along one axis, a transposed convolution as a convolution that gives `stride` phases of what it makes."""

    def __init__(self, window: Window, size: int, places: int) -> None:
        """`size`: of what it makes; `places`: of what it reads, which are the windows."""
        before, _ = window.pads or (0, 0)
        self.stride, self.dilation, self.size = window.stride, window.dilation, size
        self.taps = math.ceil(window.kernel / window.stride)
        """Of each phase."""
        first = before // window.stride
        self.cut = before - first * window.stride
        """Pixels before the first that is wanted."""
        self.outputs = (before + size - 1) // window.stride + 1 - first
        """Of each phase."""
        reach = (self.taps - 1) * window.dilation
        left = reach - first
        self.pads = (left, self.outputs - places - left + reach)

    @property
    def is_plain(self) -> bool:
        """Whether a convolution can give them."""
        return min(self.pads) >= 0 and (self.stride == 1 or self.dilation == 1)


def phases_of(
    dy: Tensor, weights: Tensor, windows: Sequence[Window], sizes: Sequence[int], groups: int
) -> tuple[Phases, Phases] | None:
    """How `transposed_convolution` computes it; None where it does not."""
    if dy.rank != IMAGES or groups != 1 or not whole_blocks(dy.graph.block, *weights.shape[:2]):
        return None
    down, across = (Phases(*each) for each in zip(windows, sizes, dy.shape[2:], strict=True))
    return (down, across) if down.is_plain and across.is_plain else None


def transposed_convolution(dy: Tensor, weights: Tensor, phases: tuple[Phases, Phases]) -> Tensor:
    """[N, C, …] from dy [N, K, …] by weights [K, C, kh, kw]: what each window has read gets its share."""
    down, across = phases
    block, batch = dy.graph.block, dy.shape[0]
    filters, channels, *kernel = weights.shape
    count = down.stride * across.stride
    pads = [(0, phase.taps * phase.stride - taps) for phase, taps in zip(phases, kernel, strict=True)]
    rows = weights.transpose(2, 3, 1, 0).pad([*pads, (0, 0), (0, 0)]).reshape(-1, block, filters, 1)
    cut = in_blocks(rows).reshape(  # channels come last: the kernels' transpose is the quicker one
        down.taps, down.stride, across.taps, across.stride, channels // block, filters // block, block, block
    )
    taps = down.taps * across.taps
    by_phase = cut.transpose(1, 3, 4, 5, 0, 2, 6, 7).reshape(count * channels // block, filters // block, taps, -1)
    reversed_taps = _reversed(by_phase, axis=2).reshape(count * channels, filters, down.taps, across.taps)
    attributes = {
        "kernel_shape": [down.taps, across.taps],
        "strides": [1, 1],
        "dilations": [down.dilation if down.stride == 1 else 1, across.dilation if across.stride == 1 else 1],
        "pads": [down.pads[0], across.pads[0], down.pads[1], across.pads[1]],
    }
    outputs = down.outputs, across.outputs
    found = _conv(in_blocks(dy), reversed_taps, None, attributes, (batch, count * channels, *outputs))
    if count > 1:
        side_by_side = found.reshape(batch, down.stride, across.stride, channels // block, *outputs, block)
        wide = side_by_side.transpose(0, 3, 4, 1, 5, 2, 6)
        found = wide.reshape(
            batch, channels // block, down.outputs * down.stride, across.outputs * across.stride, block
        )
        ends = [(-phase.cut, phase.cut + phase.size - phase.outputs * phase.stride) for phase in phases]
        found = found.pad([(0, 0), (0, 0), *ends, (0, 0)])
    return out_of_blocks(found.reshape(batch, channels, down.size, across.size))


def _reversed(x: Tensor, axis: int) -> Tensor:
    """x with the order along an axis reversed."""
    count = x.shape[axis]
    if count == 1:
        return x
    order = x.graph.initializer(np.arange(count - 1, -1, -1, dtype=np.int64))
    (name,) = x.graph.node("Gather", x.name, order, axis=axis)
    return Tensor(x.graph, name, x.shape)


def has_weight_gradient(x: Tensor, dy: Tensor, groups: int) -> bool:
    """Whether `weight_gradient` computes it."""
    block = x.graph.block
    return groups == 1 and _are_read(x) and whole_blocks(block, dy.shape[1]) and x.shape[0] >= block


def weight_gradient(x: Tensor, dy: Tensor, windows: Sequence[Window]) -> Tensor:
    """[kh, kw, C, K] of x [N, C, H, W] and dy [N, K, oh, ow]: a convolution of x with examples for channels, by dy; of
    large images one for some rows of dy at a time, since its sums are those of float32, one number after the other."""
    sizes, outputs = x.shape[2:], dy.shape[2:]
    filled = (0, -x.shape[0] % x.graph.block)
    pads = []
    for window, size, places in zip(windows, sizes, outputs, strict=True):
        before, _ = window.pads or (0, 0)
        pads.append((before, (places - 1) * window.stride + window.extent - before - size))
    images = _examples_last(x.pad([filled, (0, 0), (0, 0), (0, 0)])).pad([(0, 0), (0, 0), *pads, (0, 0)])
    given = _filters_of_examples(dy.pad([filled, (0, 0), (0, 0), (0, 0)]))
    down, each = windows[0], max(1, LONGEST_SUM // (outputs[1] * x.graph.block))
    found = []
    for first in range(0, outputs[0], each):
        rows = min(each, outputs[0] - first)
        read = (rows - 1) * down.stride + down.extent
        part = images.part((first * down.stride, 0, 0), (read, *images.shape[3:]), (1, 1, 1))
        found.append(_correlated(part, given.part((first, 0, 0, 0), (rows, *given.shape[3:]), (1, 1, 1, 1)), windows))
    total = reduce(add, found)
    return as_blocks(total).transpose(2, 3, 0, 1, 4).reshape(*(window.kernel for window in windows), *total.shape[:2])


LONGEST_SUM = 1 << 14
"""Of products in a row. Of normal numbers, weight gradients with sums of so many are within 3e-6 of the largest, with
four times as many within 8e-6 (by GEMM within 1e-6)."""


def _examples_last(x: Tensor) -> Tensor:
    """x [N, C, H, W] with its examples in blocks: [C, N/B, H, W, B]."""
    batch, channels, *sizes = x.shape
    block = x.graph.block
    cut = in_blocks(x.reshape(batch // block, block, x.size // batch, 1))
    return cut.reshape(batch // block, channels, *sizes, block).transpose(1, 0, 2, 3, 4)


def _filters_of_examples(dy: Tensor) -> Tensor:
    """dy [N, K, oh, ow] as filters: [K/B, N/B, oh, ow, B of N, B of K]."""
    batch, filters, *outputs = dy.shape
    block = dy.graph.block
    blocks = filters // block, math.prod(outputs), block
    rows = _rows_in_blocks(in_blocks(dy).reshape(batch // block, block, 1, math.prod(blocks)))
    cut = rows.reshape(batch // block, blocks[0], blocks[1] * block, block).transpose(1, 0, 2, 3)
    return cut.reshape(blocks[0], batch // block, *outputs, block, block)


def _correlated(images: Tensor, given: Tensor, windows: Sequence[Window]) -> Tensor:
    """[C, K, kh, kw] of images [C, N/B, H, W, B] and dy [K/B, N/B, oh, ow, B, B]."""
    channels, batches, *sizes, block = images.shape
    filters, _, *outputs = given.shape[:4]
    attributes = {
        "kernel_shape": list(outputs),
        "strides": [window.dilation for window in windows],
        "dilations": [window.stride for window in windows],
        "pads": [0, 0, 0, 0],
    }
    x = images.reshape(channels, batches * block, *sizes)
    dy = given.reshape(filters * block, batches * block, *outputs)
    return _conv(x, dy, None, attributes, (channels, filters * block, *(window.kernel for window in windows)))
