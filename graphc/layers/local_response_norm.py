"""AlexNet's local response normalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.dims import Shape
from graphc.layers.base import Layer, channels, image
from graphc.layers.fields import LARGEST, NaturalInt, PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.linear import along
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class LocalResponseNorm(Layer):
    """x / (bias + alpha * sum of the squares of 2*depth_radius + 1 neighbouring channels)**beta: TensorFlow's."""

    kind: ClassVar[str] = "local_response_norm"
    family: ClassVar[str] = "normalization"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)

    depth_radius: NaturalInt = 5
    """Channels on either side."""
    bias: PositiveNumber = 1.0
    """Added to the sum of squares."""
    alpha: PositiveNumber = 1.0
    """Factor of the sum of squares; not divided by the number of channels, unlike Caffe's and PyTorch's."""
    beta: PositiveNumber = 0.5
    """The exponent."""

    @model_validator(mode="after")
    def _held(self) -> LocalResponseNorm:
        if self.alpha * (2 * self.depth_radius + 1) > LARGEST:
            raise ValueError("alpha times the number of channels is more than float32 holds")
        return self

    def infer_shape(self, *inputs: Shape) -> Shape:
        image(inputs[0], self.kind)
        return inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        size = 2 * min(self.depth_radius, channels(inputs[0].shape, self.kind) - 1) + 1
        # ONNX divides alpha by size.
        return build.op("LRN", inputs[0], size=size, alpha=self.alpha * size, beta=self.beta, bias=self.bias)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        base = self.alpha * self._neighbours(x * x) + self.bias
        factor = base**-self.beta

        def backward(dy: Array) -> Gradients:
            spread = self._neighbours(dy * x * factor / base)
            return Gradients((dy * factor - 2 * self.alpha * self.beta * x * spread,))

        return Step(x * factor, backward)

    def _neighbours(self, x: Array) -> Array:
        """The sum over each channel and its neighbours."""
        count = x.shape[-1]
        total = x.copy()
        for distance in range(1, min(self.depth_radius, count - 1) + 1):
            total[..., distance:] += x[..., :-distance]
            total[..., :-distance] += x[..., distance:]
        return total

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        count = x.shape[1]
        band = (np.abs(np.subtract.outer(np.arange(count), np.arange(count))) <= self.depth_radius).astype(np.float32)
        base = along(x * x, 1, band) * self.alpha + self.bias
        factor = base**-self.beta

        def backward(dy: Tensor) -> EmittedGradients:
            spread = along(dy * x * factor / base, 1, band)
            return EmittedGradients((dy * factor - x * spread * (2 * self.alpha * self.beta),))

        return EmittedStep(x * factor, backward)
