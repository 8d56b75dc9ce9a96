"""The gradients of convolutions over windows, for one, two or three spatial axes.

Forms were measured one by one in onnxruntime on one core beside PyTorch (figures: benchmarks/README.md). The data
gradient is a ConvTranspose, which takes the weights as they lie and of which every runtime has its own kernel. A weight
gradient as a Conv with batch and channels exchanged is two to three times as slow as a product a tap of the window.
Where onnxruntime's own operators may be used, both are convolutions in blocks (`blocked.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from graphc.lazy import np
from graphc.training_graph import blocked
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array
from graphc.window import Window

FEW_CHANNELS = 8
"""Below so many input channels, taps side by side and one product beat a product a tap."""


@dataclass(frozen=True, slots=True)
class WeightGradient:
    """What there is to compute: x [N, C, …], dy [N, K, …], windows of these sizes, in so many groups."""

    x: Tensor
    dy: Tensor
    windows: tuple[Window, ...]
    groups: int

    @property
    def taps(self) -> tuple[int, ...]:
        return tuple(window.kernel for window in self.windows)

    @property
    def channels(self) -> int:
        return self.x.shape[1]

    @property
    def filters(self) -> int:
        return self.dy.shape[1]

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.dy.shape[2:]

    @property
    def places(self) -> int:
        """How many windows there are."""
        return math.prod(self.outputs)

    def shifts(self) -> Iterator[tuple[int, ...]]:
        """Where each tap begins in the padded input, in the order of the weights."""
        return product(*(range(0, window.extent, window.dilation) for window in self.windows))

    def tap(self, padded: Tensor, shift: Sequence[int]) -> Tensor:
        """What a tap reads for every window, of spatial axes that come last."""
        return padded.part(shift, self.outputs, [window.stride for window in self.windows])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights: taps, channels a group, filters."""
        return (*self.taps, self.channels // self.groups, self.filters)


def pads_of(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Pixels before and after along each axis."""
    return [window.pads or (0, 0) for window in windows]


def data_gradient(dy: Tensor, weights: Tensor, windows: Sequence[Window], groups: int, channels: int) -> Tensor:
    """[N, C, …] from dy [N, K, …] and weights [K, C/groups, …]."""
    sizes = [int(window.size) for window in windows]  # type: ignore[arg-type]
    return transposed_convolution(dy, weights, windows, sizes, groups, channels)


def transposed_convolution(
    dy: Tensor, weights: Tensor, windows: Sequence[Window], sizes: Sequence[int], groups: int, channels: int
) -> Tensor:
    """[N, channels, *sizes] from dy [N, K, …] by weights [K, channels/groups, …]: what each window has read gets its
    share."""
    phases = blocked.phases_of(dy, weights, windows, sizes, groups)
    if phases is not None:
        return blocked.transposed_convolution(dy, weights, phases)
    pads = pads_of(windows)
    left = [
        size + sum(sides) - ((places - 1) * window.stride + window.extent)
        for size, sides, places, window in zip(sizes, pads, dy.shape[2:], windows, strict=True)
    ]
    attributes = _attributes(windows, groups)
    if any(left):
        attributes["output_padding"] = left
    (name,) = dy.graph.node("ConvTranspose", dy.name, weights.name, **attributes)
    return Tensor(dy.graph, name, (dy.shape[0], channels, *sizes))


def convolution(x: Tensor, weights: Tensor, windows: Sequence[Window], groups: int, shape: tuple[int, ...]) -> Tensor:
    """[N, K, …], of this shape, from x [N, C, …] and weights [K, C/groups, …]."""
    return x.graph.convolution(x, weights, None, _attributes(windows, groups), shape)


def _attributes(windows: Sequence[Window], groups: int) -> dict[str, Any]:
    """Of Conv and of its transpose."""
    pads = pads_of(windows)
    return {
        "kernel_shape": [window.kernel for window in windows],
        "strides": [window.stride for window in windows],
        "dilations": [window.dilation for window in windows],
        "pads": [before for before, _ in pads] + [after for _, after in pads],
        "group": groups,
    }


def weight_gradient(x: Tensor, dy: Tensor, windows: Sequence[Window], groups: int) -> Tensor:
    """[..., C/groups, K] of x [N, C, …] and dy [N, K, …], by the first form of FORMS that fits."""
    asked = WeightGradient(x, dy, tuple(windows), groups)
    form = next(form for fits, form in FORMS if fits(asked))
    return form(asked)


def _is_pointwise(asked: WeightGradient) -> bool:
    plain = all(window.kernel == window.stride == 1 and window.pads == (0, 0) for window in asked.windows)
    return plain and asked.groups == 1


def _pointwise(asked: WeightGradient) -> Tensor:
    """One product an example, added up."""
    x = asked.x.reshape(asked.x.shape[0], asked.channels, -1)
    dy = asked.dy.reshape(asked.dy.shape[0], asked.filters, -1).transpose(0, 2, 1)
    return (x @ dy).sum(0).reshape(*asked.shape)


def _is_narrow(asked: WeightGradient) -> bool:
    return asked.groups == 1 and asked.channels < FEW_CHANNELS


def side_by_side(asked: WeightGradient) -> Tensor:
    """All taps as channels, and one product an example, added up."""
    padded = asked.x.pad([(0, 0), (0, 0), *pads_of(asked.windows)])
    columns = concat([asked.tap(padded, shift) for shift in asked.shifts()], axis=1)
    columns = columns.reshape(columns.shape[0], -1, asked.places)
    dy = asked.dy.reshape(asked.dy.shape[0], asked.filters, asked.places).transpose(0, 2, 1)
    return (columns @ dy).sum(0).reshape(*asked.shape)


def _is_depthwise(asked: WeightGradient) -> bool:
    return asked.groups == asked.channels > 1 and len(asked.windows) == 2


def _banded(asked: WeightGradient) -> Tensor:
    """For each row of taps one product of whole rows of pixels; a second, with a matrix of zeros and ones, adds up what
    each tap reads along them."""
    batch, channels = asked.x.shape[:2]
    down, across = asked.windows
    rows, columns = asked.outputs
    multiplier = asked.filters // channels
    dy = asked.dy.reshape(batch, channels, multiplier, rows, columns).transpose(1, 2, 4, 0, 3)
    dy = dy.reshape(channels, multiplier * columns, batch * rows)
    x = asked.x.pad([(0, 0), (0, 0), down.pads or (0, 0), (0, 0)]).transpose(1, 0, 2, 3)
    width = x.shape[3]
    band = Tensor(x.graph, x.graph.initializer(_band(across, columns, width)), (columns * width, across.kernel))
    found = []
    for start in range(0, down.extent, down.dilation):
        read = x.part((start, 0), (rows, width), (down.stride, 1)).reshape(channels, batch * rows, width)
        found.append((dy @ read).reshape(asked.filters, columns * width) @ band)
    return concat(found, axis=1).T.reshape(*asked.shape)


def _band(window: Window, columns: int, width: int) -> Array:
    """[columns*width, taps]: 1 where window `column` reads pixel `pixel` with the tap."""
    before, _ = window.pads or (0, 0)
    column, pixel, tap = np.ogrid[:columns, :width, : window.kernel]
    reads = pixel == column * window.stride + tap * window.dilation - before
    band: Array = reads.reshape(columns * width, window.kernel).astype(np.float32)
    return band


def by_taps(asked: WeightGradient) -> Tensor:
    """A product for each tap over the pixels of all examples, of channels that lie last."""
    batch, groups, axes = asked.x.shape[0], asked.groups, len(asked.windows)
    padded = asked.x.pad([(0, 0), (0, 0), *pads_of(asked.windows)])
    spatial = padded.shape[2:]
    each, out = asked.channels // groups, asked.filters // groups
    x = padded.reshape(batch, groups, each, *spatial).transpose(1, 0, *range(3, 3 + axes), 2)
    dy = asked.dy.reshape(batch, groups, out, asked.places).transpose(1, 2, 0, 3).reshape(groups, out, -1)
    steps = [window.stride for window in asked.windows]
    if groups == 1:
        x, dy = x.reshape(*x.shape[1:]), dy.reshape(out, -1)
    found = []
    for shift in asked.shifts():
        read = x.part((*shift, 0), (*asked.outputs, each), (*steps, 1))
        rows = read.reshape(*(groups,) * (groups > 1), batch * asked.places, each)
        found.append(dy @ rows)
    whole = concat(found, axis=0).reshape(math.prod(asked.taps), groups, out, each)
    return whole.transpose(0, 3, 1, 2).reshape(*asked.shape)


def _is_in_blocks(asked: WeightGradient) -> bool:
    return blocked.has_weight_gradient(asked.x, asked.dy, asked.groups)


def _in_blocks(asked: WeightGradient) -> Tensor:
    """A convolution of onnxruntime's own, with batch and channels exchanged."""
    return blocked.weight_gradient(asked.x, asked.dy, asked.windows)


FORMS: tuple[tuple[Callable[[WeightGradient], bool], Callable[[WeightGradient], Tensor]], ...] = (
    (_is_in_blocks, _in_blocks),
    (_is_pointwise, _pointwise),
    (_is_narrow, side_by_side),
    (_is_depthwise, _banded),
    (lambda asked: True, by_taps),
)
"""What fits, and what it is computed by."""
