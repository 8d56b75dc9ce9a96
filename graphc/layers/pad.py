"""Padding by pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from graphc.dims import Dim, Shape
from graphc.errors import RuleError
from graphc.layers.base import Layer, image, scalar
from graphc.layers.fields import Number, PixelPadding
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.types import Array, Context, Gradients, Params, Step


class Pad(Layer):
    """Pixels around an image."""

    kind: ClassVar[str] = "pad"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("padding",)

    padding: PixelPadding
    """Pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""
    mode: Literal["constant", "reflect"] = "constant"
    """constant: every new pixel is `value`. reflect: mirrored at the border pixel, which is not repeated."""
    value: Number = 0.0
    """What constant padding puts in."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        return self._padded(height, 0, "height"), self._padded(width, 1, "width"), channels

    def _padded(self, size: Dim, axis: int, name: str) -> Dim:
        before, after = self.padding[axis]
        if self.mode == "reflect" and isinstance(size, int) and max(before, after) >= size:
            message = f"reflecting {max(before, after)} pixels needs a {name} of more than that, got {size}"
            raise RuleError("G203", message, "padding")
        return size + before + after

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        (top, _), (left, _) = self.padding
        return Reach(1, 1, (-top,), (-top,)), Reach(1, 1, (-left,), (-left,))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.padding == ((0, 0), (0, 0))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        (top, bottom), (left, right) = self.padding
        pads = build.constant("pads", np.asarray([0, 0, top, left, 0, 0, bottom, right], np.int64))
        value = [scalar(build, "value", self.value)] if self.mode == "constant" else []
        return build.op("Pad", x, pads, *value, shape=self.infer_shape(x.shape), mode=self.mode)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        pads = ((0, 0), *self.padding, (0, 0))
        y = np.pad(x, pads, constant_values=self.value) if self.mode == "constant" else np.pad(x, pads, mode="reflect")

        def backward(dy: Array) -> Gradients:
            if self.mode == "reflect":
                dy = self._folded(self._folded(dy, 1), 2)
            (top, _), (left, _) = self.padding
            return Gradients((dy[:, top : top + x.shape[1], left : left + x.shape[2]],))

        return Step(y, backward)

    def _folded(self, dy: Array, axis: int) -> Array:
        """dy with each mirrored pixel's gradient added to its original's."""
        before, after = self.padding[axis - 1]
        dy = np.moveaxis(dy, axis, 0).copy()
        end = len(dy) - after
        dy[before + 1 : 2 * before + 1] += dy[:before][::-1]
        dy[end - 1 - after : end - 1] += dy[end:][::-1]
        return np.moveaxis(dy, 0, axis)
