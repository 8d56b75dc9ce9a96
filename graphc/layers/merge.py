"""Any number of inputs into one, one after the other; and multiplication by a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Dim, Shape, format_shape
from graphc.errors import RuleError
from graphc.layers.base import Layer, scalar, static
from graphc.layers.crop import along
from graphc.layers.fields import AxisName, Number
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class Merge(Layer):
    """Any number of inputs."""

    family: ClassVar[str] = "merge"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)
    inputs_at_most: ClassVar[int | None] = None


class Concat(Merge):
    """Inputs one after the other along an axis."""

    kind: ClassVar[str] = "concat"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("axis",)

    axis: AxisName = "channels"
    """Along which axis (channels; height, width, depth or length); the other sizes are equal."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        axis = along(inputs[0], self.axis, self.kind)
        total: Dim = 0
        for shape in inputs:
            if len(shape) != len(inputs[0]) or _without(shape, axis) != _without(inputs[0], axis):
                found = f"{format_shape(inputs[0])} and {format_shape(shape)}"
                raise RuleError("G202", f"concat along {self.axis} expects otherwise equal shapes, got {found}")
            total = total + shape[axis]
        return (*inputs[0][:axis], total, *inputs[0][axis + 1 :])

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs) == 1

    def split_affine(self, scale: Array, offset: Array, *inputs: Shape) -> list[tuple[Array, Array]]:
        if along(inputs[0], self.axis, self.kind) != len(inputs[0]) - 1:
            return [(scale, offset)] * len(inputs)
        ends = np.cumsum([static(shape[-1:], self.kind) for shape in inputs])
        return list(zip(np.split(scale, ends[:-1]), np.split(offset, ends[:-1]), strict=True))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if len(inputs) == 1:
            return inputs[0]
        ordered = build.as_first([build.in_order(value) for value in inputs])
        shape = self.infer_shape(*(value.shape for value in inputs))
        return build.op("Concat", *ordered, shape=shape, axis=ordered[0].axis(along(shape, self.axis, self.kind)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        axis = 1 + along(inputs[0].shape[1:], self.axis, self.kind)
        ends = np.cumsum([x.shape[axis] for x in inputs])
        shape = (*inputs[0].shape[:axis], int(ends[-1]), *inputs[0].shape[axis + 1 :])
        y = np.concatenate(inputs, axis=axis, out=context.empty(shape, inputs[0].dtype))

        def backward(dy: Array) -> Gradients:
            return Gradients(tuple(np.split(dy, ends[:-1], axis=axis)))

        return Step(y, backward)


class Scale(Layer):
    """The input times a constant, such as the 0.17 of Inception-ResNet's residuals."""

    kind: ClassVar[str] = "scale"
    family: ClassVar[str] = "merge"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    elementwise: ClassVar[bool] = True

    factor: Number
    """The constant."""

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        return np.asarray(self.factor, np.float32), np.asarray(0, np.float32)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.factor == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Mul", inputs[0], scalar(build, "factor", self.factor))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return Step(inputs[0] * self.factor, lambda dy: Gradients((dy * self.factor,)))


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]
