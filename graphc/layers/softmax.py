"""Softmax along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer
from graphc.layers.crop import along
from graphc.layers.fields import Axis
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of
from graphc.types import Array, Context, Gradients, Params, Step


class AlongAxis(Layer):
    """An activation in which the numbers along an axis depend on each other."""

    family: ClassVar[str] = "activation"
    positional: ClassVar[tuple[str, ...]] = ("axis",)

    axis: Axis = "channels"
    """Along which axis: channels; height, width, depth or length; or a number, 0 the first behind the batch and -1 the
    last."""

    @property
    def sees_everything(self) -> bool:  # type: ignore[override]
        return self.axis not in ("channels", -1)

    def infer_shape(self, *inputs: Shape) -> Shape:
        self.along(inputs[0])
        return inputs[0]

    def along(self, shape: Shape) -> int:
        """The number of the axis, from 0."""
        return along(shape, self.axis, self.kind)


class Softmax(AlongAxis):
    """exp(x) over its sum along an axis, by default the last: of an image, at every pixel."""

    kind: ClassVar[str] = "softmax"
    gives: ClassVar[str] = "probabilities"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        return build.op("Softmax", x, axis=x.axis(self.along(x.shape)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        axis = 1 + self.along(x.shape[1:])
        y = np.exp(np.subtract(x, x.max(axis=axis, keepdims=True), out=context.empty(x.shape, x.dtype)))
        y /= y.sum(axis=axis, keepdims=True)

        def backward(dy: Array) -> Gradients:
            shared = np.sum(dy * y, axis=axis, keepdims=True)
            return Gradients((y * (dy - shared),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y = build.emitted(self, inputs)
        axis = axis_of(y, self.along(y.example))

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients((y * (dy - (dy * y).sum(axis, keep=True)),))

        return EmittedStep(y, backward)
