"""The axes of an example in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, StrictInt

from graphc.dims import Shape, format_shape, whole
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.layers.base import Layer
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last
from graphc.types import Array, Context, Gradients, Params, Step


class Transpose(Layer):
    """The axes of an example in another order, as NumPy's transpose: the batch stays the first."""

    kind: ClassVar[str] = "transpose"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("axes",)

    axes: Annotated[
        tuple[Annotated[StrictInt, Field(ge=-6, le=5), BeforeValidator(whole)], ...],
        Field(min_length=1, max_length=6),
        Expects("a list with the number of every axis, such as [1, 0, 2]"),
    ]
    """Which axis of the input comes first, which second, …: 0 is the first behind the batch, -1 the last."""

    @property
    def sees_everything(self) -> bool:  # type: ignore[override]
        return any(axis not in (index, index - len(self.axes)) for index, axis in enumerate(self.axes))

    def _order(self, shape: Sequence[object]) -> tuple[int, ...]:
        """All axes as numbers from 0."""
        rank = len(shape)
        found = tuple(axis % rank if -rank <= axis < rank else axis for axis in self.axes)
        if sorted(found) != list(range(rank)):
            expected = f"each of the axes 0 to {rank - 1} once for {format_shape(tuple(shape))}"  # type: ignore[arg-type]
            raise RuleError("G203", f"{self.kind} expects {expected}, got {list(self.axes)}", "axes")
        return found

    def infer_shape(self, *inputs: Shape) -> Shape:
        return tuple(inputs[0][axis] for axis in self._order(inputs[0]))

    def does_nothing(self, *inputs: Shape) -> bool:
        return list(self._order(inputs[0])) == list(range(len(self.axes)))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        shape = self.infer_shape(x.shape)
        order = [x.axis(axis) for axis in self._order(x.shape)]
        first = len(shape) in (3, 4)
        order = [order[-1], *order[:-1]] if first else order
        return build.op("Transpose", x, shape=shape, channels_first=first, perm=[0, *order])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        order = (0, *(1 + axis for axis in self._order(x.shape[1:])))
        back = np.argsort(order)
        return Step(np.ascontiguousarray(x.transpose(order)), lambda dy: Gradients((dy.transpose(back),)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        order = (0, *(1 + axis for axis in self._order(x.example)))
        back = [order.index(axis) for axis in range(len(order))]
        y = between_layers(channels_last(x).transpose(*order))
        return EmittedStep(y, lambda dy: EmittedGradients((between_layers(channels_last(dy).transpose(*back)),)))
