"""Biases alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Zeros
from graphc.kernels.channels import add_bias, bias_gradient
from graphc.layers.base import Layer, by_channel, channels, elements
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, sum_but_channels
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class BiasAdd(Layer):
    """x plus one learned number a channel."""

    kind: ClassVar[str] = "bias_add"
    family: ClassVar[str] = "dense"
    donates_output: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("activation",)
    elementwise: ClassVar[bool] = True
    absorbs_order: ClassVar[bool] = True

    biases_initializer: AnyInitializer = Zeros()
    """How the biases start."""
    biases_regularizer: Regularizer | None = None
    """Penalty on the biases."""
    trainable: Bool = True
    """Whether training changes the biases."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (channels(inputs[0], self.kind),)
        return {"biases": ParamSpec(shape, self.biases_initializer, self.trainable, self.biases_regularizer)}

    def count_flops(self, *inputs: Shape) -> int:
        return elements(inputs[0])

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        return np.ones_like(params["biases"]), params["biases"]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        biases = by_channel(build.in_channel_order(params["biases"], x), x)
        return build.op("Add", x, build.constant("biases", biases))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = x if context.inplace else context.empty(x.shape, x.dtype)
        add_bias(x, params["biases"], out=y)

        def backward(dy: Array) -> Gradients:
            return Gradients((dy,), {"biases": bias_gradient(dy)} if self.trainable else {})

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        y = build.emitted(self, [x], params)
        return EmittedStep(y, lambda dy: EmittedGradients((dy,), {"biases": sum_but_channels(dy)}))
