"""A learned factor for each channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Ones
from graphc.kernels.channels import product_sums, scale_and_shift
from graphc.layers.base import Layer, by_channel, channels
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, sum_but_channels
from graphc.training_graph.tensor import by_channel as by_channel_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class LayerScale(Layer):
    """x times one learned number a channel, as at the end of ConvNeXt's residuals."""

    kind: ClassVar[str] = "layer_scale"
    family: ClassVar[str] = "normalization"
    positional: ClassVar[tuple[str, ...]] = ("gamma_initializer",)
    accepts: ClassVar[tuple[str, ...]] = ("activation",)
    elementwise: ClassVar[bool] = True
    absorbs_order: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    gamma_initializer: AnyInitializer = Ones()
    """How the factors start; ConvNeXt takes {constant: 1e-6}."""
    gamma_regularizer: Regularizer | None = None
    """Penalty on the factors."""
    trainable: Bool = True
    """Whether training changes the factors."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (channels(inputs[0], self.kind),)
        return {"gamma": ParamSpec(shape, self.gamma_initializer, self.trainable, self.gamma_regularizer)}

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        return params["gamma"], np.zeros_like(params["gamma"])

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        gamma = by_channel(build.in_channel_order(params["gamma"], x), x)
        return build.op("Mul", x, build.constant("gamma", gamma))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        gamma = params["gamma"]
        zeros = np.zeros_like(gamma)

        def backward(dy: Array) -> Gradients:
            gradients = {"gamma": product_sums(context, dy, x)[1]} if self.trainable else {}
            if not context.input_gradient:
                return Gradients((None,), gradients)
            return Gradients((scale_and_shift(context, dy, gamma, zeros),), gradients)

        return Step(scale_and_shift(context, x, gamma, zeros), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        gamma = by_channel_of(params["gamma"], x)
        return EmittedStep(x * gamma, lambda dy: EmittedGradients((dy * gamma,), {"gamma": sum_but_channels(dy * x)}))
