"""Group normalization."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_static
from graphc.errors import RuleError
from graphc.layers.base import elements, spatial
from graphc.layers.fields import PositiveInt, PositiveNumber
from graphc.layers.normalization import Normalization, emit_grouped
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Params, Step


class GroupNorm(Normalization):
    """Mean 0 and variance 1 over each group of channels of each example."""

    kind: ClassVar[str] = "group_norm"
    positional: ClassVar[tuple[str, ...]] = ("groups",)
    sees_everything: ClassVar[bool] = True

    groups: PositiveInt = 32
    """Groups of neighbouring channels."""
    epsilon: PositiveNumber = 1e-6
    """Added to the variance."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, count = spatial(inputs[0], self.kind)
        if self.groups > count:
            raise RuleError("G204", f"groups={self.groups} is more than the {count} channels", "groups")
        if count % self.groups:
            raise RuleError("G204", f"groups={self.groups} does not divide the {count} channels", "groups")
        return inputs[0]

    def values_a_mean(self, examples: int, *inputs: Shape) -> int | None:
        return elements(inputs[0]) // self.groups if is_static(inputs[0]) else None

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        return emit_grouped(build, x, self.groups, self.epsilon, params.get("gamma"), params.get("beta"))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        return self.standardize(context, x, math.prod(x.shape[1:-1]), self.groups, self.epsilon, params)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return self.emit_standardized(inputs[0], self.groups, self.epsilon, params)
