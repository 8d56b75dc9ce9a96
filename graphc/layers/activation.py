"""Activations made of straight lines: ReLU and its relations. The curved ones are in `smooth_activation`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.kernels.relu import relu, relu_grad
from graphc.layers.base import Layer, scalar
from graphc.layers.fields import LARGEST, Number, PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class Activation(Layer):
    """An element-wise function without variables."""

    family: ClassVar[str] = "activation"
    elementwise: ClassVar[bool] = True

    @abstractmethod
    def value(self, x: Array) -> Array:
        """The function, element by element: a new array of x's shape and dtype."""

    @abstractmethod
    def derivative(self, x: Array, y: Array) -> Array:
        """Its derivative at x, where y is its value, in x's shape and dtype; at a corner the flatter one."""

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = context.empty(x.shape, x.dtype)

        def fill(part: slice) -> None:
            y[part] = self.value(x[part])

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, x.dtype)
            context.each_slice(lambda part: np.multiply(dy[part], self.derivative(x[part], y[part]), out=dx[part]), x)
            return Gradients((dx,))

        context.each_slice(fill, x)
        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        y = build.emitted(self, [x])
        return EmittedStep(y, lambda dy: EmittedGradients((dy * self.emit_derivative(x, y),)))

    @abstractmethod
    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        """`derivative` in nodes."""


class Relu(Layer):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"
    gives: ClassVar[str] = "no number below 0"
    family: ClassVar[str] = "activation"
    elementwise: ClassVar[bool] = True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Relu", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = x if context.inplace else context.empty(x.shape, x.dtype)
        context.each_slice(lambda part: relu(x[part], y[part]), x)

        def backward(dy: Array) -> Gradients:
            return Gradients((relu_grad(context, dy, y),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y = build.emitted(self, inputs)
        return EmittedStep(y, lambda dy: EmittedGradients((dy * y.above(0),)))


class Relu6(Activation):
    """min(max(x, 0), 6)."""

    kind: ClassVar[str] = "relu6"
    gives: ClassVar[str] = "numbers from 0 to 6"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Clip", inputs[0], scalar(build, "zero", 0), scalar(build, "six", 6))

    def value(self, x: Array) -> Array:
        return np.clip(x, 0, 6)

    def derivative(self, x: Array, y: Array) -> Array:
        return (y > 0) & (y < 6)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return y.above(0) * y.below(6)


class LeakyRelu(Activation):
    """x above zero, alpha*x below."""

    kind: ClassVar[str] = "leaky_relu"
    positional: ClassVar[tuple[str, ...]] = ("alpha",)

    alpha: Number = 0.01
    """Slope below zero."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("LeakyRelu", inputs[0], alpha=self.alpha)

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * x)

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = np.where(x > 0, x.dtype.type(1), x.dtype.type(self.alpha))
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x.above(0) * (1 - self.alpha) + self.alpha


class ThresholdedRelu(Activation):
    """x above a threshold, 0 below."""

    kind: ClassVar[str] = "thresholded_relu"
    positional: ClassVar[tuple[str, ...]] = ("threshold",)

    threshold: Number = 1.0
    """What x has to exceed: Keras's theta, ONNX's alpha."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("ThresholdedRelu", inputs[0], alpha=self.threshold)

    def value(self, x: Array) -> Array:
        return np.where(x > np.float32(self.threshold), x, x.dtype.type(0))

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = x > np.float32(self.threshold)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x.above(self.threshold)


class HardTanh(Activation):
    """x between -1 and 1, beyond them these: `clip` takes other bounds."""

    kind: ClassVar[str] = "hard_tanh"
    gives: ClassVar[str] = "numbers from -1 to 1"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Clip", inputs[0], scalar(build, "least", -1), scalar(build, "most", 1))

    def value(self, x: Array) -> Array:
        return np.clip(x, -1, 1)

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = np.abs(x) < 1
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x.abs().below(1)


class HardSigmoid(Activation):
    """alpha*x + beta between 0 and 1; by default relu6(x + 3)/6, as in MobileNetV3, Keras 3 and PyTorch."""

    kind: ClassVar[str] = "hard_sigmoid"
    gives: ClassVar[str] = "probabilities"
    positional: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    alpha: PositiveNumber = 1 / 6
    """Slope between 0 and 1; ONNX's and Keras 2's default is 0.2."""
    beta: Number = 0.5
    """Value at 0."""

    @model_validator(mode="after")
    def _held(self) -> HardSigmoid:
        if max(1, abs(self.beta)) / self.alpha > LARGEST:
            raise ValueError(f"expected an alpha with which 1/alpha and beta/alpha fit float32, found {self.alpha:g}")
        return self

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        # Not ONNX's HardSigmoid: OpenCV takes Mul(x, HardSigmoid(y)) for HardSwish(y) without an error.
        raised = build.op("Add", inputs[0], scalar(build, "shift", self.beta / self.alpha))
        clipped = build.op("Clip", raised, scalar(build, "zero", 0), scalar(build, "most", 1 / self.alpha))
        return build.op("Mul", clipped, scalar(build, "slope", self.alpha))

    def value(self, x: Array) -> Array:
        value: Array = np.clip(x + self.beta / self.alpha, 0, 1 / self.alpha) / (1 / self.alpha)
        return value

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = ((y > 0) & (y < 1)) * x.dtype.type(self.alpha)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return y.above(0) * y.below(1) * self.alpha


class HardSwish(Activation):
    """x*relu6(x + 3)/6, as in MobileNetV3."""

    kind: ClassVar[str] = "hard_swish"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("HardSwish", inputs[0])

    def value(self, x: Array) -> Array:
        value: Array = x * np.clip(x + 3, 0, 6) / 6
        return value

    def derivative(self, x: Array, y: Array) -> Array:
        return np.where(np.abs(x) < 3, (2 * x + 3) / 6, (x > 0).astype(x.dtype))

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        inside = x.abs().below(3)
        return inside * (x + 1.5) / 3 + (1 - inside) * x.above(0)
