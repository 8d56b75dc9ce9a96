"""Padding by pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from graphc.dims import Dim, Shape
from graphc.kernels.border import add_border, border_gradient
from graphc.layers.base import Layer, image, scalar
from graphc.layers.border import check_border, emit_border
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
    mode: Literal["constant", "reflect", "edge", "symmetric", "circular"] = "constant"
    """constant: every new pixel is `value`. reflect: mirrored at the border pixel, which is not repeated. edge: the
    border pixel again (PyTorch's replicate). symmetric: mirrored, the border pixel too. circular: from the other side
    (NumPy's wrap)."""
    value: Number = 0.0
    """What constant padding puts in."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        return self._padded(height, 0, "height"), self._padded(width, 1, "width"), channels

    def _padded(self, size: Dim, axis: int, name: str) -> Dim:
        if self.mode != "constant":
            check_border(size, self.padding[axis], self.mode, name)
        return size + sum(self.padding[axis])

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        (top, _), (left, _) = self.padding
        return Reach(1, 1, (-top,), (-top,)), Reach(1, 1, (-left,), (-left,))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.padding == ((0, 0), (0, 0))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        if self.mode != "constant":
            return emit_border(build, x, self.padding, self.mode)
        (top, bottom), (left, right) = self.padding
        pads = build.constant("pads", np.asarray([0, 0, top, left, 0, 0, bottom, right], np.int64))
        value = scalar(build, "value", self.value)
        return build.op("Pad", x, pads, value, shape=self.infer_shape(x.shape), mode="constant")

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        mode = self.mode
        if mode != "constant":
            y = add_border(context, x, self.padding, mode)
            return Step(y, lambda dy: Gradients((border_gradient(context, dy, self.padding, mode),)))
        y = np.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=self.value)
        (top, _), (left, _) = self.padding
        return Step(y, lambda dy: Gradients((dy[:, top : top + x.shape[1], left : left + x.shape[2]],)))
