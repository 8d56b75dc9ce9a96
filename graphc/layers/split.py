"""One of several equal parts of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.layers.base import Layer
from graphc.layers.crop import Slice, along
from graphc.layers.fields import Axis, NaturalInt, PositiveInt
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.training_graph.step import EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Params, Step


class Split(Layer):
    """One of several equal parts along an axis, as `slice` of it."""

    kind: ClassVar[str] = "split"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("parts", "part")

    parts: PositiveInt
    """How many parts there are."""
    part: NaturalInt
    """Which of them, from 0."""
    axis: Axis = "channels"
    """Along which axis (channels; height, width, depth or length; or a number, 0 the first behind the batch)."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Split:
        if self.part >= self.parts:
            raise ValueError(f"expected a part from 0 to {self.parts - 1}, found {self.part}")
        return self

    def _slice(self, shape: Shape) -> Slice:
        size = shape[along(shape, self.axis, self.kind)]
        if not isinstance(size, int):
            raise RuleError("G205", f"{self.kind} needs a fixed size along {self.axis}, got {size}; set it", "axis")
        if size % self.parts:
            raise RuleError("G203", f"{self.axis} of {size} cannot be split in {self.parts} equal parts", "parts")
        each = size // self.parts
        return Slice(start=self.part * each, stop=(self.part + 1) * each, axis=self.axis)

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self._slice(inputs[0]).infer_shape(*inputs)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return self._slice(inputs[0]).reach(*inputs)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.parts == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self._slice(inputs[0].shape).emit(build, inputs, params)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return self._slice(inputs[0].shape[1:]).forward(context, params, *inputs)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return self._slice(inputs[0].example).emit_training(build, params, *inputs)
