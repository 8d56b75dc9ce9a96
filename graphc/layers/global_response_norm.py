"""Channels weighed against one another by their size over the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Zeros
from graphc.layers.base import Layer, image, scalar
from graphc.layers.fields import Bool, PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, sum_but_channels
from graphc.training_graph.tensor import by_channel as by_channel_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class GlobalResponseNorm(Layer):
    """x + gamma*x*n + beta, n being each channel's length over its mean of all channels: ConvNeXt V2's (Woo et al.,
    2023)."""

    kind: ClassVar[str] = "global_response_norm"
    family: ClassVar[str] = "normalization"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)
    sees_everything: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    epsilon: PositiveNumber = 1e-6
    """Added to the mean of the lengths."""
    beta_initializer: AnyInitializer = Zeros()
    """How beta starts."""
    gamma_initializer: AnyInitializer = Zeros()
    """How gamma starts; zeros: the layer does nothing at first."""
    beta_regularizer: Regularizer | None = None
    """Penalty on beta."""
    gamma_regularizer: Regularizer | None = None
    """Penalty on gamma."""
    trainable: Bool = True
    """Whether training changes beta and gamma."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        image(inputs[0], self.kind)
        return inputs[0]

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (image(inputs[0], self.kind)[2],)
        return {
            "beta": ParamSpec(shape, self.beta_initializer, self.trainable, self.beta_regularizer),
            "gamma": ParamSpec(shape, self.gamma_initializer, self.trainable, self.gamma_regularizer),
        }

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        count = image(x.shape, self.kind)[2]
        plane, channel = (build.constant(*axes) for axes in (("plane", _axes(2, 3)), ("channel", _axes(1))))
        squares = build.op("ReduceSum", build.op("Mul", x, x), plane, shape=(1, 1, count), keepdims=1)
        lengths = build.op("Sqrt", squares)
        total = build.op("ReduceSum", lengths, channel, shape=(1, 1, 1), keepdims=1)
        mean = build.op("Mul", total, scalar(build, "share", 1 / count), shape=(1, 1, 1))
        mean = build.op("Add", mean, scalar(build, "epsilon", self.epsilon), shape=(1, 1, 1))
        normal = build.op("Div", lengths, mean, shape=(1, 1, count))
        weighed = build.op("Mul", normal, build.constant("gamma", params["gamma"].reshape(-1, 1, 1)))
        scaled = build.op("Mul", x, weighed, shape=x.shape)
        shifted = build.op("Add", scaled, build.constant("beta", params["beta"].reshape(-1, 1, 1)))
        return build.op("Add", shifted, x)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        gamma = params["gamma"]
        lengths = np.sqrt(np.einsum("nhwc,nhwc->nc", x, x))
        mean = lengths.mean(axis=1, keepdims=True) + x.dtype.type(self.epsilon)
        normal = lengths / mean
        factor = (1 + gamma * normal)[:, None, None]

        def backward(dy: Array) -> Gradients:
            along = np.einsum("nhwc,nhwc->nc", dy, x)
            given = gamma * along
            shared = (given * lengths).sum(axis=1, keepdims=True) / (mean * lengths.shape[1])
            # A channel of zeros has no direction to grow in: its length passes no gradient on.
            inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            back = (given - shared) / mean * inverse
            found = {"beta": dy.sum(axis=(0, 1, 2)), "gamma": (along * normal).sum(axis=0)}
            return Gradients((dy * factor + x * back[:, None, None],), found if self.trainable else {})

        return Step(x * factor + params["beta"], backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        gamma, plane = params["gamma"], tuple(range(2, x.rank))
        lengths = x.square_sum(*plane).sqrt()
        mean = lengths.mean(1, keep=True) + self.epsilon
        normal = lengths / mean
        factor = (1 + gamma * normal).reshape(*normal.shape, 1, 1)

        def backward(dy: Tensor) -> EmittedGradients:
            along = (dy * x).sum(*plane)
            given = gamma * along
            shared = (given * lengths).sum(1, keep=True) / (mean * lengths.shape[1])
            there = lengths.above(0)
            back = (given - shared) / mean * (there / (lengths + (1 - there)))
            found = {"beta": sum_but_channels(dy), "gamma": (along * normal).sum(0)}
            return EmittedGradients((dy * factor + x * back.reshape(*back.shape, 1, 1),), found)

        return EmittedStep(x * factor + by_channel_of(params["beta"], x), backward)


def _axes(*axes: int) -> Array:
    return np.asarray(axes, np.int64)
