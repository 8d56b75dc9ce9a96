"""Dropout: of single numbers, of whole channels, of an example's whole path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, format_shape
from graphc.errors import RuleError
from graphc.layers.base import Layer
from graphc.layers.fields import Fraction
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class _Dropping(Layer):
    """What all kinds share: a share of something is zero in training, the rest scaled up; nothing in inference."""

    family: ClassVar[str] = "regularization"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    elementwise: ClassVar[bool] = True

    rate: Fraction
    """The share that is dropped."""

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of a batch [N, …, C], what is kept or dropped as one: a shape that broadcasts to the batch's."""
        raise NotImplementedError(self.kind)

    def does_nothing(self, *inputs: Shape) -> bool:
        return True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return inputs[0]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        if not context.training or self.rate == 0:
            return Step(x, lambda dy: Gradients((dy,)))
        shape = self.drawn(x.shape)
        kept = context.random().random(dtype=np.float32, out=context.empty(shape, np.float32)) >= self.rate
        factor = np.multiply(kept, x.dtype.type(1 / (1 - self.rate)), out=context.empty(shape, x.dtype))

        def scaled(values: Array) -> Array:
            product: Array = np.multiply(values, factor, out=context.empty(values.shape, values.dtype))
            return product

        return Step(scaled(x), lambda dy: Gradients((scaled(dy),)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        if self.rate == 0:
            return EmittedStep(x, lambda dy: EmittedGradients((dy,)))
        drawn = build.uniform(*self.drawn((build.batch, *x.example)))
        factor = (1 - drawn.below(self.rate)) * (1 / (1 - self.rate))
        return EmittedStep(x * factor, lambda dy: EmittedGradients((dy * factor,)))


class Dropout(_Dropping):
    """Zero for a random share of the numbers in training, the others scaled up; nothing in inference."""

    kind: ClassVar[str] = "dropout"

    rate: Fraction = 0.5
    """The share that is dropped; TF-Slim's keep_prob is 1 - rate."""

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


class SpatialDropout(_Dropping):
    """Zero for a random share of each example's channels in training, the others scaled up; nothing in inference."""

    kind: ClassVar[str] = "spatial_dropout"

    rate: Fraction = 0.5
    """The share that is dropped."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) < 2:
            message = (
                f"{self.kind} drops channels of several values, got {format_shape(inputs[0])}; dropout drops values"
            )
            raise RuleError("G201", message)
        return inputs[0]

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[2:]), shape[-1])


class DropPath(_Dropping):
    """Zero for a random share of the examples in training, the others scaled up; nothing in inference. As the last
    layer of a residual's path it is stochastic depth."""

    kind: ClassVar[str] = "drop_path"

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:]))
