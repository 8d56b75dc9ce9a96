"""Functions of each number by itself that are no activations: bounds, powers, roots, logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.layers.activation import Activation
from graphc.layers.base import scalar
from graphc.layers.fields import Number
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Params


class Clip(Activation):
    """Numbers below a bound become it, and numbers above one."""

    kind: ClassVar[str] = "clip"
    family: ClassVar[str] = "arithmetic"
    positional: ClassVar[tuple[str, ...]] = ("minimum", "maximum")

    minimum: Number | None = None
    """The least that is left as it is; none: there is no such bound."""
    maximum: Number | None = None
    """The most that is left as it is; none: there is no such bound."""

    @model_validator(mode="after")
    def _in_order(self) -> Clip:
        if self.minimum is None and self.maximum is None:
            raise ValueError("expected a minimum, a maximum or both, found none")
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(f"expected a minimum below the maximum, found {self.minimum:g} and {self.maximum:g}")
        return self

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        least = None if self.minimum is None else scalar(build, "minimum", self.minimum)
        most = None if self.maximum is None else scalar(build, "maximum", self.maximum)
        return build.op("Clip", inputs[0], least, most)

    def value(self, x: Array) -> Array:
        return np.clip(x, self._least, self._most)

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = (x > self._least) & (x < self._most)
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        if self.minimum is None or self.maximum is None:
            return x.above(self.minimum) if self.minimum is not None else x.below(self._most)
        return x.above(self.minimum) * x.below(self.maximum)

    @property
    def _least(self) -> float:
        return -np.inf if self.minimum is None else self.minimum

    @property
    def _most(self) -> float:
        return np.inf if self.maximum is None else self.maximum


class Absolute(Activation):
    """|x|."""

    kind: ClassVar[str] = "absolute"
    gives: ClassVar[str] = "no number below 0"
    family: ClassVar[str] = "arithmetic"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Abs", inputs[0])

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.sign(x)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x.sign()


class Square(Activation):
    """x*x."""

    kind: ClassVar[str] = "square"
    gives: ClassVar[str] = "no number below 0"
    family: ClassVar[str] = "arithmetic"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Mul", inputs[0], inputs[0])

    def value(self, x: Array) -> Array:
        return np.square(x)

    def derivative(self, x: Array, y: Array) -> Array:
        derivative: Array = 2 * x
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * x


class Sqrt(Activation):
    """The square root; of a number below 0 it is none (NaN), as in ONNX."""

    kind: ClassVar[str] = "sqrt"
    gives: ClassVar[str] = "no number below 0"
    family: ClassVar[str] = "arithmetic"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Sqrt", inputs[0])

    def value(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.sqrt(x)

    def derivative(self, x: Array, y: Array) -> Array:
        # At 0 the slope is infinite: no gradient comes through, so that a channel of zeros spoils no training.
        return np.divide(0.5, y, out=np.zeros_like(y), where=y != 0)

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        zero = y.equals(0)
        return 0.5 / (y + zero) * (1 - zero)


class Exp(Activation):
    """e to the power of x."""

    kind: ClassVar[str] = "exp"
    gives: ClassVar[str] = "no number below 0"
    family: ClassVar[str] = "arithmetic"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Exp", inputs[0])

    def value(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return y

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return y


class Log(Activation):
    """The natural logarithm; of 0 it is infinite, of a number below none (NaN), as in ONNX."""

    kind: ClassVar[str] = "log"
    family: ClassVar[str] = "arithmetic"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Log", inputs[0])

    def value(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(x)

    def derivative(self, x: Array, y: Array) -> Array:
        with np.errstate(divide="ignore"):
            derivative: Array = 1 / x
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 1 / x


class Power(Activation):
    """x to a power; with one that is no whole number, of a number below 0 it is none (NaN), as in ONNX."""

    kind: ClassVar[str] = "power"
    family: ClassVar[str] = "arithmetic"
    positional: ClassVar[tuple[str, ...]] = ("exponent",)

    exponent: Number
    """The power; -1 for the reciprocal."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Pow", inputs[0], scalar(build, "exponent", self.exponent))

    def value(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            power: Array = np.power(x, x.dtype.type(self.exponent))
        return power

    def derivative(self, x: Array, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            derivative: Array = self.exponent * np.power(x, x.dtype.type(self.exponent - 1))
        return derivative

    def emit_derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return self.exponent * x ** (self.exponent - 1)
