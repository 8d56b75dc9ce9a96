"""Sums whose summands have learned weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import ClassVar, Literal

from graphc.dims import Shape
from graphc.initializers import Constant
from graphc.layers.base import elements, scalar, static
from graphc.layers.broadcast import aligned, emit_widened, summed
from graphc.layers.elementwise_merge import Broadcasting, whole_first
from graphc.layers.fields import Bool, PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.broadcast import emit_summed, widened
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class WeightedSum(Broadcasting):
    """The sum of the inputs, each times a learned share: `weights` [inputs], 1 at first, made shares of one."""

    kind: ClassVar[str] = "weighted_sum"
    donates_output: ClassVar[bool] = True

    normalization: Literal["fast", "softmax", "none"] = "fast"
    """How shares are made of weights: fast, those below 0 as 0, over their sum (EfficientDet's); softmax; none: the
    weights are factors as they are."""
    epsilon: PositiveNumber = 1e-4
    """What fast adds to the sum."""
    trainable: Bool = True
    """Whether training changes the weights."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        return {"weights": ParamSpec((len(inputs),), Constant(value=1.0), self.trainable)}

    def does_nothing(self, *inputs: Shape) -> bool:
        return False

    def count_flops(self, *inputs: Shape) -> int:
        return (2 * len(inputs) - 1) * elements(static(self.infer_shape(*inputs), self.kind))

    def shares(self, weights: Array) -> Array:
        """The inputs' factors [inputs] of the weights [inputs]."""
        if self.normalization == "none":
            return weights
        if self.normalization == "fast":
            positive = np.maximum(weights, 0)
            return np.asarray(positive / (positive.sum() + weights.dtype.type(self.epsilon)))
        exponents = np.exp(weights - weights.max())
        return np.asarray(exponents / exponents.sum())

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        shape = self.infer_shape(*(value.shape for value in inputs))
        values = build.as_first([emit_widened(build, value, len(shape)) for value in inputs])
        shares = self.shares(params["weights"])
        scaled = [
            build.op("Mul", value, scalar(build, f"share_{number}", float(share)))
            for number, (value, share) in enumerate(zip(values, shares, strict=True))
        ]
        return self.emit_joined(build, whole_first(scaled, shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        weights, wide = params["weights"], aligned(inputs)
        shares = self.shares(weights)
        y = reduce(add, (x * share for x, share in zip(wide, shares, strict=True)))

        def backward(dy: Array) -> Gradients:
            dx = tuple(summed(dy * share, x.shape) for x, share in zip(inputs, shares, strict=True))
            if not self.trainable or "weights" in context.frozen:
                return Gradients(dx)
            dshares = np.asarray([np.sum(dy * x) for x in wide], weights.dtype)
            return Gradients(dx, {"weights": self._weight_gradient(weights, shares, dshares)})

        return Step(y, backward)

    def _weight_gradient(self, weights: Array, shares: Array, dshares: Array) -> Array:
        """The gradient of the weights [inputs] from that of the shares [inputs]."""
        if self.normalization == "none":
            return dshares
        around = dshares - (dshares @ shares)
        if self.normalization == "softmax":
            return np.asarray(shares * around)
        total = np.maximum(weights, 0).sum() + weights.dtype.type(self.epsilon)
        return np.asarray((weights > 0) * around / total)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        weights = params["weights"]
        positive = weights.relu()
        total = positive.sum().reshape(1) + self.epsilon
        shares = weights if self.normalization == "none" else positive / total
        if self.normalization == "softmax":
            shares = weights.apply("Softmax", axis=0)
        each = shares.split([1] * len(inputs), 0)
        rank = max(x.rank for x in inputs)
        wide = [widened(x, rank) for x in inputs]
        y = reduce(add, (x * share for x, share in zip(wide, each, strict=True)))

        def backward(dy: Tensor) -> EmittedGradients:
            dx = tuple(emit_summed(dy * share, x) for x, share in zip(inputs, each, strict=True))
            if not self.trainable:
                return EmittedGradients(dx)
            dshares = concat([(dy * x).sum().reshape(1) for x in wide], 0)
            around = dshares - (dshares * shares).sum().reshape(1)
            found = {
                "none": lambda: dshares,
                "softmax": lambda: shares * around,
                "fast": lambda: weights.above(0) * around / total,
            }
            return EmittedGradients(dx, {"weights": found[self.normalization]()})

        return EmittedStep(y, backward)
