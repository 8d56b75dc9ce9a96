"""Instance normalization."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_static
from graphc.layers.base import channels, elements, spatial
from graphc.layers.fields import PositiveNumber
from graphc.layers.normalization import Normalization
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Params, Step


class InstanceNorm(Normalization):
    """Mean 0 and variance 1 over each channel of each example."""

    kind: ClassVar[str] = "instance_norm"
    sees_everything: ClassVar[bool] = True

    epsilon: PositiveNumber = 1e-6
    """Added to the variance."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        spatial(inputs[0], self.kind)
        return inputs[0]

    def values_a_mean(self, examples: int, *inputs: Shape) -> int | None:
        plane = inputs[0][:-1]
        return elements(plane) if is_static(plane) else None

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        gamma, beta = self.gamma_and_beta(params, channels(x.shape, self.kind))
        names = build.constant("gamma", gamma), build.constant("beta", beta)
        return build.op("InstanceNormalization", x, *names, epsilon=self.epsilon)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        return self.standardize(context, x, math.prod(x.shape[1:-1]), x.shape[-1], self.epsilon, params)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return self.emit_standardized(inputs[0], inputs[0].example[-1], self.epsilon, params)
