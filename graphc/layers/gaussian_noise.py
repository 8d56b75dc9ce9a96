"""Normal noise in training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, format_shape
from graphc.errors import RuleError
from graphc.layers.base import Layer
from graphc.layers.fields import PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of
from graphc.types import Array, Context, Gradients, Params, Step


class GaussianNoise(Layer):
    """The first input plus normal noise in training, the input itself in inference.

    A second input is a factor of the noise, number by number: of a mean and a deviation it draws what a variational
    autoencoder's decoder reads (Kingma and Welling 2014), with gradients for both.
    """

    kind: ClassVar[str] = "gaussian_noise"
    family: ClassVar[str] = "regularization"
    positional: ClassVar[tuple[str, ...]] = ("stddev",)
    inputs_at_most: ClassVar[int | None] = 2

    stddev: PositiveNumber = 1.0
    """The noise's standard deviation."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if any(shape != inputs[0] for shape in inputs):
            found = " and ".join(map(format_shape, inputs))
            raise RuleError("G202", f"{self.kind} expects a factor for each number, got {found}")
        return inputs[0]

    def does_nothing(self, *inputs: Shape) -> bool:
        return True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return inputs[0]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        x, *factors = inputs
        if not context.training:
            return Step(x, lambda dy: Gradients((dy, *map(np.zeros_like, factors))))
        uniform = context.random().random((*x.shape[:-1], 2 * x.shape[-1]), dtype=np.float32)
        radius, angle = np.split(uniform, 2, axis=-1)
        noise = (np.sqrt(-2 * np.log(1 - radius)) * np.cos(angle * np.float32(math.tau))).astype(x.dtype)
        noise *= x.dtype.type(self.stddev)

        def backward(dy: Array) -> Gradients:
            return Gradients((dy, *(dy * noise for _ in factors)))

        return Step(x + (noise * factors[0] if factors else noise), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        x, *factors = inputs
        *places, channels = x.example
        uniform = build.uniform(build.batch, *places, 2 * channels)
        radius, angle = uniform.split([channels, channels], axis_of(uniform, len(places)))
        noise = ((1 - radius).log() * -2).sqrt() * (angle * math.tau).apply("Cos") * self.stddev

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients((dy, *(dy * noise for _ in factors)))

        return EmittedStep(x + (noise * factors[0] if factors else noise), backward)
