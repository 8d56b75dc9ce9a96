"""What kinds with a sliding window share: sizes, reach, and how ONNX is told of the window.

A kind is for sequences, images or volumes; which, its class says with `rank`, the number of axes that windows have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from graphc.dims import SPATIAL_AXES, Dim, Shape, format_shape
from graphc.errors import RuleError
from graphc.kernels.unfold import Grid
from graphc.layers.base import Layer, check_made
from graphc.layers.fields import AtMost, Extent, Kernel, Padding, axis_padding
from graphc.receptive_field import Reach
from graphc.types import Array
from graphc.window import Window

_T = TypeVar("_T")
OF_INPUT = 4
"""So many times its input, or its output, is nothing that a layer makes besides."""
CALLED = {1: "a sequence", 2: "an image", 3: "a volume"}
"""What an example with so many spatial axes is."""


class OfRank(Layer):
    """A kind for examples with a fixed number of spatial axes."""

    rank: ClassVar[int] = 2
    """Spatial axes: 1 of sequences, 2 of images, 3 of volumes."""

    def sizes(self, shape: Shape) -> tuple[Shape, int]:
        """The spatial sizes and the channels of an input, or an error that says what is missing."""
        if len(shape) != self.rank + 1:
            axes = ", ".join((*SPATIAL_AXES[self.rank + 1], "channels"))
            raise RuleError("G201", f"{self.kind} expects {CALLED[self.rank]} ({axes}), got {format_shape(shape)}")
        channels = shape[-1]
        if not isinstance(channels, int):
            raise RuleError("G201", f"{self.kind} expects a fixed number of channels, got {channels}")
        return shape[:-1], channels


class Windowed(OfRank):
    """A layer whose every output reads a window of pixels."""

    kernel: Kernel | None = None
    """The window's pixels: one number for both axes, or [height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    padding: Padding = "valid"
    """same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""

    def fitted(self, *inputs: Shape) -> Layer:
        if self.kernel is None or all(isinstance(extent, int) for extent in self.kernel):
            return self
        sizes, _ = self.sizes(inputs[0])
        fixed = tuple(self._pixels(extent, size) for extent, size in zip(self.kernel, sizes, strict=True))
        return self.model_copy(update={"kernel": fixed})

    def _pixels(self, extent: Extent, size: Dim) -> int:
        """An extent over an input of this size; an open size is one that is large enough."""
        if isinstance(extent, int):
            return extent
        if isinstance(extent, AtMost):
            return min(extent.at_most, size) if isinstance(size, int) else extent.at_most
        if not isinstance(size, int):
            raise RuleError("G205", f"kernel=input needs a fixed size, got {size}; set the resolution", "kernel")
        return size

    @property
    def taps(self) -> tuple[int, ...]:
        """The window's pixels along each axis, of a layer that is fitted to its input."""
        return self.kernel  # type: ignore[return-value]

    def step(self) -> tuple[int, ...]:
        """Pixels from one window to the next."""
        raise NotImplementedError(self.kind)

    def spread(self) -> tuple[int, ...]:
        """Pixels from one tap to the next."""
        return (1,) * self.rank

    @property
    def is_spread(self) -> bool:
        """Whether there are pixels between the taps."""
        return max(self.spread()) > 1

    def windows(self, sizes: Shape) -> tuple[Window, ...]:
        """The window along each axis of these sizes."""
        found = [self.window_along(axis, size) for axis, size in enumerate(sizes)]
        for window in found:
            if window.pads is None:
                self._check_auto_pad(found)
                break
        return tuple(found)

    def _check_auto_pad(self, windows: Sequence[Window]) -> None:
        """Runtimes disagree on, or refuse, SAME_UPPER with dilation, and on windows that leave pixels out."""
        needs = "with padding=same need a fixed size: use same_fixed, or set one"
        if self.is_spread:
            raise RuleError("G205", f"{self.kind}: stride and dilation together {needs}", "padding")
        if any(window.kernel < window.stride for window in windows):
            raise RuleError("G205", f"{self.kind}: strides larger than the kernel {needs}", "padding")

    def window_along(self, axis: int, size: Dim) -> Window:
        padding = axis_padding(self.padding, axis)
        return Window.over(size, self.taps[axis], self.step()[axis], padding, self.spread()[axis])

    def window_outputs(self, shape: Shape) -> Shape:
        """How many windows there are along each axis: the spatial sizes of the output."""
        sizes, channels = self.sizes(shape)
        windows = self.windows(sizes)
        check_padded(windows, channels)
        return tuple([window.output for window in windows])

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return tuple([Reach.of(window) for window in self.windows(self.sizes(inputs[0])[0])])

    def grid(self, sizes: Sequence[int]) -> Grid:
        """The windows over images of these sizes; of volumes those over one of their planes, and of sequences those
        over images of one row."""
        pads = [window.pads or (0, 0) for window in self.windows(tuple(sizes))]
        return Grid.of(
            in_plane(sizes, 1),
            in_plane(self.taps, 1),
            in_plane(self.step(), 1),
            in_plane(pads, (0, 0)),
            in_plane(self.spread(), 1),
        )

    def pads(self, x: Array) -> tuple[tuple[int, int], ...]:
        """Pixels before and after along each axis of these arrays [N, …, C]."""
        return tuple(window.pads or (0, 0) for window in self.windows(x.shape[1:-1]))

    def onnx_window(self, shape: Shape) -> dict[str, Any]:
        """The window as attributes of an ONNX node."""
        windows = self.windows(self.sizes(shape)[0])
        attributes: dict[str, Any] = {"kernel_shape": list(self.taps), "strides": list(self.step())}
        if self.is_spread:
            attributes["dilations"] = list(self.spread())
        pads = [window.pads for window in windows if window.pads is not None]
        if len(pads) < self.rank:
            return {**attributes, "auto_pad": "SAME_UPPER"}  # only the runtime knows the size, and with it the pads
        return {**attributes, "pads": both_ends(pads)}


def check_padded(windows: Sequence[Window], channels: int) -> None:
    """A RuleError where padding makes far more of an input than there is; an open size counts as 1."""
    fixed = [(window.size if isinstance(window.size, int) else 1, sum(window.pads or (0, 0))) for window in windows]
    there, padded = (math.prod(size + count * more for size, more in fixed) for count in (0, 1))
    check_made(channels * (padded - OF_INPUT * there), "in its padding", "padding")


def in_plane(values: Sequence[_T], of_row: _T) -> tuple[_T, _T]:
    """What counts along the last two axes; `of_row` along the first of them where there is but one."""
    first, second = (of_row, *values)[-2:]
    return first, second


def both_ends(pads: Sequence[tuple[int, int]]) -> list[int]:
    """Pads as ONNX has them: before along each axis, then after."""
    return [before for before, _ in pads] + [after for _, after in pads]
