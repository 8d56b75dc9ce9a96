"""ReLU with a learned slope below zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_sequence
from graphc.initializers import AnyInitializer, Constant
from graphc.layers.base import Layer, by_channel, channels, scalar
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, sum_but_channels
from graphc.training_graph.tensor import by_channel as by_channel_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class PRelu(Layer):
    """x above zero, alpha*x below, with one alpha a channel or one for all."""

    kind: ClassVar[str] = "prelu"
    family: ClassVar[str] = "activation"
    elementwise: ClassVar[bool] = True
    costly: ClassVar[str] = "prelu makes a network about 44 % slower than relu in onnxruntime"

    shared: Bool = False
    """One slope for all channels, as PyTorch's PReLU has by default."""
    alpha_initializer: AnyInitializer = Constant(value=0.25)
    """How the slopes start."""
    alpha_regularizer: Regularizer | None = None
    """Penalty on the slopes."""
    trainable: Bool = True
    """Whether training changes the slopes."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (1 if self.shared else channels(inputs[0], self.kind),)
        return {"alpha": ParamSpec(shape, self.alpha_initializer, self.trainable, self.alpha_regularizer)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        alpha = build.in_channel_order(params["alpha"], x)
        if (
            is_sequence(x.shape) and not x.channels_first
        ):  # some runtimes take the slopes along axis 1, whatever their shape
            below = build.op("Mul", build.op("Min", x, scalar(build, "zero", 0)), build.constant("alpha", alpha))
            return build.op("Add", build.op("Relu", x), below)
        # [C] would be read along the width by some runtimes
        return build.op("PRelu", x, build.constant("alpha", by_channel(alpha, x)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        alpha = params["alpha"]
        y = context.empty(x.shape, x.dtype)

        def fill(part: slice) -> None:
            np.multiply(np.minimum(x[part], 0), alpha, out=y[part])
            y[part] += np.maximum(x[part], 0)

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, x.dtype)

            def work(part: slice) -> Array:
                np.multiply(dy[part], alpha, out=dx[part])
                np.copyto(dx[part], dy[part], where=x[part] > 0)
                below = (dy[part] * np.minimum(x[part], 0)).reshape(-1, len(alpha))
                total: Array = np.ones(len(below), x.dtype) @ below
                return total

            dalpha = sum(context.each_slice(work, x))
            return Gradients((dx,), {"alpha": dalpha} if self.trainable else {})

        context.each_slice(fill, x)
        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        alpha, below = params["alpha"] if self.shared else by_channel_of(params["alpha"], x), -(-x).relu()

        def backward(dy: Tensor) -> EmittedGradients:
            above, along = x.above(0), dy * below
            dalpha = along.sum().reshape(1) if self.shared else sum_but_channels(along)
            return EmittedGradients((dy * (above + (1 - above) * alpha),), {"alpha": dalpha})

        return EmittedStep(x.relu() + below * alpha, backward)
