"""Normalization to a mean square of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Ones
from graphc.kernels.channels import product_sums
from graphc.layers.base import Layer, by_channel, channels, scalar
from graphc.layers.fields import Bool, PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channel_axis, sum_but_channels
from graphc.training_graph.tensor import by_channel as by_channel_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class RmsNorm(Layer):
    """gamma*x / sqrt(epsilon + mean of the squares of the channels), at each position (Zhang and Sennrich, 2019)."""

    kind: ClassVar[str] = "rms_norm"
    family: ClassVar[str] = "normalization"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)

    epsilon: PositiveNumber = 1e-6
    """Added to the mean of squares."""
    gamma_initializer: AnyInitializer = Ones()
    """How gamma starts."""
    gamma_regularizer: Regularizer | None = None
    """Penalty on gamma."""
    trainable: Bool = True
    """Whether training changes gamma."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        channels(inputs[0], self.kind)
        return inputs[0]

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (channels(inputs[0], self.kind),)
        return {"gamma": ParamSpec(shape, self.gamma_initializer, self.trainable, self.gamma_regularizer)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        mean = build.op("ReduceMean", build.op("Mul", x, x), shape=(*x.shape[:-1], 1), axes=[x.axis(-1)], keepdims=1)
        size = build.op("Sqrt", build.op("Add", mean, scalar(build, "epsilon", self.epsilon)))
        return build.op("Mul", build.op("Div", x, size), build.constant("gamma", by_channel(params["gamma"], x)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        gamma = params["gamma"]
        inverse = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(self.epsilon))
        normal = x * inverse

        def backward(dy: Array) -> Gradients:
            given = dy * gamma
            dx = inverse * (given - normal * np.mean(given * normal, axis=-1, keepdims=True))
            return Gradients((dx,), {"gamma": product_sums(context, dy, normal)[1]} if self.trainable else {})

        return Step(normal * gamma, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        axis, gamma = channel_axis(x), by_channel_of(params["gamma"], x)
        inverse = 1 / ((x * x).mean(axis, keep=True) + self.epsilon).sqrt()
        normal = x * inverse

        def backward(dy: Tensor) -> EmittedGradients:
            given = dy * gamma
            dx = inverse * (given - normal * (given * normal).mean(axis, keep=True))
            return EmittedGradients((dx,), {"gamma": sum_but_channels(dy * normal)})

        return EmittedStep(normal * gamma, backward)
