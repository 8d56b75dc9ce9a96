"""Inputs into one, number by number: sums, products, differences, quotients, the largest, the smallest, the mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add, mul
from typing import ClassVar

from graphc.dims import Shape
from graphc.kernels.relu import relu, relu_grad
from graphc.layers.base import elements, scalar, static
from graphc.layers.broadcast import aligned, broadcast, emit_widened, summed
from graphc.layers.merge import Merge
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.training_graph.broadcast import emit_summed, widened
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class Broadcasting(Merge):
    """Inputs of one shape, or of shapes that broadcast to one (`graphc.layers.broadcast`)."""

    operator: ClassVar[str] = "Add"
    """ONNX's, of two inputs."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return broadcast(self.kind, inputs)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return (HERE,) * (max(map(len, inputs)) - 1)

    def sees_all(self, *inputs: Shape) -> Sequence[bool]:
        """One position that is repeated counts for every output, and so for all that it sees itself."""
        plane = self.infer_shape(*inputs)[:-1]
        return [each[:-1] != plane for each in inputs]

    def emit_joined(self, build: OnnxBuilder, values: Sequence[Value]) -> Value:
        """Values of one rank, one after the other through the operator."""
        y, *others = values
        for other in others:
            y = build.op(self.operator, y, other, shape=broadcast(self.kind, (y.shape, other.shape)))
        return y


class Elementwise(Broadcasting):
    """One operator between the inputs."""

    ordered: ClassVar[bool] = False
    """Whether it matters which input comes first."""

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs) == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        shape = self.infer_shape(*(value.shape for value in inputs))
        values = build.as_first([emit_widened(build, value, len(shape)) for value in inputs])
        return self.emit_joined(build, values if self.ordered else whole_first(values, shape))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y = build.emitted(self, inputs)
        wide = [widened(x, y.rank) for x in inputs]

        def backward(dy: Tensor) -> EmittedGradients:
            parts = self.emit_parts(dy, wide, y)
            return EmittedGradients(tuple(emit_summed(part, x) for part, x in zip(parts, inputs, strict=True)))

        return EmittedStep(y, backward)

    @abstractmethod
    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        """The gradient of each input, widened to the output's rank, in the output's shape."""


def whole_first(values: Sequence[Value], shape: Shape) -> list[Value]:
    """Those that have the output's shape before those that broadcast to it."""
    return sorted(values, key=lambda value: value.shape != shape)


class Add(Elementwise):
    """The sum of the inputs."""

    kind: ClassVar[str] = "add"
    operator: ClassVar[str] = "Add"
    is_sum: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    def count_flops(self, *inputs: Shape) -> int:
        return (len(inputs) - 1) * elements(static(self.infer_shape(*inputs), self.kind))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return self.sum(context, inputs)

    def sum(self, context: Context, inputs: Sequence[Array], with_relu: bool = False) -> Step:
        """`forward` of inputs [N, …], with a ReLU behind it in the same passes over memory or without."""
        first, *others = aligned(inputs)
        y = context.empty(np.broadcast_shapes(first.shape, *(x.shape for x in others)), first.dtype)

        def add(part: slice) -> None:
            np.add(first[part], others[0][part] if others else 0, out=y[part])
            for x in others[1:]:
                y[part] += x[part]
            if with_relu:
                relu(y[part], y[part])

        def backward(dy: Array) -> Gradients:
            given = relu_grad(context, dy, y) if with_relu else dy
            return Gradients(tuple(summed(given, x.shape) for x in inputs))

        context.each_slice(add, y)
        return Step(y, backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        return [dy] * len(inputs)


class Average(Elementwise):
    """The mean of the inputs, number by number."""

    kind: ClassVar[str] = "average"
    operator: ClassVar[str] = "Add"
    donates_output: ClassVar[bool] = True

    def count_flops(self, *inputs: Shape) -> int:
        return len(inputs) * elements(static(self.infer_shape(*inputs), self.kind))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        total = super().emit(build, inputs, params)
        return build.op("Mul", total, scalar(build, "share", 1 / len(inputs))) if len(inputs) > 1 else total

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        y = reduce(np.add, aligned(inputs)) * (1 / len(inputs))

        def backward(dy: Array) -> Gradients:
            return Gradients(tuple(summed(dy, x.shape) * (1 / len(inputs)) for x in inputs))

        return Step(y, backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        return [dy * (1 / len(inputs))] * len(inputs)


class Multiply(Elementwise):
    """The product of the inputs, number by number."""

    kind: ClassVar[str] = "multiply"
    operator: ClassVar[str] = "Mul"

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        wide = aligned(inputs)

        def backward(dy: Array) -> Gradients:
            others = [wide[:i] + wide[i + 1 :] for i in range(len(wide))]
            return Gradients(
                tuple(summed(reduce(np.multiply, rest, dy), x.shape) for x, rest in zip(inputs, others, strict=True))
            )

        return Step(reduce(np.multiply, wide), backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        return [reduce(mul, inputs[:i] + inputs[i + 1 :], dy) for i in range(len(inputs))]


class Subtract(Elementwise):
    """The first input minus the second."""

    kind: ClassVar[str] = "subtract"
    operator: ClassVar[str] = "Sub"
    ordered: ClassVar[bool] = True
    inputs_at_least: ClassVar[int] = 2
    inputs_at_most: ClassVar[int | None] = 2
    donates_output: ClassVar[bool] = True

    def count_flops(self, *inputs: Shape) -> int:
        return elements(static(self.infer_shape(*inputs), self.kind))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        one, other = aligned(inputs)

        def backward(dy: Array) -> Gradients:
            return Gradients((summed(dy, inputs[0].shape), -summed(dy, inputs[1].shape)))

        return Step(one - other, backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        return [dy, -dy]


class Divide(Elementwise):
    """The first input over the second; over 0 it is infinite, as in ONNX."""

    kind: ClassVar[str] = "divide"
    operator: ClassVar[str] = "Div"
    ordered: ClassVar[bool] = True
    inputs_at_least: ClassVar[int] = 2
    inputs_at_most: ClassVar[int | None] = 2

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        one, other = aligned(inputs)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = one / other

        def backward(dy: Array) -> Gradients:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                share = dy / other
                return Gradients((summed(share, inputs[0].shape), -summed(share * y, inputs[1].shape)))

        return Step(y, backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        share = dy / inputs[1]
        return [share, -(share * y)]


class Extreme(Elementwise):
    """What the largest and the smallest share: inputs that are equal there get equal parts of the gradient, as in
    PyTorch."""

    @staticmethod
    @abstractmethod
    def chosen(one: Array, other: Array) -> Array:
        """The larger or smaller of both, of any shape, element by element, in the shape that they broadcast to."""

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        wide = aligned(inputs)
        y: Array = reduce(self.chosen, wide)

        def backward(dy: Array) -> Gradients:
            held = [x == y for x in wide]
            share = dy / np.maximum(np.sum(held, axis=0, dtype=dy.dtype), 1)  # none is equal to NaN
            return Gradients(tuple(summed(share * mask, x.shape) for x, mask in zip(inputs, held, strict=True)))

        return Step(y, backward)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        held = [x.equals(y) for x in inputs]
        share = dy / reduce(add, held).clip(1)
        return [share * mask for mask in held]


class Maximum(Extreme):
    """The largest of the inputs, number by number."""

    kind: ClassVar[str] = "maximum"
    operator: ClassVar[str] = "Max"

    @staticmethod
    def chosen(one: Array, other: Array) -> Array:
        return np.maximum(one, other)


class Minimum(Extreme):
    """The smallest of the inputs, number by number."""

    kind: ClassVar[str] = "minimum"
    operator: ClassVar[str] = "Min"

    @staticmethod
    def chosen(one: Array, other: Array) -> Array:
        return np.minimum(one, other)
