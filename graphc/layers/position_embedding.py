"""What tells the positions of a sequence apart, added to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from graphc.dims import Shape, format_shape
from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, TruncatedNormal
from graphc.layers.base import Layer, elements, sequence, static
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec

LONGEST_WAVE = 10000.0
"""Vaswani et al.'s: wavelengths are 2*pi to 10000*2*pi positions."""


class PositionEmbedding(Layer):
    """The sequence L×C plus a vector for each position; the length must be fixed."""

    kind: ClassVar[str] = "position_embedding"
    family: ClassVar[str] = "sequence"
    positional: ClassVar[tuple[str, ...]] = ("method",)
    donates_output: ClassVar[bool] = True

    method: Literal["learned", "sinusoidal"] = "learned"
    """learned: the variable `embedding`, L×C. sinusoidal: nothing is learned; channel 2*i of position p is
    sin(p / 10000**(2*i/C)), channel 2*i + 1 the cosine (Vaswani et al. 2017)."""
    embedding_initializer: AnyInitializer = TruncatedNormal(stddev=0.02)
    """How learned vectors start."""
    embedding_regularizer: Regularizer | None = None
    """Penalty on learned vectors."""
    trainable: Bool = True
    """Whether training changes learned vectors."""

    @property
    def is_learned(self) -> bool:
        return self.method == "learned"

    def infer_shape(self, *inputs: Shape) -> Shape:
        sequence(inputs[0], self.kind)
        _, channels = static(inputs[0], self.kind)
        if not self.is_learned and channels % 2:
            message = f"sinusoidal positions need an even number of channels, got {format_shape(inputs[0])}"
            raise RuleError("G201", message, "method")
        return inputs[0]

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        if not self.is_learned:
            return {}
        shape = static(inputs[0], self.kind)
        return {"embedding": ParamSpec(shape, self.embedding_initializer, self.trainable, self.embedding_regularizer)}

    def count_flops(self, *inputs: Shape) -> int:
        return elements(inputs[0])

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_last(inputs[0])
        vectors = self._vectors(static(x.shape, self.kind), params).astype(np.float32, copy=False)
        return build.op("Add", x, build.constant("embedding", vectors))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        vectors = self._vectors(x.shape[1:], params).astype(x.dtype, copy=False)
        y = np.add(x, vectors, out=context.empty(x.shape, x.dtype))

        def backward(dy: Array) -> Gradients:
            return Gradients((dy,), {"embedding": dy.sum(axis=0)} if self.is_learned and self.trainable else {})

        return Step(y, backward)

    def _vectors(self, shape: tuple[int, ...], params: Params) -> Array:
        return params["embedding"] if self.is_learned else sinusoids(*shape)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        vectors = params["embedding"] if self.is_learned else build.tensor(sinusoids(*x.example))
        return EmittedStep(
            x + vectors, lambda dy: EmittedGradients((dy,), {"embedding": dy.sum(0)} if self.is_learned else {})
        )


def sinusoids(length: int, channels: int) -> Array:
    """Vaswani et al.'s vector of each position, [length, channels] of float64."""
    rates = LONGEST_WAVE ** (-np.arange(0, channels, 2) / channels)
    angles = np.arange(length)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, channels)
