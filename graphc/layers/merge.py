"""Several inputs into one: concat, add, multiply; and multiplication by a constant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import ClassVar, Literal

from graphc.dims import Dim, Shape, format_shape, is_image
from graphc.errors import RuleError
from graphc.kernels.relu import relu, relu_grad
from graphc.layers.base import Layer, elements, scalar, static
from graphc.layers.crop import along, inner_axis
from graphc.layers.fields import Number
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

    axis: Literal["channels", "height", "width"] = "channels"
    """Along which axis; the other sizes are equal."""

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
        ordered = [build.in_order(value) for value in inputs]
        shape = self.infer_shape(*(value.shape for value in inputs))
        return build.op("Concat", *ordered, shape=shape, axis=inner_axis(shape, self.axis))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        axis = 1 + along(inputs[0].shape[1:], self.axis, self.kind)
        ends = np.cumsum([x.shape[axis] for x in inputs])
        shape = (*inputs[0].shape[:axis], int(ends[-1]), *inputs[0].shape[axis + 1 :])
        y = np.concatenate(inputs, axis=axis, out=context.empty(shape, inputs[0].dtype))

        def backward(dy: Array) -> Gradients:
            return Gradients(tuple(np.split(dy, ends[:-1], axis=axis)))

        return Step(y, backward)


class Elementwise(Merge):
    """Equal shapes; an image's may meet 1×1×C, a gate, which counts for every pixel."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        whole = max(inputs, key=lambda shape: is_image(shape) and not _is_gate(shape))
        for shape in inputs:
            if shape != whole and not (_is_gate(shape) and is_image(whole) and shape[2] == whole[2]):
                found = " and ".join(format_shape(shape) for shape in inputs)
                raise RuleError("G202", f"{self.kind} expects equal shapes{_gate_hint(whole)}, got {found}")
        return whole

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs) == 1

    def _emit(self, op: str, build: OnnxBuilder, inputs: Sequence[Value]) -> Value:
        shape = self.infer_shape(*(value.shape for value in inputs))
        y, *others = sorted((build.in_order(value) for value in inputs), key=lambda value: value.shape != shape)
        for other in others:
            y = build.op(op, y, other, shape=shape)
        return y


class Add(Elementwise):
    """The sum of the inputs."""

    kind: ClassVar[str] = "add"
    donates_output: ClassVar[bool] = True

    def count_flops(self, *inputs: Shape) -> int:
        return (len(inputs) - 1) * elements(static(self.infer_shape(*inputs), self.kind))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self._emit("Add", build, inputs)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return self.sum(context, inputs)

    def sum(self, context: Context, inputs: Sequence[Array], with_relu: bool = False) -> Step:
        """`forward` of inputs [N, …], with a ReLU behind it in the same passes over memory or without."""
        first, *others = inputs
        y = context.empty(np.broadcast_shapes(*(x.shape for x in inputs)), first.dtype)

        def add(part: slice) -> None:
            np.add(first[part], others[0][part] if others else 0, out=y[part])
            for x in others[1:]:
                y[part] += x[part]
            if with_relu:
                relu(y[part], y[part])

        def backward(dy: Array) -> Gradients:
            given = relu_grad(context, dy, y) if with_relu else dy
            return Gradients(tuple(_summed(given, x.shape) for x in inputs))

        context.each_slice(add, y)
        return Step(y, backward)


class Multiply(Elementwise):
    """The product of the inputs, number by number."""

    kind: ClassVar[str] = "multiply"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self._emit("Mul", build, inputs)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        def backward(dy: Array) -> Gradients:
            others = [inputs[:i] + inputs[i + 1 :] for i in range(len(inputs))]
            return Gradients(
                tuple(_summed(reduce(np.multiply, rest, dy), x.shape) for x, rest in zip(inputs, others, strict=True))
            )

        return Step(reduce(np.multiply, inputs), backward)


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


def _is_gate(shape: Shape) -> bool:
    return is_image(shape) and shape[:2] == (1, 1)


def _gate_hint(whole: Shape) -> str:
    if not is_image(whole):
        return ""
    return f" or 1×1×{whole[2]} (of a global pooling with keep_dims: true)"


def _summed(dy: Array, shape: tuple[int, ...]) -> Array:
    """dy summed over the pixels where the input of that shape was a gate."""
    return dy if dy.shape == shape else dy.sum(axis=(1, 2), keepdims=True)
