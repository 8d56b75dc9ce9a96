"""What kinds with a sliding window share: sizes, reach, and how ONNX is told of the window."""

from __future__ import annotations

from typing import Any

from graphc.dims import Dim, Shape
from graphc.errors import RuleError
from graphc.kernels.unfold import Grid, Pads
from graphc.layers.base import Layer, image
from graphc.layers.fields import AtMost, Extent, Kernel, Padding, axis_padding
from graphc.receptive_field import Reach
from graphc.types import Array
from graphc.window import Window


class Windowed(Layer):
    """A layer whose every output reads a window of pixels."""

    kernel: Kernel | None = None
    """The window's pixels: one number for both axes, or [height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    padding: Padding = "valid"
    """same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""

    def fitted(self, *inputs: Shape) -> Layer:
        if self.kernel is None or all(isinstance(extent, int) for extent in self.kernel):
            return self
        height, width, _ = image(inputs[0], self.kind)
        sizes = self._pixels(self.kernel[0], height), self._pixels(self.kernel[1], width)
        return self.model_copy(update={"kernel": sizes})

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
    def taps(self) -> tuple[int, int]:
        """The window's pixels, (height, width), of a layer that is fitted to its input."""
        assert self.kernel is not None
        height, width = self.kernel
        assert isinstance(height, int)
        assert isinstance(width, int)
        return height, width

    def step(self) -> tuple[int, int]:
        """Pixels from one window to the next."""
        raise NotImplementedError(self.kind)

    def spread(self) -> tuple[int, int]:
        """Pixels from one tap to the next."""
        return 1, 1

    def windows(self, height: Dim, width: Dim) -> tuple[Window, Window]:
        """The window along both axes of an image."""
        pair = self.window_along(0, height), self.window_along(1, width)
        if None in (pair[0].pads, pair[1].pads):
            self._check_auto_pad(pair)
        return pair

    def _check_auto_pad(self, pair: tuple[Window, Window]) -> None:
        """Runtimes disagree on, or refuse, SAME_UPPER with dilation, and on windows that leave pixels out."""
        needs = "with padding=same need a fixed size: use same_fixed, or set one"
        if self.spread() != (1, 1):
            raise RuleError("G205", f"{self.kind}: stride and dilation together {needs}", "padding")
        if any(window.kernel < window.stride for window in pair):
            raise RuleError("G205", f"{self.kind}: strides larger than the kernel {needs}", "padding")

    def window_along(self, axis: int, size: Dim) -> Window:
        padding = axis_padding(self.padding, axis)
        return Window.over(size, self.taps[axis], self.step()[axis], padding, self.spread()[axis])

    def plane(self, shape: Shape) -> tuple[Dim, Dim]:
        """Height and width of the output."""
        height, width, _ = image(shape, self.kind)
        rows, columns = self.windows(height, width)
        return rows.output, columns.output

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        height, width, _ = image(inputs[0], self.kind)
        rows, columns = self.windows(height, width)
        return Reach.of(rows), Reach.of(columns)

    def grid(self, height: int, width: int) -> Grid:
        """The windows over images of this size."""
        rows, columns = self.windows(height, width)
        assert rows.pads is not None
        assert columns.pads is not None
        return Grid.of((height, width), self.taps, self.step(), (rows.pads, columns.pads), self.spread())

    def pads(self, x: Array) -> Pads:
        """Pixels around these images [N, H, W, C]."""
        return self.grid(x.shape[1], x.shape[2]).pads

    def onnx_window(self, shape: Shape) -> dict[str, Any]:
        """The window as attributes of an ONNX node."""
        height, width, _ = image(shape, self.kind)
        rows, columns = self.windows(height, width)
        attributes: dict[str, Any] = {"kernel_shape": list(self.taps), "strides": list(self.step())}
        if self.spread() != (1, 1):
            attributes["dilations"] = list(self.spread())
        if rows.pads is None or columns.pads is None:
            return {**attributes, "auto_pad": "SAME_UPPER"}  # only the runtime knows the size, and with it the pads
        (top, bottom), (left, right) = rows.pads, columns.pads
        return {**attributes, "pads": [top, left, bottom, right]}
