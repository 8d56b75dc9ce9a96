"""Activations with a curve: the sigmoid and exponential families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from graphc.kernels.erf import erf
from graphc.layers.activation import Activation
from graphc.layers.base import scalar
from graphc.layers.fields import Number
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Params

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805
"""Klambauer et al., Self-Normalizing Neural Networks, 2017."""

_BEND = 0.044715
_STRETCH = math.sqrt(2 / math.pi)
"""Of GELU's approximation: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016."""


def _sigmoid(x: Array) -> Array:
    """1/(1 + exp(-x)) without overflow."""
    decay = np.exp(-np.abs(x))
    value: Array = np.where(x >= 0, x.dtype.type(1), decay) / (1 + decay)
    return value


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


class Elu(Activation):
    """x above zero, alpha*(exp(x) - 1) below."""

    kind: ClassVar[str] = "elu"
    positional: ClassVar[tuple[str, ...]] = ("alpha",)
    costly: ClassVar[str] = "elu makes a network about 25 % slower than relu in onnxruntime"

    alpha: Number = 1.0
    """What the function tends to far below zero, negated."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Elu", inputs[0], alpha=self.alpha)

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def derivative(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), y + self.alpha)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        above = x.above(0)
        return above + (1 - above) * (y + self.alpha)


class Selu(Activation):
    """A scaled ELU that keeps mean 0 and variance 1 from layer to layer."""

    kind: ClassVar[str] = "selu"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Selu", inputs[0], alpha=_SELU_ALPHA, gamma=_SELU_SCALE)

    def value(self, x: Array) -> Array:
        return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))

    def derivative(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, x.dtype.type(_SELU_SCALE), y + _SELU_SCALE * _SELU_ALPHA)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        above = x.above(0)
        return above * _SELU_SCALE + (1 - above) * (y + _SELU_SCALE * _SELU_ALPHA)


class Sigmoid(Activation):
    """1/(1 + exp(-x))."""

    kind: ClassVar[str] = "sigmoid"
    gives: ClassVar[str] = "probabilities"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Sigmoid", inputs[0])

    def value(self, x: Array) -> Array:
        return _sigmoid(x)

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = y * (1 - y)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return y * (1 - y)


class Tanh(Activation):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "tanh"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Tanh", inputs[0])

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 1 - y * y

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 1 - y * y


class Softsign(Activation):
    """x/(1 + |x|)."""

    kind: ClassVar[str] = "softsign"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Softsign", inputs[0])

    def value(self, x: Array) -> Array:
        value: Array = x / (1 + np.abs(x))
        return value

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = 1 / np.square(1 + np.abs(x))
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        beside = 1 + x.abs()
        return 1 / (beside * beside)


class Softplus(Activation):
    """log(1 + exp(x))."""

    kind: ClassVar[str] = "softplus"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Softplus", inputs[0])

    def value(self, x: Array) -> Array:
        return _softplus(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return _sigmoid(x)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x.sigmoid()


class Silu(Activation):
    """x*sigmoid(x), also called swish."""

    kind: ClassVar[str] = "silu"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Mul", inputs[0], build.op("Sigmoid", inputs[0]))

    def value(self, x: Array) -> Array:
        return x * _sigmoid(x)

    def derivative(self, x: Array, y: Array) -> Array:
        gate = _sigmoid(x)
        derivative: Array = gate + y * (1 - gate)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        gate = x.sigmoid()
        return gate + y * (1 - gate)


class Mish(Activation):
    """x*tanh(softplus(x))."""

    kind: ClassVar[str] = "mish"
    costly: ClassVar[str] = "mish makes a network about 2.8 times as slow as relu does in onnxruntime"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Mul", inputs[0], build.op("Tanh", build.op("Softplus", inputs[0])))

    def value(self, x: Array) -> Array:
        return x * np.tanh(_softplus(x))

    def derivative(self, x: Array, y: Array) -> Array:
        gate = np.tanh(_softplus(x))
        derivative: Array = gate + x * (1 - gate * gate) * _sigmoid(x)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        gate = x.apply("Softplus").apply("Tanh")
        return gate + x * (1 - gate * gate) * x.sigmoid()


class Gelu(Activation):
    """x*Φ(x), Φ being the normal distribution function."""

    kind: ClassVar[str] = "gelu"

    approximate: Literal["tanh"] | None = None
    """tanh: Φ(x) as (1 + tanh(sqrt(2/π)*(x + 0.044715*x³)))/2, as in GPT-2; exact otherwise."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        if self.approximate:  # (1 + tanh(u))/2 = sigmoid(2*u); OpenCV 5 crashes on the form with tanh
            bend = build.op("Mul", build.op("Mul", x, x), scalar(build, "bend", 2 * _STRETCH * _BEND))
            slope = build.op("Add", bend, scalar(build, "stretch", 2 * _STRETCH))
            return build.op("Mul", x, build.op("Sigmoid", build.op("Mul", x, slope)))
        curve = build.op("Erf", build.op("Div", x, scalar(build, "sqrt_2", math.sqrt(2))))
        raised = build.op("Add", curve, scalar(build, "one", 1))
        return build.op("Mul", build.op("Mul", x, raised), scalar(build, "half", 0.5))

    def value(self, x: Array) -> Array:
        return x * self._share(x)

    def derivative(self, x: Array, y: Array) -> Array:
        share = self._share(x)
        if self.approximate:
            steepness = _STRETCH * (1 + 3 * _BEND * x * x)
            total: Array = share + x * 2 * share * (1 - share) * steepness  # tanh' = 4*share*(1 - share)
            return total
        return share + x * np.exp(-x * x / 2) * (1 / math.sqrt(2 * math.pi))

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        if self.approximate:  # (1 + tanh(u))/2 = sigmoid(2*u)
            square = x * x
            share = (x * (square * (2 * _STRETCH * _BEND) + 2 * _STRETCH)).sigmoid()
            return share + x * 2 * share * (1 - share) * ((square * (3 * _BEND) + 1) * _STRETCH)
        share = ((x / math.sqrt(2)).apply("Erf") + 1) * 0.5
        return share + x * (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))

    def _share(self, x: Array) -> Array:
        """Φ(x)."""
        if self.approximate:
            return (1 + np.tanh(_STRETCH * (x + _BEND * x * x * x))) / 2
        return (1 + erf(x * math.sqrt(0.5))) / 2
