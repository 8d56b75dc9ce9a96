"""Layer normalization: each example, or each of its pixels, by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from graphc.dims import Shape, is_static
from graphc.layers.base import channels, elements, static
from graphc.layers.fields import PositiveNumber
from graphc.layers.normalization import Normalization, emit_grouped
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Params, Step


class LayerNorm(Normalization):
    """Mean 0 and variance 1 over the channels at each position, or over everything in an example."""

    kind: ClassVar[str] = "layer_norm"

    axes: Literal["channels", "all"] = "channels"
    """channels: the last axis, as in ConvNeXt and Keras. all: every axis of an example, as in TF-Slim; beta and
    gamma have one number a channel either way."""
    epsilon: PositiveNumber = 1e-12
    """Added to the variance. TF-Slim's; ConvNeXt takes 1e-6, Keras 1e-3."""

    @property
    def sees_everything(self) -> bool:  # type: ignore[override]
        return self.axes == "all"

    def values_a_mean(self, examples: int, *inputs: Shape) -> int | None:
        averaged = inputs[0] if self.axes == "all" else inputs[0][-1:]
        return elements(averaged) if is_static(averaged) else None

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        if self.axes == "all" and (x.channels_first or not is_static(x.shape)):
            x = build.channels_first(x)
            return emit_grouped(build, x, 1, self.epsilon, params.get("gamma"), params.get("beta"))
        axis, normalized = (1, x.shape) if self.axes == "all" else (-1, x.shape[-1:])
        vectors = self.gamma_and_beta(params, channels(x.shape, self.kind))
        gamma, beta = (np.broadcast_to(vector, static(normalized, self.kind)) for vector in vectors)
        names = [build.constant("gamma", gamma), *([build.constant("beta", beta)] if self.center else [])]
        y = build.op("LayerNormalization", build.channels_last(x), *names, axis=axis, epsilon=self.epsilon)
        return build.between_layers(y)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        positions = 1 if self.axes == "channels" else math.prod(x.shape[1:-1])
        return self.standardize(context, x, positions, 1, self.epsilon, params)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return self.emit_standardized(inputs[0], None if self.axes == "channels" else 1, self.epsilon, params)
